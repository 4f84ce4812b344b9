//! A poll thread: waits for sockets, and has what they received routed to workers.
//!
//! Where there is a single worker, the thread runs it as well: nothing has to be handed over, and
//! nobody has to be woken. Sockets are registered for reading alone, because a socket
//! registered for writing wakes its thread whenever the kernel frees a sent datagram; writability
//! is asked for only while a worker was refused.

use std::{
    collections::{HashMap, VecDeque},
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

use super::{
    alarm::Alarm,
    bell::Bell,
    port::{Port, PortId},
    router::{Budget, Errors, Inlet, Router},
    runtime::Runtime,
    shard::Command,
    socket::{ReceiveBuffers, Registration, Socket},
};

const WAKER: Token = Token(0);
const ALARM: Token = Token(1);
const FIRST_SOCKET: usize = 2;
/// So long a runtime is kept without sockets: starting its threads anew for each of many short
/// connections would cost more than they do.
const KEEP: Duration = Duration::from_millis(100);

/// What a poll thread is told.
#[derive(Debug)]
pub(super) enum PollCommand {
    Add(Box<Source>),
    /// A worker was refused by this socket of this port.
    Blocked(PortId, usize),
    /// The port has no session and will have none.
    Retire(PortId),
    /// Hold this handle of the thread's own runtime as long as there are sockets, and a little
    /// longer.
    Keep(Arc<Runtime>),
    /// The runtime has closed.
    Close,
}

/// A socket that a poll thread serves.
#[derive(Debug)]
pub(super) struct Source {
    token: Token,
    inlet: Inlet,
    interest: Interest,
    /// On the list of sockets that may have more.
    ready: bool,
    registration: Registration,
}

/// The outside of a poll thread.
#[derive(Debug)]
pub(super) struct PollHandle {
    registry: Registry,
    bell: Arc<Bell>,
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
            inlet: Inlet {
                port: port.clone(),
                lane,
                socket,
                errors: Errors::default(),
            },
            interest: Interest::READABLE,
            ready: false,
            registration,
        })));
        Ok(())
    }

    pub(super) fn post(&self, command: PollCommand) {
        self.commands.lock().push(command);
        self.bell.ring();
    }

    /// What wakes the thread.
    pub(super) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }
}

impl Source {
    /// Names the socket within its process.
    fn place(&self) -> (PortId, usize) {
        (self.inlet.port.id, self.inlet.lane)
    }
}

/// The inside of a poll thread.
pub(super) struct Poller {
    poll: Poll,
    handle: Arc<PollHandle>,
    sources: HashMap<Token, Source>,
    tokens: HashMap<(PortId, usize), Token>,
    /// Sockets that may have more; edges are reported once only.
    ready: VecDeque<Token>,
    buffers: ReceiveBuffers,
    alarm: Alarm,
    router: Router,
    kept: Option<Arc<Runtime>>,
    /// Until when, while there are no sockets.
    kept_until: Option<Instant>,
    closed: bool,
}

