//! A listener with or without TLS.

use std::{
    io,
    iter::FusedIterator,
    net::{SocketAddr, ToSocketAddrs},
    time::Duration,
};

use super::{MaybeTlsStream, StreamSettings};
use crate::{
    endpoint::Endpoint,
    listener::{Incoming, Listener},
    tls::{TlsIncoming, TlsListener},
};

/// A listener whose streams carry TLS if its settings ask for it.
#[non_exhaustive]
#[derive(Debug)]
pub enum MaybeTlsListener {
    /// Without TLS.
    Plain(Listener),
    /// With TLS.
    Tls(TlsListener),
}

impl StreamSettings {
    /// Listens at this address, as upstream's `ListenKCP` does.
    ///
    /// # Errors
    ///
    /// Those of [`Listener::bind_with`] and [`TlsSettings::server_config`]; the latter come first.
    ///
    /// ```
    /// use std::{io, thread};
    /// use mkcp::{Config, v2ray::{StreamSettings, TlsSettings}};
    ///
    /// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    /// # let (cert_pem, key_pem) = (made.cert.pem(), made.signing_key.serialize_pem());
    /// let tls = TlsSettings::server(&cert_pem, &key_pem);
    /// let listener = StreamSettings::new(Config::default()).with_tls(tls).listen("127.0.0.1:0")?;
    /// # let stopper = listener.try_clone()?;
    /// # thread::spawn(move || stopper.close());
    /// for stream in listener.incoming() {
    ///     let stream = stream?;
    ///     thread::spawn(move || io::copy(&mut &stream, &mut &stream)); // an echo server
    /// }
    /// # io::Result::Ok(())
    /// ```
    ///
    /// [`TlsSettings::server_config`]: super::TlsSettings::server_config
    pub fn listen<A: ToSocketAddrs>(&self, addr: A) -> io::Result<MaybeTlsListener> {
        self.wrap_listener(|| Listener::bind_with(addr, &self.config))
    }

    /// Listens on this endpoint's socket. The endpoint's own [`Config`](crate::Config) holds for
    /// it; what is used of these settings is TLS.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the endpoint has another header or security than these settings. Those of
    /// [`Endpoint::listen`], else as [`listen`](Self::listen).
    pub fn listen_on(&self, endpoint: &Endpoint) -> io::Result<MaybeTlsListener> {
        self.check_endpoint(endpoint)?;
        self.wrap_listener(|| endpoint.listen())
    }

    fn wrap_listener(
        &self,
        open: impl FnOnce() -> io::Result<Listener>,
    ) -> io::Result<MaybeTlsListener> {
        let Some(settings) = &self.tls else {
            return open().map(MaybeTlsListener::Plain);
        };
        let config = settings.server_config()?;
        Ok(MaybeTlsListener::Tls(TlsListener::new(open()?, config)))
    }
}

impl MaybeTlsListener {
    /// Waits for the next connection: [`Listener::accept`].
    ///
    /// # Errors
    ///
    /// As there. A handshake of TLS that fails is told by the stream.
    pub fn accept(&self) -> io::Result<(MaybeTlsStream, SocketAddr)> {
        match self {
            Self::Plain(listener) => plain(listener.accept()),
            Self::Tls(listener) => tls(listener.accept()),
        }
    }

    /// Waits for the next connection for at most this time: [`Listener::accept_timeout`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn accept_timeout(&self, timeout: Duration) -> io::Result<(MaybeTlsStream, SocketAddr)> {
        match self {
            Self::Plain(listener) => plain(listener.accept_timeout(timeout)),
            Self::Tls(listener) => tls(listener.accept_timeout(timeout)),
        }
    }

    /// Every connection to come, until the listener is closed: [`Listener::incoming`].
    pub fn incoming(&self) -> MaybeTlsIncoming<'_> {
        MaybeTlsIncoming(match self {
            Self::Plain(listener) => Streams::Plain(listener.incoming()),
            Self::Tls(listener) => Streams::Tls(listener.incoming()),
        })
    }

    /// The address of the socket.
    ///
    /// # Errors
    ///
    /// Those of asking the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().local_addr()
    }

    /// Stops listening, for all clones and for good: [`Listener::close`].
    pub fn close(&self) {
        self.get_ref().close();
    }

    /// Another handle for the same listener.
    /// Never fails.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Plain(listener) => Self::Plain(listener.try_clone()?),
            Self::Tls(listener) => Self::Tls(listener.try_clone()?),
        })
    }

    /// The listener under TLS, or the listener. What it accepts has no TLS.
    pub fn get_ref(&self) -> &Listener {
        match self {
            Self::Plain(listener) => listener,
            Self::Tls(listener) => listener.get_ref(),
        }
    }
}

/// The connections of a [`MaybeTlsListener`], until it is closed.
#[derive(Debug)]
pub struct MaybeTlsIncoming<'a>(Streams<'a>);

#[derive(Debug)]
enum Streams<'a> {
    Plain(Incoming<'a>),
    Tls(TlsIncoming<'a>),
}

impl Iterator for MaybeTlsIncoming<'_> {
    type Item = io::Result<MaybeTlsStream>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(match &mut self.0 {
            Streams::Plain(incoming) => incoming.next()?.map(MaybeTlsStream::Plain),
            Streams::Tls(incoming) => incoming.next()?.map(MaybeTlsStream::Tls),
        })
    }
}

impl FusedIterator for MaybeTlsIncoming<'_> {}

fn plain(
    accepted: io::Result<(crate::stream::Stream, SocketAddr)>,
) -> io::Result<(MaybeTlsStream, SocketAddr)> {
    accepted.map(|(stream, peer)| (MaybeTlsStream::Plain(stream), peer))
}

fn tls(
    accepted: io::Result<(crate::tls::TlsStream, SocketAddr)>,
) -> io::Result<(MaybeTlsStream, SocketAddr)> {
    accepted.map(|(stream, peer)| (MaybeTlsStream::Tls(stream), peer))
}
