//! `Stream`, as `std::net::TcpStream`.

pub(crate) mod by_reference;
#[cfg_attr(not(feature = "tls"), allow(dead_code))]
mod carrier;

use std::{
    fmt,
    io::{self, IoSlice, IoSliceMut, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    config::Config,
    endpoint::{self, Endpoint, accept::AcceptQueue, handle::SessionHandle},
    stats::ConnectionStats,
};

/// How long [`Stream::pair`] waits for its two ends to meet.
const PAIRING: Duration = Duration::from_secs(5);

/// A reliable byte stream, used as [`std::net::TcpStream`] is.
///
/// Reading and writing work through `&Stream` too, so two threads can share one stream, or each
/// have a clone ([`try_clone`](Self::try_clone)). Options hold for all clones, and take effect on
/// calls that are already blocked.
///
/// ```
/// use std::io::{Read, Write};
/// use mkcp::{Config, Stream};
///
/// let (mut client, mut server) = Stream::pair(&Config::default())?;
/// client.write_all(b"hello")?;
/// let mut greeting = [0; 5];
/// server.read_exact(&mut greeting)?;
/// assert_eq!(&greeting, b"hello");
/// # std::io::Result::Ok(())
/// ```
///
/// # The end of a stream
///
/// [`read`](Read::read) gives `Ok(0)` once the peer has closed *and* everything it sent has been
/// read. If bytes are missing, it gives those before the gap and then an error, again and again:
/// a truncated stream never looks complete. Errors carry a
/// [`ConnectionError`](crate::ConnectionError).
///
/// Dropping the last clone returns at once. What was written is still delivered in the
/// background, for as long as the process lives and the linger time
/// ([`Config::linger`](crate::Config::linger)) allows. **A program that writes and then returns
/// from `main` must call [`close`](Self::close)**, or set a linger time with
/// [`set_linger`](Self::set_linger), which makes dropping wait.
///
/// # How long calls wait
///
/// [`set_read_timeout`](Self::set_read_timeout) and [`set_write_timeout`](Self::set_write_timeout)
/// bound `read` and `write`; otherwise they wait for a peer that is there, however slow it is.
/// With the defaults, the idle timeout ([`Config::idle_timeout`](crate::Config::idle_timeout)) is
/// 30 s and the linger time 10 s. For an accepted stream whose peer has not proven its address, as
/// when nothing was ever written to it, the idle timeout is no longer than two and a half
/// keep-alive intervals (25 s), or 12 s if that is more.
///
/// | the peer | `read` | `write` | `close` |
/// |---|---|---|---|
/// | is there and takes its time, or its program does not read | waits | waits, once the buffers are full | `TimedOut` after the linger time |
/// | has vanished or been stopped, or nothing gets through | `TimedOut` when the idle timeout has passed since it was last heard | the same | the same, or after the linger time if that is over before |
/// | has closed | what came, then `Ok(0)` | `BrokenPipe` | `BrokenPipe` |
/// | has closed, but all that it says of that gets lost | what came, then `TimedOut` as if it had vanished | the same | the same |
/// | has closed, and 30 s long brings neither what is missing nor its end | what came, then `TimedOut` | `BrokenPipe` | `BrokenPipe` |
/// | closes at the same moment | – | – | `BrokenPipe`, after the linger time at the latest |
/// | has reset the connection | what came, then `ConnectionReset` | `ConnectionReset` | `ConnectionReset` |
///
/// `close` is `Ok` wherever the peer has acknowledged everything, and as soon as it has; the table
/// says what it gives otherwise.
///
/// What has come is never thrown away before it was read, and however late a reader is, it keeps
/// a peer that has closed waiting for as long as that peer is willing to. `flush` does not wait.
/// After a stream has ended, its session goes on in the background for at most 8 s, in which the
/// peer is told.
///
/// # Differences from TCP
///
/// - A deadline that passes gives [`TimedOut`](io::ErrorKind::TimedOut) on every platform;
///   [`WouldBlock`](io::ErrorKind::WouldBlock) belongs to non-blocking mode alone.
/// - [`connect`](Self::connect) returns at once, because mKCP has no handshake. A peer that never
///   answers shows as `TimedOut` in a later call, a closed port as `ConnectionRefused`.
/// - mKCP cannot close one direction only. See [`shutdown`](Self::shutdown).
pub struct Stream {
    shared: Arc<Shared>,
}

/// What all clones of a stream have in common.
struct Shared {
    session: Arc<SessionHandle>,
    /// Keeps the socket and its threads alive.
    _endpoint: Endpoint,
}

/// Opening.
impl Stream {
    /// Opens a connection with [`Config::default`]; see [`connect_with`](Self::connect_with).
    ///
    /// # Errors
    ///
    /// As `connect_with`.
    pub fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        Self::connect_with(addr, &Config::default())
    }

    /// Opens a connection on a UDP socket of its own.
    ///
    /// It returns at once: whether the peer is there, and has the same seed and length of header,
    /// shows only when bytes are exchanged. [`connect_timeout`](Self::connect_timeout) waits for an
    /// answer. If `addr` gives several addresses, the first to which a socket can be opened is
    /// used. Many connections over one socket are opened by [`Endpoint::connect`].
    ///
    /// # Errors
    ///
    /// Those of resolving the address and of opening a socket; for several addresses that of the
    /// last one, and `InvalidInput` if there is none.
    ///
    /// ```
    /// # let listener = mkcp::Listener::bind("127.0.0.1:0")?;
    /// # let server = listener.local_addr()?;
    /// use std::io::Write;
    /// use mkcp::{Config, Header, Stream};
    ///
    /// let config = Config::builder().header(Header::Srtp).seed("swordfish").build()?;
    /// let mut stream = Stream::connect_with(server, &config)?;
    /// stream.write_all(b"hello")?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn connect_with<A: ToSocketAddrs>(addr: A, config: &Config) -> io::Result<Self> {
        try_each(addr, |peer| {
            let (endpoint, session) = endpoint::connect_own_socket(&peer, config)?;
            Ok(Self::new(session, endpoint))
        })
    }

    /// Opens a connection and waits until the peer has answered.
    ///
    /// Peers written in Go answer at once only to data and pings that they understand; a wrong
    /// seed, or a header of another length, looks like a peer that is not there.
    ///
    /// # Errors
    ///
    /// - `InvalidInput`: the timeout is zero.
    /// - `TimedOut`: nothing valid came from the peer in time.
    /// - `ConnectionRefused`: the network said that nobody listens there.
    /// - Those of opening a socket.
    pub fn connect_timeout(
        addr: &SocketAddr,
        config: &Config,
        timeout: Duration,
    ) -> io::Result<Self> {
        refuse_zero(Some(timeout))?;
        let stream = Self::connect_with(addr, config)?;
        let answer = stream.session().wait_established(timeout);
        if answer.is_err() {
            stream.reset();
        }
        answer.map(|()| stream)
    }

    /// Two ends of one connection over the loopback interface, for tests.
    ///
    /// # Errors
    ///
    /// Those of opening sockets, and `TimedOut` if the ends do not meet within a few seconds.
    pub fn pair(config: &Config) -> io::Result<(Self, Self)> {
        let endpoint = Endpoint::builder()
            .config(config.clone())
            .bind((Ipv4Addr::LOCALHOST, 0))?;
        let queue = endpoint.start_listening()?;
        let client = Self::connect_with(endpoint.local_addr()?, config)?;
        let server = accept_from(&client, &queue);
        endpoint.stop_listening();
        Ok((client, Self::new(server?, endpoint)))
    }

    pub(crate) fn new(session: Arc<SessionHandle>, endpoint: Endpoint) -> Self {
        Self {
            shared: Arc::new(Shared {
                session,
                _endpoint: endpoint,
            }),
        }
    }

    /// Another handle for the same stream.
    /// Never fails.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            shared: Arc::clone(&self.shared),
        })
    }
}

