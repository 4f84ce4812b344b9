//! `TlsStream`: the handle.

use std::{
    fmt,
    io::{self, IoSlice, IoSliceMut, Read, Write},
    net::{Shutdown, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{
    CipherSuite, Connection, HandshakeKind, ProtocolVersion,
    pki_types::{CertificateDer, ServerName},
};

use super::{duplex::Duplex, handshake::Caller, stats::Counters};
use crate::stream::{Stream, by_reference};

/// How long a handshake may take unless
/// [`set_handshake_timeout`](TlsStream::set_handshake_timeout) says otherwise.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A [`Stream`] with TLS inside, used as a `Stream` is.
///
/// The handshake runs at the first read or write. Reading and writing work through `&TlsStream`
/// too, and in two threads at once: neither waits for the other, whatever the peer does.
/// Timeouts, non-blocking mode and the like are set on the stream below,
/// [`get_ref`](Self::get_ref), and hold for the TLS stream. (A write that waits for the handshake
/// keeps the timeout that it began with.)
///
/// # The end of a stream
///
/// [`read`](Read::read) gives `Ok(0)` once the peer's close_notify has come. A stream that ends
/// without it gives [`TlsError::Truncated`](super::TlsError::Truncated), because somebody may have
/// cut it.
///
/// Unlike mKCP, TLS can end one direction alone: see [`shutdown`](Self::shutdown). Dropping the
/// last clone ends both, and delivers in the background what was written, as for a
/// [`Stream`](Stream#the-end-of-a-stream).
pub struct TlsStream {
    shared: Arc<Shared>,
}

struct Shared {
    duplex: Duplex,
    /// The name that a client has asked for.
    name: Option<ServerName<'static>>,
}

/// What a handshake has agreed on.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    /// TLS 1.2 or 1.3.
    pub version: ProtocolVersion,
    /// How records are protected.
    pub cipher_suite: CipherSuite,
    /// The protocol chosen by ALPN, if any.
    pub alpn_protocol: Option<Vec<u8>>,
    /// Whether an earlier session was taken up again, without certificates anew.
    pub resumed: bool,
    /// The name that the client asked for (SNI), if any.
    pub server_name: Option<String>,
    /// The peer's certificates, its own first. Empty for a client that has shown none.
    pub peer_certificates: Vec<CertificateDer<'static>>,
}

impl TlsStream {
    pub(super) fn new(
        stream: Stream,
        tls: Connection,
        name: Option<ServerName<'static>>,
        limit: Option<Duration>,
        counters: Arc<Counters>,
    ) -> Self {
        let duplex = Duplex::new(stream, tls, limit, counters);
        let shared = Arc::new(Shared { duplex, name });
        Self { shared }
    }

    /// The stream that carries this one: for its options, addresses and numbers. Reading from it
    /// or writing to it breaks TLS.
    pub fn get_ref(&self) -> &Stream {
        self.duplex().stream()
    }

    /// The address of the peer.
    /// Never fails.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().peer_addr()
    }

    /// The address of the socket that carries this stream.
    /// Never fails.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().local_addr()
    }

    /// Another handle for the same stream.
    /// Never fails.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            shared: Arc::clone(&self.shared),
        })
    }

    /// As `read`, but leaves the bytes for the next `read`.
    ///
    /// # Errors
    ///
    /// As `read`.
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.duplex().peek(buf)
    }

    /// Completes the handshake, if reading and writing have not done so yet: for those who want to
    /// know with whom they speak before the first byte.
    ///
    /// # Errors
    ///
    /// A [`TlsError`](super::TlsError) if the ends do not agree, if the handshake timeout is over
    /// or if the stream ends meanwhile; what the stream below gives if it fails; `TimedOut` alone
    /// if the read timeout is over, and `WouldBlock` in non-blocking mode, after which it can be
    /// called again.
    ///
    /// In TLS 1.3 the handshake is complete for a client before the server has looked at the
    /// client's certificate. If that is refused, a later read or write says so.
    pub fn handshake(&self) -> io::Result<()> {
        let started = Instant::now();
        self.duplex().complete_handshake(Caller::Reader, started)
    }

    /// How long the handshake may take, counted from the first read or write. After that the
    /// stream is reset. `None` is for ever, zero gives up at once. Default: 10 s.
    ///
    /// It holds in addition to the timeouts of reading and writing, and for calls that wait
    /// already.
    pub fn set_handshake_timeout(&self, timeout: Option<Duration>) {
        self.duplex().set_handshake_timeout(timeout);
    }

    /// Takes a new key for what is written from now on, and has the peer do so too (TLS 1.3).
    /// rustls does it of itself before a key has been used too much. Peers give up on those who do
    /// it often without sending anything in between.
    ///
    /// # Errors
    ///
    /// As writing, and `InvalidData` if the agreed version is TLS 1.2.
    pub fn refresh_traffic_keys(&self) -> io::Result<()> {
        self.duplex().refresh_keys()
    }

    /// What the handshake has agreed on; `None` before it is complete.
    pub fn tls_info(&self) -> Option<TlsInfo> {
        if !self.duplex().is_established() {
            return None;
        }
        self.duplex().with_tls(|tls| {
            Some(TlsInfo {
                version: tls.protocol_version()?,
                cipher_suite: tls.negotiated_cipher_suite()?.suite(),
                resumed: tls.handshake_kind() == Some(HandshakeKind::Resumed),
                alpn_protocol: tls.alpn_protocol().map(<[u8]>::to_vec),
                server_name: match (&*tls, &self.shared.name) {
                    (Connection::Server(server), _) => server.server_name().map(str::to_owned),
                    (Connection::Client(_), Some(ServerName::DnsName(name))) => {
                        Some(name.as_ref().to_owned())
                    }
                    (Connection::Client(_), _) => None, // addresses are not sent
                },
                peer_certificates: tls
                    .peer_certificates()
                    .map(<[_]>::to_vec)
                    .unwrap_or_default(),
            })
        })
    }

    /// The protocol chosen by ALPN; `None` if there is none, or not yet.
    pub fn alpn_protocol(&self) -> Option<Vec<u8>> {
        self.tls_info()?.alpn_protocol
    }

    /// The peer's certificates, its own first; `None` if it has shown none, or not yet.
    pub fn peer_certificates(&self) -> Option<Vec<CertificateDer<'static>>> {
        let certificates = self.tls_info()?.peer_certificates;
        (!certificates.is_empty()).then_some(certificates)
    }

    /// Ends reading, writing or both, for all clones.
    ///
    /// Blocked calls return at once: readers get what was received and then `Ok(0)`, writers
    /// `BrokenPipe`. What was written is still delivered.
    ///
    /// `Shutdown::Write` sends a close_notify: the peer reads to the end of the stream, while it
    /// can go on writing. Before the handshake is complete there is nothing in which to say it;
    /// then the end of the handshake does. Once both directions have ended, by this side or by the
    /// peer's close_notify, the stream below is closed too.
    ///
    /// # Errors
    ///
    /// None that depend on the peer.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.duplex().shutdown(how)
    }

    /// Ends the stream for all clones and waits, at most for the linger time, until the peer has
    /// acknowledged everything that was written.
    ///
    /// # Errors
    ///
    /// As [`Stream::close`].
    pub fn close(self) -> io::Result<()> {
        self.duplex().shutdown(Shutdown::Both)?;
        self.get_ref().try_clone()?.close()
    }

    fn duplex(&self) -> &Duplex {
        &self.shared.duplex
    }
}

impl Read for &TlsStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_vectored(&mut [IoSliceMut::new(buf)])
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.duplex().read(bufs)
    }
}

impl Write for &TlsStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.duplex().write(bufs)
    }

    /// Does nothing: what `write` took is on its way already.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

by_reference::read_and_write!(TlsStream);

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.duplex().fmt(f)
    }
}
