//! Settings of an [`Endpoint`], and how one comes to be.

use std::{
    fmt, io,
    net::{SocketAddr, ToSocketAddrs, UdpSocket},
    sync::Arc,
    thread,
};

use crate::{config::Config, error::ConfigError};

use super::{
    Endpoint,
    admission::{Admission, Attempt, Decision, Hook, Limits},
    conversation::{Conversations, random_start},
    port::{Lane, Port},
    runtime::{MAX_WORKERS, Runtime},
    socket::{BufferSizes, Sharing, Socket, bind},
};

/// The system takes these sizes as 32 bits with a sign.
const MAX_BUFFER: usize = i32::MAX as usize;

/// Collects settings for an [`Endpoint`].
///
/// ```
/// use mkcp::{Config, Decision, Endpoint};
///
/// let endpoint = Endpoint::builder()
///     .config(Config::builder().seed("a shared secret").build()?)
///     .workers(2)
///     .max_per_source(100)
///     .on_attempt(|attempt| match attempt.source().ip().is_loopback() {
///         true => Decision::Accept,
///         false => Decision::Ignore,
///     })
///     .bind("127.0.0.1:0")?;
/// assert_ne!(endpoint.local_addr()?.port(), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Floods
///
/// Anyone can forge the source of a datagram, and one datagram opens a session. Until its peer has
/// proven that it receives what is sent to its address, a session is sent little
/// ([`amplification_factor`](Self::amplification_factor)), holds little (64 KiB in each direction
/// beside what the peer has sent itself, within a first window that follows from
/// [`downlink`](crate::ConfigBuilder::downlink)), and is given up after a silence of two and a half
/// [`keepalive`](crate::ConfigBuilder::keepalive) intervals.
///
/// Of the room for such sessions ([`max_unvalidated`](Self::max_unvalidated), and
/// [`max_sessions`](Self::max_sessions) if that is less) and of the
/// [`accept_backlog`](Self::accept_backlog)
///
/// * half is for anybody, a sixteenth of the room a second or 1000, whichever is more, after a
///   burst of a quarter of that, so that the work of accepting them leaves time for other sessions;
/// * a quarter is for those who are turned away and repeat their first datagram within ten seconds,
///   as every client does and a flood from forged addresses does not;
/// * a quarter is for those whose address was proven within the last five to ten minutes, or by a
///   session that still lives: 32 sessions for each proof, as told at
///   [`amplification_factor`](Self::amplification_factor).
///
/// Of the latter two, who still finds no room takes the place of the oldest session of which
/// nothing was heard but its beginning, or which was sent data and has not proven since that it gets
/// any (of those that have waited to be accepted for a second, if these are too many);
/// that one ends with [`TimedOut`](crate::ConnectionError::TimedOut). Sessions whose peers have
/// proven their address never have to go, nor those whose peers say that they have heard something
/// and have not been sent any data yet, which alone could prove it. So of a server that sends
/// nothing, forged peers that go on talking as if they heard it keep their places. What is refused
/// leaves no state but a few bytes in a table of fixed size;
/// [`EndpointStats`](crate::EndpointStats) counts it.
///
/// Peers that do prove their address are not held back by any of this. By default they are limited
/// by [`max_sessions`](Self::max_sessions) and the buffers of each session, which together are more
/// than a machine has. **A server that is open to strangers should set
/// [`memory_limit`](Self::memory_limit) and [`max_per_source`](Self::max_per_source)**, which have
/// no limit by default; [the manual](crate#security) says what each of them bounds.
///
/// # Migration
///
/// To mKCP a client at another address is another client: when a NAT on its way forgets a mapping,
/// or a phone changes networks, its connections stop, and end after half a minute. With
/// [`migration`](Self::migration) a session that a peer opened goes to where its peer is, as soon
/// as a datagram from there acknowledges what is in flight and echoes the time at which it was
/// sent. Nobody can guess that who has not received it, and a copy of such a datagram acknowledges
/// nothing new. [`Stream::peer_addr`](crate::Stream::peer_addr) then gives the new address, and
/// [`EndpointStats::sessions_migrated`](crate::EndpointStats::sessions_migrated) counts it.
///
/// The new address has to prove itself as that of a new session does, and until then it is sent as
/// little. If more than the port has changed, the path is measured anew. If nothing has proven it
/// after two seconds, and three RTOs, and the peer is heard at the address that was proven last,
/// the session goes back there (RFC 9000, section 9.3.2).
///
/// * A session moves only in mid-transfer towards the peer: while bytes are in flight, of which
///   some arrived before the mapping changed. Of an upload or a pause nothing can be told, and the
///   peer gets a Terminate at once, as without migration. Where bytes are in flight it gets none
///   for the first five seconds.
/// * **A seed, or TLS inside, is needed.** Without a seed anybody who reads along on the path can
///   take a session away to any address, where its bytes go from then on; with a seed only who
///   knows it can. TLS keeps what is said from both.
///   [`Security::Aes128Gcm`](crate::Security::Aes128Gcm) says more.
/// * Of sessions with the same conversation id, which clients choose, eight can move: the first to
///   have proven their address, as long as they last.
/// * All sessions with the same conversation id belong to the same worker, so that they are found;
///   a flood that keeps to one id keeps that one busy.
/// * [`on_attempt`](Self::on_attempt) is not asked again; [`max_per_source`](Self::max_per_source)
///   holds at the new address too.
#[must_use = "a builder does nothing until `bind` is called"]
pub struct EndpointBuilder {
    config: Config,
    workers: usize,
    poll_threads: usize,
    limits: Limits,
    buffers: BufferSizes,
    hook: Option<Hook>,
}