impl Endpoint {
    /// Opens a connection over this endpoint's socket, beside all others.
    ///
    /// Like [`Stream::connect_with`] it returns at once. If `addr` gives several addresses, the
    /// first that the socket can reach is used.
    ///
    /// # Errors
    ///
    /// - Those of resolving the address.
    /// - `InvalidInput`: there is no address, or none that the socket can reach.
    /// - `AddrNotAvailable`: all 65536 conversation ids towards this peer are in use.
    /// - `ConnectionAborted`: the endpoint has been shut down.
    /// - `Other`, with [`ConnectionError::Internal`](crate::ConnectionError::Internal) inside: a
    ///   thread of the endpoint has died.
    ///
    /// Of several addresses it is that of the last one.
    pub fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<Stream> {
        try_each(addr, |peer| {
            Ok(Stream::new(self.open_session(peer)?, self.clone()))
        })
    }
}

/// Ending.
impl Stream {
    /// Ends reading, writing or both, for all clones.
    ///
    /// Blocked calls return at once: readers get what was received and then `Ok(0)`, writers
    /// `BrokenPipe`. What was written is still delivered.
    ///
    /// mKCP has no half-close: a peer written in Go that is told of the end throws away what it
    /// was about to send. So after `Shutdown::Write` the peer is told only when reading has ended
    /// as well, or the linger time is over, which begins when no more than 192 KiB are left to be
    /// sent; after `Shutdown::Both` as soon as it has everything.
    /// Never fails.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.session().shutdown(how);
        Ok(())
    }

    /// Ends the stream for all clones and waits, at most for the linger time, until the peer has
    /// acknowledged everything that was written.
    ///
    /// # Errors
    ///
    /// What was written may not have arrived: `TimedOut` if the linger time is over, otherwise
    /// why the connection ended.
    ///
    /// ```
    /// # use std::io::Write;
    /// # let (mut stream, _peer) = mkcp::Stream::pair(&mkcp::Config::default())?;
    /// stream.write_all(b"the last words")?;
    /// stream.close()?; // the peer has them
    /// # std::io::Result::Ok(())
    /// ```
    pub fn close(self) -> io::Result<()> {
        self.session().shutdown(Shutdown::Both);
        self.session().wait_closed()
    }

    /// Ends the connection at once for all clones. What was written and not yet acknowledged is
    /// not sent any more, and the peer gets `ConnectionReset`.
    pub fn reset(&self) {
        self.session().reset();
    }

    /// The error that ended the connection, if it has not been taken yet.
    ///
    /// Reads and writes give it too, whether or not it was taken.
    /// Never fails.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(self.session().take_error().map(io::Error::from))
    }
}

