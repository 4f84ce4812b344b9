//! `Listener`, as `std::net::TcpListener`.

use std::{
    fmt, io,
    iter::FusedIterator,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use crate::{
    config::Config,
    endpoint::{
        Endpoint,
        accept::{AcceptError, AcceptQueue},
        handle::SessionHandle,
    },
    stats::EndpointStats,
    stream::Stream,
};

/// Accepts connections, used as [`std::net::TcpListener`] is.
///
/// Unlike that one it can be stopped: [`close`](Self::close) wakes every blocked `accept`, from
/// any thread. Dropping the last clone closes it too. Accepted streams live on.
///
/// ```
/// use std::{io, thread};
/// use mkcp::Listener;
///
/// fn main() -> io::Result<()> {
///     let listener = Listener::bind("127.0.0.1:0")?;
///     # let stopper = listener.try_clone()?;
///     # thread::spawn(move || stopper.close());
///     for stream in listener.incoming() {
///         let stream = stream?;
///         thread::spawn(move || io::copy(&mut &stream, &mut &stream));
///     }
///     Ok(())
/// }
/// ```
pub struct Listener {
    shared: Arc<Shared>,
}

/// What all clones of a listener have in common.
struct Shared {
    endpoint: Endpoint,
    queue: Arc<AcceptQueue>,
}

impl Listener {
    /// Listens with [`Config::default`]; see [`bind_with`](Self::bind_with).
    ///
    /// # Errors
    ///
    /// As `bind_with`.
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        Self::bind_with(addr, &Config::default())
    }

    /// Opens a UDP socket at this address and listens there. Port 0 lets the system choose one.
    ///
    /// Limits and threads can be chosen by [`Endpoint::builder`] and [`Endpoint::listen`]. A server
    /// that is open to strangers should: by default nothing limits what all sessions hold together.
    ///
    /// # Errors
    ///
    /// Those of resolving the address and of opening a socket.
    pub fn bind_with<A: ToSocketAddrs>(addr: A, config: &Config) -> io::Result<Self> {
        Endpoint::builder()
            .config(config.clone())
            .bind(addr)?
            .listen()
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// - `WouldBlock`: non-blocking mode is set and none is there.
    /// - `NotConnected`: the listener was closed. It will give no more.
    /// - `ConnectionAborted` or `Other`: the endpoint was shut down, or a thread of it died. It
    ///   will give no more.
    ///
    /// None of them concerns a single connection: unlike TCP's, a loop need not go on after one.
    pub fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        Ok(self.accepted(self.shared.queue.accept()?))
    }

    /// Waits for the next connection for at most this time, in non-blocking mode too. Zero looks
    /// without waiting.
    ///
    /// # Errors
    ///
    /// `TimedOut` if none came in time, otherwise as [`accept`](Self::accept).
    pub fn accept_timeout(&self, timeout: Duration) -> io::Result<(Stream, SocketAddr)> {
        Ok(self.accepted(self.shared.queue.accept_timeout(timeout)?))
    }

    /// Every connection to come, until the listener is closed.
    ///
    /// If the endpoint fails, the iterator gives the error once and ends. In non-blocking mode it
    /// gives `WouldBlock` each time that none is there.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming {
            listener: self,
            ended: false,
        }
    }

    /// The address of the socket.
    ///
    /// # Errors
    ///
    /// None; the signature is that of std.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.shared.endpoint.local_addr()
    }

    /// Another handle for the same listener.
    /// Never fails.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            shared: Arc::clone(&self.shared),
        })
    }

    /// Whether `accept` gives `WouldBlock` instead of waiting. Holds for all clones, and for
    /// calls that are already blocked. A [`Selector`](crate::Selector) tells when to try again.
    /// Never fails.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.shared.queue.set_nonblocking(nonblocking);
        Ok(())
    }

    /// Stops listening, for all clones and for good. Blocked `accept` calls return, `incoming`
    /// ends, connections that nobody has accepted are reset. Accepted ones live on.
    pub fn close(&self) {
        self.shared.endpoint.stop_listening();
    }

    /// The endpoint that carries this listener.
    pub fn endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }

    /// How many connections exist on this socket, whether or not they have been accepted, and
    /// including those that are delivering their last bytes.
    pub fn active_connections(&self) -> usize {
        self.shared.endpoint.active_sessions()
    }

    /// What the endpoint has done: a snapshot.
    pub fn stats(&self) -> EndpointStats {
        self.shared.endpoint.stats()
    }

    pub(crate) fn queue(&self) -> &AcceptQueue {
        &self.shared.queue
    }

    fn accepted(&self, session: Arc<SessionHandle>) -> (Stream, SocketAddr) {
        let peer = session.addresses().peer;
        let endpoint = self.shared.endpoint.clone();
        (Stream::new(session, endpoint), peer)
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Listener");
        if let Ok(local) = self.local_addr() {
            debug.field("local", &local);
        }
        debug.finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.queue.unwatch(None);
        self.endpoint.stop_listening();
    }
}

impl Endpoint {
    /// Accepts connections on this endpoint's socket.
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](io::ErrorKind::AddrInUse): an endpoint has one listener in its life, and has
    /// had it, or was shut down.
    pub fn listen(&self) -> io::Result<Listener> {
        let queue = self.start_listening()?;
        Ok(Listener {
            shared: Arc::new(Shared {
                endpoint: self.clone(),
                queue,
            }),
        })
    }
}

/// The connections of a [`Listener`], until it is closed; see [`Listener::incoming`].
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a Listener,
    ended: bool,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<Stream>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match self.listener.shared.queue.accept() {
            Ok(session) => Some(Ok(self.listener.accepted(session).0)),
            Err(AcceptError::Closed) => {
                self.ended = true;
                None
            }
            Err(error) => {
                self.ended = matches!(error, AcceptError::Failed(_));
                Some(Err(error.into()))
            }
        }
    }
}

impl FusedIterator for Incoming<'_> {}