impl Default for EndpointBuilder {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
        Self {
            config: Config::default(),
            workers: cores.saturating_sub(1).clamp(1, MAX_WORKERS),
            poll_threads: 1,
            limits: Limits::default(),
            buffers: BufferSizes::default(),
            hook: None,
        }
    }
}

impl EndpointBuilder {
    /// How the endpoint's connections behave and look on the wire. Default: [`Config::default`].
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// How many workers run the sessions; each session belongs to one of them.
    ///
    /// Each has a thread of its own, but for a single worker beside a single poll thread: that
    /// thread runs it, so that a message is handed over less often. One worker is best for latency
    /// and for the cost of each message, several for the throughput of many sessions.
    ///
    /// Default: one less than the machine has cores; 1 to 64.
    pub fn workers(mut self, n: usize) -> Self {
        self.workers = n;
        self
    }

    /// How many threads read from the network. More than one need `SO_REUSEPORT` and open a
    /// socket each; the system spreads the peers over them.
    ///
    /// Default 1; 1 to 64. [`from_socket`](Self::from_socket) takes 1 only.
    pub fn poll_threads(mut self, n: usize) -> Self {
        self.poll_threads = n;
        self
    }

    /// How many sessions may wait to be accepted. While they are so many, datagrams that would
    /// open another are dropped; peers repeat them. Peers of which nothing is known find only a
    /// part of that; see [above](Self#floods). One that fails while it waits is not handed out.
    ///
    /// Default 128; at least 1.
    pub fn accept_backlog(mut self, n: usize) -> Self {
        self.limits.accept_backlog = n;
        self
    }

    /// How many sessions may exist at once before peers can open no more.
    ///
    /// Default 250,000; at least 1. An idle session holds a few kilobytes.
    pub fn max_sessions(mut self, n: usize) -> Self {
        self.limits.sessions = n;
        self
    }

    /// How many sessions may exist whose peers have not proven that they receive what is sent to
    /// their address. What happens then is told [above](Self#floods).
    ///
    /// Default 16,384, so that a server can have a thread for each: Linux allows a process about
    /// 20,000. At least 1. A session is unproven until its peer has acknowledged something, so one
    /// that only receives stays so; a server with more of them than that has to say so here.
    /// Strangers come in at a sixteenth of it a second, or 1000, whichever is more; those beyond
    /// it, with their second datagram. Under a flood of forged peers that do so too, a client has
    /// as much time to prove its address as it takes to fill half of the limit: with the default a
    /// second at 8,000 of them a second.
    pub fn max_unvalidated(mut self, n: usize) -> Self {
        self.limits.unvalidated = n;
        self
    }

    /// How many bytes a peer is sent for each byte that it sent, until it has proven that it
    /// receives what is sent to its address: until it has acknowledged something, then.
    ///
    /// Beyond that it gets, for nothing, a floor of 4096 bytes (or two datagrams, if they are
    /// larger) and one datagram more after one second, and after two more; if it is heard again in
    /// between, after four, eight and so on, up to six. That counts everything that is sent. An
    /// address that was proven within the last five to ten minutes, at whatever port, is sent 36
    /// datagrams more at once, so that a client's next connections lose no time; it can have that
    /// 32 times until it proves itself again. While a session lives that has proven it, a proof
    /// that is too old is renewed when somebody comes from there, or forges that: then it can have
    /// that 32 times more, at most once in five minutes.
    ///
    /// Default 3, as in QUIC; 1 to 100. The higher, the more a forger of addresses makes of his
    /// traffic; the lower, the later a client gets a first answer that is longer than that.
    pub fn amplification_factor(mut self, n: u32) -> Self {
        self.limits.amplification_factor = n;
        self
    }