/// Looking.
impl Stream {
    /// The address of the peer: where it is now, at an endpoint that allows
    /// [`migration`](crate::EndpointBuilder::migration).
    /// Never fails.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.session().addresses().peer)
    }

    /// The address of the socket that carries this stream.
    /// Never fails.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.session().addresses().local)
    }

    /// The mKCP conversation id, chosen by the client. With the two addresses it names the
    /// connection.
    pub fn conversation(&self) -> u16 {
        self.session().conversation()
    }

    /// As `read`, but leaves the bytes for the next `read`.
    ///
    /// # Errors
    ///
    /// As `read`.
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.session().peek(buf)
    }

    /// What the connection has done and how it sees its path: a snapshot, cheap to take.
    pub fn stats(&self) -> ConnectionStats {
        self.session().stats()
    }
}

/// Options.
impl Stream {
    /// How long a read waits, counted from its beginning, before it gives `TimedOut`; `None` is
    /// for ever. A read that is already blocked keeps the new time.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for `Some(Duration::ZERO)`.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        refuse_zero(timeout)?;
        self.session().receive_pipe().set_timeout(timeout);
        Ok(())
    }

    /// How long a write waits for room, counted from its beginning, before it gives `TimedOut`;
    /// `None` is for ever. A write that is already blocked keeps the new time.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for `Some(Duration::ZERO)`.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        refuse_zero(timeout)?;
        self.session().send_pipe().set_timeout(timeout);
        Ok(())
    }

    /// See [`set_read_timeout`](Self::set_read_timeout).
    /// Never fails.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.session().receive_pipe().timeout())
    }

    /// See [`set_write_timeout`](Self::set_write_timeout).
    /// Never fails.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.session().send_pipe().timeout())
    }

    /// Whether reads and writes give `WouldBlock` instead of waiting. A
    /// [`Selector`](crate::Selector) tells when to try again.
    /// Never fails.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.session().receive_pipe().set_nonblocking(nonblocking);
        self.session().send_pipe().set_nonblocking(nonblocking);
        Ok(())
    }

    /// Whether a small write leaves at once even while earlier ones are under way, instead of
    /// waiting a few milliseconds for company. Off by default.
    /// Never fails.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.session().set_nodelay(nodelay);
        Ok(())
    }

    /// See [`set_nodelay`](Self::set_nodelay).
    /// Never fails.
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(self.session().nodelay())
    }

    /// How long an ended stream goes on trying to deliver what was written, counted from its end
    /// even if that lies behind, and whether dropping the last clone waits for that.
    ///
    /// `Some(time)`: dropping waits at most that long, as with `SO_LINGER`; zero gives up at
    /// once. `None`, the default: dropping does not wait, and the time is
    /// [`Config::linger`](crate::Config::linger).
    /// Never fails.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.session().set_linger(linger);
        Ok(())
    }

    /// See [`set_linger`](Self::set_linger).
    /// Never fails.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        Ok(self.session().linger())
    }

    pub(crate) fn session(&self) -> &SessionHandle {
        &self.shared.session
    }
}

