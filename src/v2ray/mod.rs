#![doc = include_str!("../manual/configs.md")]

mod cursor;
mod dialect;
mod entry;
mod error;
mod file;
mod host;
mod kcp;
mod listener;
mod masks;
mod object;
mod ports;
mod read;
mod settings;
mod share;
mod stream;
mod tls;
mod v5;
mod write;

use std::{
    io,
    sync::{Arc, OnceLock},
};

use rustls::ClientConfig;

use crate::{config::Config, endpoint::Endpoint};

pub use dialect::Dialect;
pub use error::{Error, Warning};
pub use listener::{MaybeTlsIncoming, MaybeTlsListener};
pub use read::{ReadOptions, Reading, Side, read};
pub use share::{read_share_params, write_share_params};
pub use stream::MaybeTlsStream;
pub use tls::{Certificate, TlsSettings, TlsVersion};
pub use write::{Written, write};

/// What `streamSettings` say: mKCP, and TLS or not.
///
/// ```
/// use mkcp::{Config, v2ray::{StreamSettings, TlsSettings}};
///
/// let settings = StreamSettings::new(Config::default()).with_tls(TlsSettings::client("example.org"));
/// assert!(settings.tls().is_some());
/// ```
#[derive(Clone, Debug, Default)]
pub struct StreamSettings {
    config: Config,
    tls: Option<TlsSettings>,
    /// What rustls has made of `tls` for a client: authorities are read once, and sessions are
    /// resumed from one connection to the next.
    client: Arc<OnceLock<Arc<ClientConfig>>>,
}

impl StreamSettings {
    /// mKCP with these settings, without TLS.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            ..Self::default()
        }
    }

    /// With TLS.
    #[must_use]
    pub fn with_tls(self, tls: TlsSettings) -> Self {
        Self {
            config: self.config,
            tls: Some(tls),
            client: Arc::default(),
        }
    }

    /// The settings of mKCP.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The settings of TLS, if there is to be TLS.
    pub fn tls(&self) -> Option<&TlsSettings> {
        self.tls.as_ref()
    }

    /// An endpoint has settings of its own. If they differ in what both ends must share, these
    /// would be ignored in silence, with the seed among them.
    fn check_endpoint(&self, endpoint: &Endpoint) -> io::Result<()> {
        let (own, theirs) = (&self.config, endpoint.config());
        if own.header() == theirs.header() && own.security() == theirs.security() {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the endpoint has another header or security than the settings",
        ))
    }
}

impl PartialEq for StreamSettings {
    fn eq(&self, other: &Self) -> bool {
        (&self.config, &self.tls) == (&other.config, &other.tls)
    }
}
