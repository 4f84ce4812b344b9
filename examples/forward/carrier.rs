//! mKCP ends: a socket for all connections, and TLS inside them or not.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs},
};

use mkcp::{
    Endpoint, Listener,
    v2ray::{MaybeTlsListener, MaybeTlsStream, StreamSettings},
};

use crate::address::Place;

/// An mKCP end that listens.
pub(crate) struct Server(MaybeTlsListener);

impl Server {
    pub(crate) fn open(place: &Place, settings: &StreamSettings) -> io::Result<Self> {
        let endpoint = open_endpoint(settings, place.pair())?;
        Ok(Self(settings.listen_on(&endpoint)?))
    }

    /// Waits for the next connection, and gives it with its peer's name: all that come from one
    /// socket have the same but for the number of the conversation.
    pub(crate) fn accept(&self) -> io::Result<(MaybeTlsStream, String)> {
        let (stream, peer) = self.0.accept()?;
        let name = format!("{peer}/{}", stream.get_ref().conversation());
        Ok((stream, name))
    }

    pub(crate) fn listener(&self) -> &Listener {
        self.0.get_ref()
    }
}

/// An mKCP end that connects.
pub(crate) struct Client {
    target: Place,
    settings: StreamSettings,
    endpoint: Endpoint,
}

impl Client {
    /// All that can be wrong with certificates is found out here. Files are not needed later.
    pub(crate) fn open(target: &Place, settings: &StreamSettings) -> io::Result<Self> {
        if let Some(tls) = settings.tls() {
            tls.server_name(&target.host)?;
        }
        settings.load_client()?;
        let bind = |address: IpAddr| open_endpoint(settings, (address, 0));
        let (v4, v6) = (Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into());
        let endpoint = match target.host.parse() {
            Ok(IpAddr::V4(_)) => bind(v4)?,
            Ok(IpAddr::V6(_)) => bind(v6)?,
            // What a name stands for may change: one socket for both families, where there are both.
            Err(_) => bind(v6).or_else(|_| bind(v4))?,
        };
        Ok(Self {
            target: target.clone(),
            settings: settings.clone(),
            endpoint,
        })
    }

    /// Opens a connection, which does not wait for an answer.
    pub(crate) fn connect(&self) -> io::Result<MaybeTlsStream> {
        self.settings.connect_over(&self.endpoint, &self.target)
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

fn open_endpoint(settings: &StreamSettings, address: impl ToSocketAddrs) -> io::Result<Endpoint> {
    Endpoint::builder()
        .config(settings.config().clone())
        .bind(address)
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mkcp://{}", self.target)
    }
}
