//! `TlsListener`: a listener that puts TLS into what it accepts.

use std::{fmt, io, iter::FusedIterator, net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rustls::{Connection, ServerConfig, ServerConnection};

use super::{
    stats::{Counters, TlsStats},
    stream::{HANDSHAKE_TIMEOUT, TlsStream},
};
use crate::{
    listener::{Incoming, Listener},
    stream::Stream,
};

/// A [`Listener`] whose connections carry TLS.
///
/// [`accept`](Self::accept) does not wait for a handshake: that runs at the first read or write of
/// the stream, in the thread that does so. A client that says nothing keeps nobody else waiting.
///
/// ```
/// # use std::{io::{Read, Write}, sync::Arc, thread};
/// # use mkcp::{Listener, Stream, tls::{self, TlsListener, rustls}};
/// # let key = rcgen::generate_simple_self_signed(["example.com".to_owned()]).unwrap();
/// # let (certificate, private_key) = (key.cert.der().clone(), key.signing_key.serialize_der());
/// # let private_key = rustls::pki_types::PrivateKeyDer::try_from(private_key).unwrap();
/// # let mut roots = rustls::RootCertStore::empty();
/// # roots.add(certificate.clone()).unwrap();
/// let server = tls::server_config(vec![certificate], private_key)?;
/// let listener = TlsListener::new(Listener::bind("127.0.0.1:0")?, server);
/// # let address = listener.local_addr()?;
/// # let client = thread::spawn(move || {
/// #     let config = tls::client_config(roots).unwrap();
/// #     let name = "example.com".try_into().unwrap();
/// #     let mut stream = tls::connect(Stream::connect(address)?, config, name)?;
/// #     stream.write_all(b"ping")?;
/// #     stream.read_exact(&mut [0; 4])?;
/// #     stream.close()
/// # });
/// let (mut stream, _peer) = listener.accept()?;
/// let mut request = [0; 4];
/// stream.read_exact(&mut request)?; // the handshake runs here
/// stream.write_all(&request)?;
/// # client.join().unwrap()?;
/// # std::io::Result::Ok(())
/// ```
pub struct TlsListener {
    listener: Listener,
    shared: Arc<Shared>,
}

/// What all clones of a listener have in common.
struct Shared {
    config: Arc<ServerConfig>,
    handshake_timeout: Mutex<Option<Duration>>,
    counters: Arc<Counters>,
}

impl TlsListener {
    /// Puts TLS with this configuration into everything that the listener accepts.
    pub fn new(listener: Listener, config: Arc<ServerConfig>) -> Self {
        let shared = Arc::new(Shared {
            config,
            handshake_timeout: Mutex::new(Some(HANDSHAKE_TIMEOUT)),
            counters: Arc::default(),
        });
        Self { listener, shared }
    }

    /// Waits for the next connection, but not for its handshake.
    ///
    /// # Errors
    ///
    /// As [`Listener::accept`], and `InvalidInput` if rustls refuses the configuration.
    pub fn accept(&self) -> io::Result<(TlsStream, SocketAddr)> {
        let (stream, peer) = self.listener.accept()?;
        Ok((self.wrap(stream)?, peer))
    }

    /// Waits for the next connection for at most this time, in non-blocking mode too.
    ///
    /// # Errors
    ///
    /// `TimedOut` if none came in time, otherwise as [`accept`](Self::accept).
    pub fn accept_timeout(&self, timeout: Duration) -> io::Result<(TlsStream, SocketAddr)> {
        let (stream, peer) = self.listener.accept_timeout(timeout)?;
        Ok((self.wrap(stream)?, peer))
    }

    /// Every connection to come, until the listener is closed; as [`Listener::incoming`].
    pub fn incoming(&self) -> TlsIncoming<'_> {
        TlsIncoming {
            incoming: self.listener.incoming(),
            listener: self,
        }
    }

    /// How long the handshakes of streams accepted from now on may take; see
    /// [`TlsStream::set_handshake_timeout`]. Default: 10 s.
    pub fn set_handshake_timeout(&self, timeout: Option<Duration>) {
        *self.shared.handshake_timeout.lock() = timeout;
    }

    /// What became of the handshakes: a snapshot.
    pub fn tls_stats(&self) -> TlsStats {
        self.shared.counters.snapshot()
    }

    /// The listener below: for its options and numbers.
    pub fn get_ref(&self) -> &Listener {
        &self.listener
    }

    /// The address of the socket.
    ///
    /// # Errors
    ///
    /// None; the signature is that of std.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Another handle for the same listener.
    /// Never fails.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            listener: self.listener.try_clone()?,
            shared: Arc::clone(&self.shared),
        })
    }

    /// Stops listening, for all clones and for good; as [`Listener::close`].
    pub fn close(&self) {
        self.listener.close();
    }

    fn wrap(&self, stream: Stream) -> io::Result<TlsStream> {
        let tls = server(&self.shared.config)?;
        let timeout = *self.shared.handshake_timeout.lock();
        let counters = Arc::clone(&self.shared.counters);
        Ok(TlsStream::new(stream, tls, None, timeout, counters))
    }
}

/// One end of TLS that has not heard anything yet.
pub(super) fn server(config: &Arc<ServerConfig>) -> io::Result<Connection> {
    let mut tls = ServerConnection::new(Arc::clone(config))
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    // It could be replayed, and bytes that must be asked for apart would be lost to `read`.
    tls.reject_early_data();
    Ok(tls.into())
}

impl fmt::Debug for TlsListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsListener")
            .field("listener", &self.listener)
            .field("stats", &self.tls_stats())
            .finish_non_exhaustive()
    }
}

/// The connections of a [`TlsListener`], until it is closed; see [`TlsListener::incoming`].
#[derive(Debug)]
pub struct TlsIncoming<'a> {
    incoming: Incoming<'a>,
    listener: &'a TlsListener,
}

impl Iterator for TlsIncoming<'_> {
    type Item = io::Result<TlsStream>;

    fn next(&mut self) -> Option<Self::Item> {
        let accepted = self.incoming.next()?;
        Some(accepted.and_then(|stream| self.listener.wrap(stream)))
    }
}

impl FusedIterator for TlsIncoming<'_> {}
