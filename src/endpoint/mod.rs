//! UDP sockets with the threads and sessions behind them: all I/O of the crate.
//!
//! ```text
//!                one or more              n                          the user's
//! UDP sockets -> [poll threads] -batches-> [workers] -bytes-> pipes -> [threads]
//!      ^                                    |   ^                         |
//!      +------------- sendmsg --------------+   +------ doorbell ---------+
//! ```
//!
//! * A poll thread (`poller`) waits for sockets and routes what they received (`router`): opened,
//!   checked, and copied into arenas (`batch`), it is handed to the worker that owns the connection
//!   (`shard`). A single worker has no thread of its own: the poll thread runs it (`alarm` tells
//!   when), which saves the copy and the waking.
//! * A worker (`worker`) owns its sessions (`session`, `table`): it feeds connections, moves bytes
//!   between them and their pipes, fires timers (`deadlines`), and sends (`transmit`).
//! * A port (`port`) is what the sessions of one socket share: settings, counters, limits, and the
//!   memory of what could be replayed (`replay`).
//! * Who may open a session: what is a first datagram (`strangers`), the limits and who comes first
//!   (`admission`, `known`, `knocks`, `turnstile`, `newcomers`).
//! * Sessions that send to the same peer at the same time learn of each other how much of the path is
//!   theirs (`worker/ensemble`).
//! * A peer that comes from another address than before is followed by its session, if that is
//!   allowed (`worker/migrate`).
//! * The threads live in a `runtime`. Addresses have one form (`address`).
//!
//! No thread here waits for a thread of the user. Every queue has a bound; what happens when it
//! is full stands where the queue is.

pub(crate) mod accept;
mod address;
mod admission;
mod alarm;
mod batch;
mod bell;
mod builder;
mod conversation;
mod counters;
mod deadlines;
#[cfg(test)]
#[cfg(not(loom))]
mod fallbacks;
pub(crate) mod handle;
mod knocks;
mod known;
mod memory;
mod newcomers;
mod pipe;
mod poller;
mod port;
mod replay;
mod router;
mod runtime;
mod session;
mod shard;
mod socket;
#[allow(missing_docs, clippy::exhaustive_enums)]
#[cfg_attr(not(feature = "internal"), allow(unreachable_pub))]
pub(crate) mod strangers;
mod table;
mod tally;
mod tombstones;
mod transmit;
mod turnstile;
mod worker;

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{config::Config, stats::EndpointStats};

pub use admission::{Attempt, Decision};
pub use builder::EndpointBuilder;

use self::{
    accept::AcceptQueue,
    address::canonical,
    admission::{Admission, Limits},
    conversation::{Conversations, next_start},
    handle::SessionHandle,
    port::Port,
    runtime::Runtime,
    session::Opening,
    shard::{Command, Ending},
    socket::{BufferSizes, Sharing, Socket},
    transmit::Way,
};

/// A UDP socket with the threads that serve it, for many streams in both directions.
///
/// [`Listener::bind`](crate::Listener::bind) and [`Stream::connect`](crate::Stream::connect) make
/// what they need by themselves. An endpoint of one's own is for settings of the threads and
/// limits ([`builder`](Self::builder)), for many outgoing streams over one port, or for both
/// directions over one port.
///
/// It lives until its last clone, its [`Listener`](crate::Listener) and its streams are dropped;
/// sessions that still deliver then end in the background. Use [`shutdown`](Self::shutdown) to
/// end it and wait.
///
/// ```
/// use std::{io::{Read, Write}, thread, time::Duration};
/// use mkcp::Endpoint;
///
/// let server = Endpoint::builder().bind("127.0.0.1:0")?;
/// let address = server.local_addr()?;
/// let listener = server.listen()?;
/// let echo = thread::spawn(move || -> std::io::Result<()> {
///     let (mut stream, _) = listener.accept()?;
///     let mut question = [0; 5];
///     stream.read_exact(&mut question)?;
///     stream.write_all(&question)?;
///     stream.close()
/// });
///
/// let client = Endpoint::builder().bind("127.0.0.1:0")?;
/// let mut stream = client.connect(address)?;
/// stream.write_all(b"hello")?;
/// let mut answer = [0; 5];
/// stream.read_exact(&mut answer)?;
/// assert_eq!(&answer, b"hello");
/// # stream.close()?;
/// # echo.join().unwrap()?;
/// client.shutdown(Duration::from_secs(5))?;
/// server.shutdown(Duration::from_secs(5))?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
#[doc = include_str!("../manual/faults.md")]
#[derive(Clone)]
pub struct Endpoint {
    inner: Arc<Inner>,
}

/// One per endpoint; its end is the end of all handles that could open a session.
struct Inner {
    runtime: Arc<Runtime>,
    port: Arc<Port>,
}

impl Endpoint {
    /// Starts from the defaults.
    pub fn builder() -> EndpointBuilder {
        EndpointBuilder::default()
    }

    /// The settings of everything on this endpoint.
    #[cfg(feature = "v2ray-config")]
    pub(crate) fn config(&self) -> &Config {
        &self.inner.port.config
    }

