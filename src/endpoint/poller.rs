//! A poll thread: reads sockets, opens and checks datagrams, hands them to workers.
//!
//! It waits for nothing but readiness. Sockets are registered for reading alone, because a socket
//! registered for writing wakes its thread whenever the kernel frees a sent datagram; writability
//! is asked for only while a worker was refused.

use std::{
    collections::HashMap,
    fmt,
    io::{self, ErrorKind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Registry, Token, Waker};
use parking_lot::Mutex;
use quinn_udp::{BATCH_SIZE, RecvMeta};

use crate::{error::DropReason, wire::Segments};

use super::{
    batch::{BATCH, Datagram, DatagramBatch, Origin},
    port::{Port, PortId},
    runtime::Shared,
    shard::Command,
    socket::{ReceiveBuffers, Registration, Socket},
    table::ConnectionId,
};

/// System calls on one socket before the others have their turn.
const RECEIVE_CALLS: usize = 4;
const WAKER: Token = Token(0);

/// What a poll thread is told.
#[derive(Debug)]
pub(super) enum PollCommand {
    Add(Box<Source>),
    /// A worker was refused by this socket of this port.
    Blocked(PortId, usize),
    /// The port has no session and will have none.
    Retire(PortId),
    /// The runtime has closed.
    Close,
}

/// A socket that a poll thread serves.
#[derive(Debug)]
pub(super) struct Source {
    token: Token,
    port: Arc<Port>,
    lane: usize,
    socket: Arc<Socket>,
    interest: Interest,
    registration: Registration,
}

/// The outside of a poll thread.
#[derive(Debug)]
pub(super) struct PollHandle {
    registry: Registry,
    waker: Waker,
    next_token: AtomicUsize,
    commands: Mutex<Vec<PollCommand>>,
}

impl PollHandle {
    /// Has the thread serve a socket of a port.
    pub(super) fn add(&self, port: &Arc<Port>, lane: usize, socket: Arc<Socket>) -> io::Result<()> {
        let token = Token(self.next_token.fetch_add(1, Ordering::Relaxed));
        let registration = Registration::new(&socket, &self.registry, token)?;
        self.post(PollCommand::Add(Box::new(Source {
            token,
            port: port.clone(),
            lane,
            socket,
            interest: Interest::READABLE,
            registration,
        })));
        Ok(())
    }

    pub(super) fn post(&self, command: PollCommand) {
        let first = {
            let mut commands = self.commands.lock();
            commands.push(command);
            commands.len() == 1
        };
        if first && let Err(error) = self.waker.wake() {
            log::error!("cannot wake a poll thread: {error}");
        }
    }
}

/// The inside of a poll thread.
pub(super) struct Poller {
    poll: Poll,
    handle: Arc<PollHandle>,
    sources: HashMap<Token, Source>,
    tokens: HashMap<(PortId, usize), Token>,
    /// Sockets that may have more; edges are reported once only.
    ready: Vec<Token>,
    buffers: ReceiveBuffers,
    router: Router,
    closed: bool,
}

impl Poller {
    /// What a poll thread needs, and how it is reached once it runs.
    pub(super) fn open() -> io::Result<(Poll, Arc<PollHandle>)> {
        let poll = Poll::new()?;
        let handle = PollHandle {
            registry: poll.registry().try_clone()?,
            waker: Waker::new(poll.registry(), WAKER)?,
            next_token: AtomicUsize::new(WAKER.0 + 1),
            commands: Mutex::default(),
        };
        Ok((poll, Arc::new(handle)))
    }

    pub(super) fn new(poll: Poll, handle: Arc<PollHandle>, shared: Arc<Shared>) -> Self {
        Self {
            poll,
            handle,
            sources: HashMap::new(),
            tokens: HashMap::new(),
            ready: Vec::new(),
            buffers: ReceiveBuffers::new(),
            router: Router::new(shared),
            closed: false,
        }
    }

    /// Serves sockets until the runtime has closed and the last one is retired.
    pub(super) fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        while !(self.closed && self.sources.is_empty()) {
            let timeout = (!self.ready.is_empty()).then_some(Duration::ZERO);
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            }
            for event in &events {
                if event.token() == WAKER {
                    self.take_commands();
                    continue;
                }
                if event.is_writable() {
                    self.tell_writable(event.token());
                }
                if event.is_readable() || event.is_error() {
                    self.set_ready(event.token());
                }
            }
            self.read_ready();
            self.router.post_all();
        }
        Ok(())
    }

    fn set_ready(&mut self, token: Token) {
        if self.sources.contains_key(&token) && !self.ready.contains(&token) {
            self.ready.push(token);
        }
    }

    /// Reads every socket that may have something, each within its budget.
    fn read_ready(&mut self) {
        let mut ready = std::mem::take(&mut self.ready);
        ready.retain(|&token| {
            let Some(source) = self.sources.get(&token) else {
                return false;
            };
            let more = (0..RECEIVE_CALLS).all(|_| self.router.receive(source, &mut self.buffers));
            if !more && Registration::FIRES_ONCE {
                self.set_interest(token, source.interest);
            }
            more
        });
        self.ready = ready;
    }
}