impl Poller {
    /// What a poll thread needs, and how it is reached once it runs.
    pub(super) fn open() -> io::Result<(Poll, Arc<PollHandle>)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let bell = Bell::new(move || {
            if let Err(error) = waker.wake() {
                log::error!("cannot wake a poll thread: {error}");
            }
        });
        let handle = PollHandle {
            registry: poll.registry().try_clone()?,
            bell: Arc::new(bell),
            next_token: AtomicUsize::new(FIRST_SOCKET),
            commands: Mutex::default(),
        };
        Ok((poll, Arc::new(handle)))
    }

    pub(super) fn new(poll: Poll, handle: Arc<PollHandle>, router: Router) -> Self {
        Self {
            alarm: Alarm::new(poll.registry(), ALARM),
            poll,
            handle,
            sources: HashMap::new(),
            tokens: HashMap::new(),
            ready: VecDeque::new(),
            buffers: ReceiveBuffers::new(),
            router,
            kept: None,
            kept_until: None,
            closed: false,
        }
    }

    /// Serves sockets until the runtime has closed and the last one is retired.
    pub(super) fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        while !(self.closed && self.sources.is_empty()) {
            self.wait(&mut events)?;
            for event in &events {
                if matches!(event.token(), WAKER | ALARM) {
                    continue;
                }
                if event.is_writable() {
                    self.tell_writable(event.token());
                }
                if event.is_readable() || event.is_error() {
                    self.set_ready(event.token());
                }
            }
            if self.handle.bell.answer() {
                self.take_commands();
                self.router.collect();
            }
            self.read_ready();
            self.router.finish_round();
            self.let_go();
        }
        Ok(())
    }

    /// Serves no socket any more; what was routed is left.
    pub(super) fn into_router(self) -> Router {
        self.router
    }

    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let busy = !self.ready.is_empty() || self.router.has_work();
        let timeout = if busy || !self.handle.bell.fall_asleep() {
            Some(Duration::ZERO)
        } else {
            let deadlines = [self.router.next_deadline(), self.kept_until];
            self.alarm.set(deadlines.into_iter().flatten().min())
        };
        match self.poll.poll(events, timeout) {
            // As if nothing had happened: the events are empty.
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }

    /// Drops the handle that is kept once there have been no sockets for a while. If it is the
    /// last, the runtime closes.
    fn let_go(&mut self) {
        if self.kept.is_none() || !self.sources.is_empty() {
            self.kept_until = None;
            return;
        }
        let now = Instant::now();
        if *self.kept_until.get_or_insert(now + KEEP) <= now {
            self.kept_until = None;
            self.kept = None;
        }
    }

    fn set_ready(&mut self, token: Token) {
        if let Some(source) = self.sources.get_mut(&token)
            && !std::mem::replace(&mut source.ready, true)
        {
            self.ready.push_back(token);
        }
    }

    /// Reads from the sockets that may have something, by one call each in turn, until they are
    /// empty or the round's budget is spent.
    fn read_ready(&mut self) {
        let mut budget = Budget::default();
        while !budget.is_spent()
            && let Some(token) = self.ready.pop_front()
        {
            let Some(source) = self.sources.get_mut(&token) else {
                continue;
            };
            let more = self
                .router
                .receive(&mut source.inlet, &mut self.buffers, &mut budget);
            source.ready = more;
            if more {
                self.ready.push_back(token);
            } else if Registration::FIRES_ONCE {
                let interest = source.interest;
                self.set_interest(token, interest);
            }
        }
    }
}

// Commands.
impl Poller {
    fn take_commands(&mut self) {
        let commands = std::mem::take(&mut *self.handle.commands.lock());
        for command in commands {
            match command {
                PollCommand::Add(source) => {
                    let (token, place) = (source.token, source.place());
                    self.tokens.insert(place, token);
                    self.sources.insert(token, *source);
                    // Something may have come before the token was known here.
                    self.set_ready(token);
                }
                PollCommand::Blocked(port, lane) => {
                    if let Some(&token) = self.tokens.get(&(port, lane)) {
                        self.set_interest(token, Interest::READABLE | Interest::WRITABLE);
                    }
                }
                PollCommand::Retire(port) => self.retire(port),
                PollCommand::Keep(runtime) => self.kept = Some(runtime),
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
        let waiting = source.inlet.port.lanes[source.inlet.lane].take_blocked();
        for (index, shard) in self.router.shards().iter().enumerate() {
            if waiting & (1 << index) != 0 {
                let _ = shard.command(Command::Writable(source.inlet.port.id, source.inlet.lane));
            }
        }
    }

    fn retire(&mut self, port: PortId) {
        let of_port: Vec<Token> = self
            .sources
            .values()
            .filter(|source| source.inlet.port.id == port && source.inlet.port.is_finished())
            .map(|source| source.token)
            .collect();
        for token in of_port {
            // A worker may hold a last datagram for it; it tries once more and lets go.
            self.tell_workers(token);
            if let Some(source) = self.sources.remove(&token) {
                self.tokens
                    .remove(&(source.inlet.port.id, source.inlet.lane));
                source.registration.end(self.poll.registry());
            }
        }
    }
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").finish_non_exhaustive()
    }
}