    /// Whether a session follows its peer to another address, as when a NAT gives its client
    /// another port. What that takes, where it ends and whom it serves is told
    /// [above](Self#migration).
    ///
    /// Default: no.
    pub fn migration(mut self, allow: bool) -> Self {
        self.limits.migration = allow;
        self
    }

    /// How many sessions one source may have: an IPv4 address, or an IPv6 network of 64 bits.
    ///
    /// Default: no limit, because many users can share an address; at least 1. A server that is
    /// open to strangers should set one, lest a single host take all of
    /// [`max_sessions`](Self::max_sessions).
    pub fn max_per_source(mut self, n: usize) -> Self {
        self.limits.per_source = n;
        self
    }

    /// How many bytes all sessions together may hold: what waits to be read or to be sent, what is
    /// kept for repetition, and the places of single segments. What one session may hold is bounded
    /// by the buffers of its [`Config`] besides.
    ///
    /// Once half of it is held, each session may hold no more than its part of the other half in
    /// each direction's pipe and window. At the limit nothing more is taken: peers can open no
    /// sessions, writers wait, and segments are dropped without being acknowledged, even if a
    /// window had been told in which they lie
    /// ([`DropReason::OverMemory`](crate::DropReason::OverMemory)); they are repeated later.
    /// Whoever reads, and whoever writes to a peer that reads, always gets on: 16 KiB of each
    /// session are set aside for that. If all sessions need theirs and these are more than half of
    /// the limit, it is exceeded by as much.
    ///
    /// The process takes more: memory that is kept for a moment after its use (for two seconds, or
    /// as long as a session is busy; for a fifth of a second at most once sessions are held to
    /// their parts), unused ends of buffers, the threads of the program, and what TLS holds inside
    /// a stream, up to 64 KiB each of ciphertext and of a handshake message while they are being
    /// read, some KiB while idle.
    ///
    /// Default: no limit. Then peers that have proven their address can make each session hold all
    /// its buffers: [`read_buffer`](crate::ConfigBuilder::read_buffer), and nine times
    /// [`write_buffer`](crate::ConfigBuilder::write_buffer), 34 MiB if these are not set. A server
    /// that is open to strangers should set a limit, to what it can spare.
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.limits.memory = bytes;
        self
    }

    /// How many bytes the system is asked to keep for datagrams that have not been read yet.
    ///
    /// Default 4 MiB; up to 2 GiB. Systems often grant less; see
    /// [`EndpointStats::recv_buffer_size`](crate::EndpointStats::recv_buffer_size).
    pub fn recv_buffer_size(mut self, bytes: usize) -> Self {
        self.buffers.receive = bytes;
        self
    }

    /// How many bytes the system is asked to keep for datagrams that have not been sent yet.
    ///
    /// Default 4 MiB; up to 2 GiB. Systems often grant less.
    pub fn send_buffer_size(mut self, bytes: usize) -> Self {
        self.buffers.send = bytes;
        self
    }

    /// Asks this function about every session that a peer opens, after all limits.
    ///
    /// A worker calls it: it must not block, or the worker's sessions stand still meanwhile, and
    /// must not panic, or they fail. The source address can be forged.
    pub fn on_attempt(mut self, f: impl Fn(&Attempt) -> Decision + Send + Sync + 'static) -> Self {
        self.hook = Some(Arc::new(f));
        self
    }

    /// Binds a UDP socket and starts the threads.
    ///
    /// Of several addresses the first that can be bound is taken, as
    /// [`UdpSocket::bind`] does. An IPv6 wildcard address serves IPv4 too.
    ///
    /// # Errors
    ///
    /// Those of resolving the address, of binding (such as
    /// [`AddrInUse`](io::ErrorKind::AddrInUse)), and of starting threads;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for settings out of range.
    pub fn bind<A: ToSocketAddrs>(self, addr: A) -> io::Result<Endpoint> {
        self.check()?;
        let mut refused = None;
        for address in addr.to_socket_addrs()? {
            match self.bind_sockets(address) {
                Ok(sockets) => return self.start(sockets),
                Err(error) => refused = Some(error),
            }
        }
        let nothing = || io::Error::new(io::ErrorKind::InvalidInput, "no address to bind to");
        Err(refused.unwrap_or_else(nothing))
    }

    /// Serves a socket that is bound already, for instance one with options of its own or handed
    /// over by a service manager. It must not be connected.
    ///
    /// # Errors
    ///
    /// Those of the socket and of starting threads;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for settings out of range.
    pub fn from_socket(self, socket: UdpSocket) -> io::Result<Endpoint> {
        self.check()?;
        if self.poll_threads != 1 {
            return Err(
                ConfigError::new("poll_threads", self.poll_threads, "1 with one socket").into(),
            );
        }
        if let Ok(peer) = socket.peer_addr() {
            let text = format!("the socket is connected to {peer}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        self.start(vec![socket])
    }

    fn check(&self) -> Result<(), ConfigError> {
        let range = |field, value: usize| match value {
            1..=MAX_WORKERS => Ok(()),
            _ => Err(ConfigError::new(field, value, "1 to 64")),
        };
        range("workers", self.workers)?;
        range("poll_threads", self.poll_threads)?;
        // None at all would lock everybody out.
        let some = |field, value: usize| match value {
            0 => Err(ConfigError::new(field, value, "at least 1")),
            _ => Ok(()),
        };
        some("accept_backlog", self.limits.accept_backlog)?;
        some("max_sessions", self.limits.sessions)?;
        some("max_unvalidated", self.limits.unvalidated)?;
        some("max_per_source", self.limits.per_source)?;
        let factor = self.limits.amplification_factor;
        if !(1..=100).contains(&factor) {
            return Err(ConfigError::new("amplification_factor", factor, "1 to 100"));
        }
        let buffer = |field, bytes: usize| match bytes {
            0..=MAX_BUFFER => Ok(()),
            _ => {
                let expected = format!("0 to {MAX_BUFFER} bytes");
                Err(ConfigError::new(field, bytes, expected))
            }
        };
        buffer("recv_buffer_size", self.buffers.receive)?;
        buffer("send_buffer_size", self.buffers.send)
    }

    fn bind_sockets(&self, mut address: SocketAddr) -> io::Result<Vec<UdpSocket>> {
        if self.poll_threads == 1 {
            return Ok(vec![bind(address, Sharing::Exclusive)?]);
        }
        let mut sockets = Vec::with_capacity(self.poll_threads);
        for _ in 0..self.poll_threads {
            let socket = bind(address, Sharing::ReusePort)?;
            // The first may have chosen the port.
            address = socket.local_addr()?;
            sockets.push(socket);
        }
        Ok(sockets)
    }

    fn start(self, sockets: Vec<UdpSocket>) -> io::Result<Endpoint> {
        let sockets = sockets
            .into_iter()
            .map(|socket| Socket::new(socket, self.buffers, None).map(Arc::new))
            .collect::<io::Result<Vec<_>>>()?;
        let runtime = Runtime::start(sockets.len(), self.workers)?;
        let admission = Admission::new(self.limits, self.hook);
        let conversations = Conversations::starting_at(random_start());
        let config = Arc::new(self.config);
        open_port(runtime, sockets, config, admission, conversations, None)
    }
}

/// Has a runtime serve bound sockets.
pub(super) fn open_port(
    runtime: Arc<Runtime>,
    sockets: Vec<Arc<Socket>>,
    config: Arc<Config>,
    admission: Admission,
    conversations: Conversations,
    peer: Option<SocketAddr>,
) -> io::Result<Endpoint> {
    let pollers = &runtime.shared().pollers;
    let lanes = sockets
        .iter()
        .zip(pollers)
        .map(|(socket, poller)| Lane::new(Arc::downgrade(socket) as _, Some(poller.clone())))
        .collect();
    let local = sockets[0].local_addr()?;
    let port = Arc::new(Port::new(
        local,
        peer,
        config,
        admission,
        conversations,
        lanes,
    ));
    let granted = sockets[0].buffer_sizes();
    port.counters.recv_buffer_size.set(granted.receive as u64);
    port.counters.send_buffer_size.set(granted.send as u64);
    // A poll thread that has one of several sockets would serve it for ever.
    runtime.add(&port, sockets).inspect_err(|_| port.orphan())?;
    Ok(Endpoint::new(runtime, port))
}

impl fmt::Debug for EndpointBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointBuilder")
            .field("config", &self.config)
            .field("workers", &self.workers)
            .field("poll_threads", &self.poll_threads)
            .field("limits", &self.limits)
            .field("buffers", &self.buffers)
            .finish_non_exhaustive()
    }
}