    /// The address of the socket.
    ///
    /// # Errors
    ///
    /// None; the signature is that of std.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.inner.port.local)
    }

    /// What the endpoint has done. Cheap, and without effect on the threads.
    pub fn stats(&self) -> EndpointStats {
        let admission = &self.inner.port.admission;
        EndpointStats {
            sessions: self.active_sessions() as u64,
            sessions_unvalidated: admission.unvalidated() as u64,
            addresses_known: admission.known(Instant::now()) as u64,
            memory: self.inner.port.memory.held(),
            threads_lost: self.inner.runtime.shared().threads_lost(),
            ..self.inner.port.counters.snapshot()
        }
    }

    /// Ends everything: accepts nothing more, delivers what all streams have written, tells the
    /// peers, joins the threads and closes the sockets. Whatever then still waits for a stream of
    /// this endpoint gets an error, and the address is free.
    ///
    /// Without it, the sockets stay open as long as there is a handle of the endpoint, or a
    /// session: unlike with TCP, where each connection has its own, the address of a listener that
    /// was dropped is not free while streams live that it has accepted.
    ///
    /// After `timeout` the sessions that are left are aborted, each with a word to its peer.
    /// [`Duration::ZERO`] aborts at once.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut) if sessions had to be aborted, other than on demand,
    /// before their peers had everything that was written.
    pub fn shutdown(self, timeout: Duration) -> io::Result<()> {
        /// Workers abort within one turn; only a hook that blocks makes them late.
        const ABORTING: Duration = Duration::from_secs(1);
        let Inner { runtime, port } = &*self.inner;
        let undelivered = port.undelivered();
        port.shut_down();
        let drained = !timeout.is_zero() && {
            runtime.end_sessions(port, Ending::Graceful);
            port.wait_idle(Instant::now().checked_add(timeout))
        };
        if !drained {
            port.abort();
            runtime.end_sessions(port, Ending::Abort);
            port.wait_idle(Some(Instant::now() + ABORTING));
        }
        runtime.join();
        // A Go peer may never answer the end of a session; what counts is that it has everything.
        let delivered = port.undelivered() == undelivered;
        if drained || delivered || timeout.is_zero() {
            Ok(())
        } else {
            let text = "sessions were aborted because they could not deliver in time";
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        }
    }
}

// For `Listener` and `Stream`.
impl Endpoint {
    fn new(runtime: Arc<Runtime>, port: Arc<Port>) -> Self {
        let inner = Inner { runtime, port };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Begins to accept sessions from peers. Possible once.
    pub(crate) fn start_listening(&self) -> io::Result<Arc<AcceptQueue>> {
        self.inner.port.start_listening().ok_or_else(|| {
            let text = "the endpoint has, or had, a listener";
            io::Error::new(io::ErrorKind::AddrInUse, text)
        })
    }

    pub(crate) fn stop_listening(&self) {
        self.inner.port.stop_listening(None);
    }

    /// Opens a session to a peer. Nothing is sent before the application writes.
    pub(crate) fn open_session(&self, peer: SocketAddr) -> io::Result<Arc<SessionHandle>> {
        let Inner { runtime, port } = &*self.inner;
        if port.begins_to_open() {
            runtime.note_ids(port.id);
        }
        let permit = port.admit_own(reachable(port.local, peer)?)?;
        let id = permit.id();
        let shard = runtime.shared().shard(port, &id);
        let way = Way::default();
        let handle = worker::new_handle(port, shard, id, way);
        shard.command(Command::Open(Box::new(Opening {
            handle: handle.clone(),
            permit,
            way,
        })))?;
        Ok(handle)
    }

    pub(crate) fn active_sessions(&self) -> usize {
        self.inner.port.sessions()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.port.orphan();
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("local_addr", &self.inner.port.local)
            .field("sessions", &self.active_sessions())
            .finish_non_exhaustive()
    }
}

/// Opens a session over a connected socket of its own, as Go peers do: with its own NAT mapping,
/// and told by ICMP if nobody listens. All such sockets of the process share one thread,
/// which ends soon after the last of them.
pub(crate) fn connect_own_socket(
    peer: &SocketAddr,
    config: &Config,
) -> io::Result<(Endpoint, Arc<SessionHandle>)> {
    let wildcard: IpAddr = match peer {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = socket::bind(SocketAddr::new(wildcard, 0), Sharing::Exclusive)?;
    let peer = reachable(SocketAddr::new(wildcard, 0), *peer)?;
    socket.connect(peer)?;
    let socket = Socket::new(socket, BufferSizes::default(), Some(peer))?;
    let runtime = client_runtime()?;
    runtime.linger();
    let endpoint = builder::open_port(
        runtime,
        vec![Arc::new(socket)],
        Arc::new(config.clone()),
        Admission::new(Limits::default(), None),
        Conversations::starting_at(next_start()),
        Some(peer),
    )?;
    let session = endpoint.open_session(peer)?;
    Ok((endpoint, session))
}

/// The threads behind `connect_own_socket`, started anew if they have ended.
fn client_runtime() -> io::Result<Arc<Runtime>> {
    static RUNTIME: Mutex<Weak<Runtime>> = Mutex::new(Weak::new());
    let mut shared = RUNTIME.lock();
    if let Some(runtime) = shared.upgrade()
        && runtime.shared().threads_lost() == 0
    {
        return Ok(runtime);
    }
    let runtime = Runtime::start(1, 1)?;
    *shared = Arc::downgrade(&runtime);
    Ok(runtime)
}

/// The address under which a socket bound to `local` reaches a peer.
fn reachable(local: SocketAddr, peer: SocketAddr) -> io::Result<SocketAddr> {
    let refuse = |text: String| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    if peer.port() == 0 {
        return refuse(format!("cannot connect to port 0 of {}", peer.ip()));
    }
    // The system takes "any address" for this machine, but answers come from a real one.
    let mut peer = canonical(peer);
    if peer.ip().is_unspecified() {
        peer.set_ip(match peer {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    if peer == canonical(local) {
        return refuse(format!("{peer} is the address of this end itself"));
    }
    match (local, peer) {
        (SocketAddr::V4(_), SocketAddr::V6(_)) => {
            refuse(format!("a socket bound to {local} cannot reach {peer}"))
        }
        _ => Ok(peer),
    }
}