// Commands.
impl Poller {
    fn take_commands(&mut self) {
        let commands = std::mem::take(&mut *self.handle.commands.lock());
        for command in commands {
            match command {
                PollCommand::Add(source) => {
                    // Something may have come before the token was known here.
                    self.ready.push(source.token);
                    let place = (source.port.id, source.lane);
                    self.tokens.insert(place, source.token);
                    self.sources.insert(source.token, *source);
                }
                PollCommand::Blocked(port, lane) => {
                    if let Some(&token) = self.tokens.get(&(port, lane)) {
                        self.set_interest(token, Interest::READABLE | Interest::WRITABLE);
                    }
                }
                PollCommand::Retire(port) => self.retire(port),
                PollCommand::Close => self.closed = true,
            }
        }
    }

    fn set_interest(&mut self, token: Token, interest: Interest) {
        let Some(source) = self.sources.get_mut(&token) else {
            return;
        };
        source.interest = interest;
        let changed = source
            .registration
            .change(self.poll.registry(), token, interest);
        if let Err(error) = changed {
            log::error!("cannot wait for a socket: {error}");
            self.tell_workers(token);
        }
    }

    fn tell_writable(&mut self, token: Token) {
        // First the interest, then the bits: a worker that is refused in between asks again.
        self.set_interest(token, Interest::READABLE);
        self.tell_workers(token);
    }

    fn tell_workers(&self, token: Token) {
        let Some(source) = self.sources.get(&token) else {
            return;
        };
        let waiting = source.port.lanes[source.lane].take_blocked();
        for (index, shard) in self.router.shared.shards.iter().enumerate() {
            if waiting & (1 << index) != 0 {
                let _ = shard.command(Command::Writable(source.port.id, source.lane));
            }
        }
    }

    fn retire(&mut self, port: PortId) {
        let of_port: Vec<Token> = self
            .sources
            .values()
            .filter(|source| source.port.id == port && source.port.is_finished())
            .map(|source| source.token)
            .collect();
        for token in of_port {
            // A worker may hold a last datagram for it; it tries once more and lets go.
            self.tell_workers(token);
            if let Some(source) = self.sources.remove(&token) {
                self.tokens.remove(&(source.port.id, source.lane));
                source.registration.end(self.poll.registry());
            }
        }
    }
}

/// From sockets to shards.
struct Router {
    shared: Arc<Shared>,
    /// The batch that is being filled for each shard.
    batches: Vec<DatagramBatch>,
    /// The shard of the latest datagram: many in a row belong together.
    latest: Option<(ConnectionId, usize)>,
}