impl Read for &Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_vectored(&mut [IoSliceMut::new(buf)])
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.session().read(bufs)
    }
}

impl Write for &Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.session().write(bufs)
    }

    /// Does nothing: what `write` took is on its way already.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

by_reference::read_and_write!(Stream);

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let session = self.session();
        let addresses = session.addresses();
        f.debug_struct("Stream")
            .field("local", &addresses.local)
            .field("peer", &addresses.peer)
            .field("conversation", &session.conversation())
            .finish()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.session.release();
        if self
            .session
            .linger()
            .is_some_and(|linger| !linger.is_zero())
        {
            // Nobody is left to tell; who wants to know calls `close`.
            let _ = self.session.wait_closed();
        }
    }
}

/// The session that `client` opened, out of all that strangers may open at the same port.
fn accept_from(client: &Stream, queue: &AcceptQueue) -> io::Result<Arc<SessionHandle>> {
    let started = Instant::now();
    loop {
        let session = queue.accept_timeout(PAIRING.saturating_sub(started.elapsed()))?;
        let is_from_client = session.addresses().peer == client.local_addr()?;
        if is_from_client && session.conversation() == client.conversation() {
            return Ok(session);
        }
        session.reset();
    }
}

/// Tries one address after the other; the first success or the last error counts.
fn try_each<A: ToSocketAddrs, T>(
    addr: A,
    mut attempt: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = None;
    for addr in addr.to_socket_addrs()? {
        match attempt(addr) {
            Ok(done) => return Ok(done),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "could not resolve to any addresses",
        )
    }))
}

fn refuse_zero(timeout: Option<Duration>) -> io::Result<()> {
    if timeout.is_some_and(|timeout| timeout.is_zero()) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "cannot set a 0 duration timeout",
        ));
    }
    Ok(())
}
