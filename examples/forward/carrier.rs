//! How an mKCP end carries its connections: the settings, and TLS inside or not.

use std::{io, sync::Arc};

use mkcp::{
    Config, Endpoint,
    tls::{
        self,
        rustls::{ClientConfig, pki_types::ServerName},
    },
    v2ray::{MaybeTlsListener, MaybeTlsStream, StreamSettings},
};

use crate::address::Place;

/// An end that listens.
pub(crate) struct Server {
    settings: StreamSettings,
}

/// An end that connects.
pub(crate) struct Client {
    settings: StreamSettings,
    /// Made once: it remembers sessions to take up again.
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl Server {
    /// # Errors
    ///
    /// What is wrong with certificates.
    pub(crate) fn new(settings: StreamSettings) -> io::Result<Self> {
        if let Some(tls) = settings.tls() {
            tls.server_config()?;
        }
        Ok(Self { settings })
    }

    pub(crate) fn listen_at(&self, place: &Place) -> io::Result<MaybeTlsListener> {
        let endpoint = builder(self.settings.config()).bind(place.pair())?;
        self.settings.listen_on(&endpoint)
    }
}