impl Router {
    fn new(shared: Arc<Shared>) -> Self {
        let batches = shared
            .shards
            .iter()
            .map(|_| DatagramBatch::default())
            .collect();
        Self {
            shared,
            batches,
            latest: None,
        }
    }

    /// One receiving system call; returns whether there may be more to receive.
    fn receive(&mut self, source: &Source, buffers: &mut ReceiveBuffers) -> bool {
        source.port.counters.receive_calls.add(1);
        match source.socket.receive(buffers) {
            Ok(count) => {
                self.route_all(source, buffers.filled(count));
                // Fewer than asked for: it is empty, and the next arrival is reported.
                count == BATCH_SIZE
            }
            Err(error) => self.continue_after(source, &error),
        }
    }

    /// Errors of a UDP socket are information about datagrams sent earlier. None ends or slows
    /// the loop; after an unknown one the next datagram reports readiness again.
    fn continue_after(&self, source: &Source, error: &io::Error) -> bool {
        match error.kind() {
            ErrorKind::WouldBlock => false,
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => {
                if let Some(id) = source.port.only_connection() {
                    let shard = self.shared.shard(&id);
                    let _ = shard.command(Command::Refused(id));
                }
                true
            }
            _ => {
                if source.port.counters.warnings.allows(Instant::now()) {
                    log::warn!("receiving on {}: {error}", source.port.local);
                }
                false
            }
        }
    }

    /// Opens what has arrived in one go, whether in one train or from many peers, and passes it on.
    fn route_all<'a>(
        &mut self,
        source: &Source,
        trains: impl Iterator<Item = (RecvMeta, &'a mut [u8])>,
    ) {
        let port = &source.port;
        let (mut count, mut bytes) = (0, 0);
        let datagrams = trains.flat_map(|(meta, train)| {
            bytes += train.len() as u64;
            let origin = Origin {
                remote: meta.addr,
                local_ip: meta.dst_ip,
                lane: source.lane,
            };
            let datagrams = train.chunks_mut(meta.stride.max(1));
            datagrams.map(move |datagram| (origin, datagram))
        });
        for (origin, opened) in port.codec.open_each(datagrams) {
            count += 1;
            let routed = opened.and_then(|plaintext| self.route(port, origin, plaintext));
            if let Err(reason) = routed {
                log::trace!("datagram from {} dropped: {reason}", origin.remote);
                port.counters.drop_one(reason);
            }
        }
        port.counters.datagrams_received.add(count);
        port.counters.bytes_received.add(bytes);
    }

    fn route(
        &mut self,
        port: &Arc<Port>,
        origin: Origin,
        plaintext: &[u8],
    ) -> Result<(), DropReason> {
        // mKCP: the first segment says to which connection a datagram belongs. Where a later one
        // does not parse, those before it count.
        let first = Segments::new(plaintext)
            .next()
            .ok_or(DropReason::BadSegment)?;
        let conversation = first.conversation();
        let id = ConnectionId::new(port.id, origin.remote, conversation);
        let index = match self.latest {
            Some((same, index)) if same == id => index,
            _ => self.shared.shard_index(&id),
        };
        self.latest = Some((id, index));
        self.batches[index].push(Datagram {
            port,
            origin,
            conversation,
            plaintext,
        });
        if self.batches[index].len() >= BATCH {
            self.post(index);
        }
        Ok(())
    }

    fn post_all(&mut self) {
        for index in 0..self.batches.len() {
            if self.batches[index].len() > 0 {
                self.post(index);
            }
        }
    }

    fn post(&mut self, index: usize) {
        let batch = &mut self.batches[index];
        if self.shared.shards[index].post(batch).is_err() {
            for datagram in batch.iter() {
                let counters = &datagram.port.counters;
                counters.drop_one(DropReason::WorkerBehind);
            }
            batch.clear();
        }
    }
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").finish_non_exhaustive()
    }
}
