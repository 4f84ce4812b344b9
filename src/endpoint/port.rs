//! One bound UDP address: its sockets, its settings, and what all its sessions share.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use parking_lot::{Condvar, Mutex};

use crate::{
    config::{Config, derive},
    error::{ConnectionError, DropReason},
    packet::PacketCodec,
};

use super::{
    accept::AcceptQueue,
    address::canonical,
    admission::{Admission, Attempt, Standing},
    conversation::Conversations,
    counters::Counters,
    memory::Memory,
    poller::{PollCommand, PollHandle},
    replay::{Nonce, Replays},
    strangers::{Stranger, judge},
    table::{ConnectionId, Slot},
    transmit::SendDatagrams,
};

/// Names a port within its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PortId(pub(super) u32);

impl PortId {
    /// An id that no port ever had.
    pub(super) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed) as u32)
    }
}

/// A UDP address that is served.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) id: PortId,
    pub(super) local: SocketAddr,
    /// Where the socket is connected to, if it is: then it has a single session.
    pub(super) peer: Option<SocketAddr>,
    only_connection: OnceLock<ConnectionId>,
    conversations: Conversations,
    pub(super) config: Arc<Config>,
    pub(super) codec: PacketCodec,
    pub(super) lanes: Vec<Lane>,
    pub(super) counters: Counters,
    pub(super) memory: Arc<Memory>,
    pub(super) admission: Admission,
    replays: Replays,
    accepting: Mutex<Accepting>,
    sessions: AtomicUsize,
    /// Sessions that ended before the peer had everything.
    undelivered: AtomicUsize,
    /// No handle is left that could open a session.
    orphaned: AtomicBool,
    /// The user has ended it.
    shut_down: AtomicBool,
    /// The user has no time for graceful ends.
    aborted: AtomicBool,
    idle_lock: Mutex<()>,
    idle: Condvar,
}

/// One socket of a port, with the poll thread that reads it.
pub(super) struct Lane {
    /// The poll thread has it, until the port is finished: then the address is free, whoever may
    /// still hold a handle.
    sender: Weak<dyn SendDatagrams>,
    /// None where a test plays the poll thread.
    poller: Option<Arc<PollHandle>>,
    /// The workers that wait for room in the kernel's buffer, one bit each.
    blocked: AtomicU64,
}

#[derive(Debug)]
enum Accepting {
    NotYet,
    Open(Arc<AcceptQueue>),
    Closed,
}

impl Port {
    pub(super) fn new(
        local: SocketAddr,
        peer: Option<SocketAddr>,
        config: Arc<Config>,
        admission: Admission,
        conversations: Conversations,
        lanes: Vec<Lane>,
    ) -> Self {
        let limit = admission.limits.memory;
        let memory = match peer {
            Some(_) => Memory::new(limit),
            None => Memory::of_many(limit),
        };
        Self {
            id: PortId::new(),
            local,
            peer,
            only_connection: OnceLock::new(),
            conversations,
            codec: PacketCodec::new(&config),
            config,
            lanes,
            counters: Counters::default(),
            memory,
            admission,
            replays: Replays::default(),
            accepting: Mutex::new(Accepting::NotYet),
            sessions: AtomicUsize::new(0),
            undelivered: AtomicUsize::new(0),
            orphaned: AtomicBool::new(false),
            shut_down: AtomicBool::new(false),
            aborted: AtomicBool::new(false),
            idle_lock: Mutex::new(()),
            idle: Condvar::new(),
        }
    }

    /// Bytes of segments in a full datagram.
    pub(super) fn max_plaintext(&self) -> usize {
        derive::max_plaintext(&self.config)
    }

    /// Whether sessions follow their peers to other addresses.
    pub(super) fn allows_migration(&self) -> bool {
        self.admission.limits.migration
    }

    pub(super) fn sessions(&self) -> usize {
        self.sessions.load(Ordering::SeqCst)
    }

    /// A session ended before the peer had everything.
    pub(super) fn on_undelivered(&self) {
        self.undelivered.fetch_add(1, Ordering::SeqCst);
    }

    /// How many sessions ended before the peer had everything.
    pub(super) fn undelivered(&self) -> usize {
        self.undelivered.load(Ordering::SeqCst)
    }

    /// The queue for sessions that peers open; `None` if that was asked for before.
    pub(super) fn start_listening(&self) -> Option<Arc<AcceptQueue>> {
        let mut accepting = self.accepting.lock();
        if !matches!(*accepting, Accepting::NotYet) {
            return None;
        }
        let queue = Arc::new(AcceptQueue::new(self.admission.limits.accept_backlog));
        *accepting = Accepting::Open(queue.clone());
        Some(queue)
    }

    /// Where sessions that peers open are queued, while there is somebody to accept them.
    pub(super) fn accept_queue(&self) -> Option<Arc<AcceptQueue>> {
        match &*self.accepting.lock() {
            Accepting::Open(queue) => Some(queue.clone()),
            Accepting::NotYet | Accepting::Closed => None,
        }
    }

    /// Accepts nothing more, because the user said so or because of an error. Sessions that
    /// nobody has accepted are reset.
    pub(super) fn stop_listening(&self, error: Option<ConnectionError>) {
        let before = std::mem::replace(&mut *self.accepting.lock(), Accepting::Closed);
        let Accepting::Open(queue) = before else {
            return;
        };
        let unaccepted = match error {
            None => queue.close(),
            Some(error) => queue.fail(error),
        };
        for handle in unaccepted {
            handle.reset();
            handle.release();
        }
    }

    /// Whether a datagram with this nonce, which could open a session, has been here before.
    pub(super) fn is_replay(&self, nonce: Nonce, plaintext: &[u8]) -> bool {
        judge(plaintext, u32::MAX) == Stranger::Genuine
            && self.accept_queue().is_some()
            && !self.replays.is_first(nonce)
    }

    /// Lets a peer's session in, or says why not. If nothing is missing but room, `find` is asked for
    /// a session that could make some; it is given as well, and has to go.
    pub(super) fn admit_peer(
        self: &Arc<Self>,
        now: Instant,
        id: ConnectionId,
        standing: Standing,
        queue: &AcceptQueue,
        find: impl FnOnce() -> Option<Slot>,
    ) -> Result<(Permit, Option<Slot>), DropReason> {
        let mut permit = Permit::new(self, id, Opener::Peer);
        if permit.from_source as usize > self.admission.limits.per_source {
            return Err(DropReason::TooManyFromSource);
        }
        if self.memory.is_used_up() {
            return Err(DropReason::OverMemory);
        }
        let (sessions, unaccepted) = (self.sessions(), queue.len() + 1);
        let room = self.admission.check_room(standing, sessions, unaccepted);
        let displaced = match room {
            Ok(()) => None,
            Err(reason) => Some(find().ok_or(reason)?),
        };
        let attempt = Attempt::new(
            id.remote(),
            id.conversation,
            permit.from_source as usize - 1,
        );
        if !self.admission.asks_hook(&attempt) {
            return Err(DropReason::Refused);
        }
        permit.advanced =
            standing == Standing::Known && self.admission.take_advance(now, id.remote().ip());
        Ok((permit, displaced))
    }

    /// Lets a session in that is opened from this side.
    ///
    /// # Errors
    ///
    /// The port is shut down, or all conversation ids towards this peer are in use.
    pub(super) fn admit_own(self: &Arc<Self>, peer: SocketAddr) -> io::Result<Permit> {
        let peer = canonical(peer);
        let Some(conversation) = self.conversations.take(peer) else {
            let text = format!("65536 connections to {peer} are open");
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, text));
        };
        let id = ConnectionId::new(self.id, peer, conversation);
        let permit = Permit::new(self, id, Opener::Here);
        // Only now, when whoever shuts it down sees the session.
        if self.is_shut_down() {
            return Err(ConnectionError::EndpointClosed.into());
        }
        if self.peer.is_some() {
            self.only_connection.get_or_init(|| id);
        }
        Ok(permit)
    }

    /// A session is about to be opened from this side. Returns whether it is the first, and peers may
    /// have opened some: their ids are to be noted.
    pub(super) fn begins_to_open(&self) -> bool {
        self.conversations.begin() && self.accept_queue().is_some()
    }

    /// A peer opens a session under this id. Returns whether it is to be given back.
    fn note_chosen(&self, id: ConnectionId) -> bool {
        self.conversations.note(id.remote(), id.conversation)
    }

    /// The session that alone can be meant, on a connected socket.
    pub(super) fn only_connection(&self) -> Option<ConnectionId> {
        self.only_connection.get().copied()
    }

    /// The last handle that could open a session is gone; those that exist end by themselves.
    pub(super) fn orphan(&self) {
        self.stop_listening(None);
        self.orphaned.store(true, Ordering::SeqCst);
        self.retire_if_finished();
    }

    /// The user ends the port.
    pub(super) fn shut_down(&self) {
        self.shut_down.store(true, Ordering::SeqCst);
        self.stop_listening(Some(ConnectionError::EndpointClosed));
        self.retire_if_finished();
    }

    pub(super) fn is_shut_down(&self) -> bool {
        self.shut_down.load(Ordering::SeqCst)
    }

    /// The user ends the port now.
    pub(super) fn abort(&self) {
        self.aborted.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::SeqCst)
    }

    /// Whether there is no session and there will be none.
    pub(super) fn is_finished(&self) -> bool {
        let ending = self.orphaned.load(Ordering::SeqCst) || self.is_shut_down();
        ending && self.sessions() == 0
    }

    /// Waits until no session is left; returns whether that was so by the deadline, if any.
    pub(super) fn wait_idle(&self, deadline: Option<Instant>) -> bool {
        let mut guard = self.idle_lock.lock();
        while self.sessions() > 0 {
            match deadline {
                None => self.idle.wait(&mut guard),
                Some(deadline) => {
                    if self.idle.wait_until(&mut guard, deadline).timed_out() {
                        return self.sessions() == 0;
                    }
                }
            }
        }
        true
    }

    fn retire_if_finished(&self) {
        if !self.is_finished() {
            return;
        }
        for lane in &self.lanes {
            if let Some(poller) = &lane.poller {
                poller.post(PollCommand::Retire(self.id));
            }
        }
    }
}

impl Lane {
    pub(super) fn new(sender: Weak<dyn SendDatagrams>, poller: Option<Arc<PollHandle>>) -> Self {
        Self {
            sender,
            poller,
            blocked: AtomicU64::new(0),
        }
    }

    /// What its datagrams leave through; `None` once it is closed.
    pub(super) fn sender(&self) -> Option<Arc<dyn SendDatagrams>> {
        self.sender.upgrade()
    }

    /// How many datagrams a train may have.
    pub(super) fn max_segments(&self) -> usize {
        self.sender().map_or(1, |sender| sender.max_segments())
    }

    /// Asks that this worker be told when the kernel takes datagrams again.
    pub(super) fn ask_writable(&self, port: PortId, lane: usize, worker: usize) {
        let before = self.blocked.fetch_or(1 << worker, Ordering::SeqCst);
        if before == 0
            && let Some(poller) = &self.poller
        {
            poller.post(PollCommand::Blocked(port, lane));
        }
    }

    /// For the poll thread: the workers that asked, as bits.
    pub(super) fn take_blocked(&self) -> u64 {
        self.blocked.swap(0, Ordering::SeqCst)
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").finish_non_exhaustive()
    }
}

/// A session's right to exist, under this id. Counts for every limit as long as it lives, however
/// it ends.
#[derive(Debug)]
pub(super) struct Permit {
    port: Arc<Port>,
    id: ConnectionId,
    opener: Opener,
    /// Nobody else is given its id.
    holds_id: bool,
    /// How many sessions a peer's address had, this one included, when it was given.
    from_source: u32,
    validated: bool,
    /// The address was proven lately, and one of its advances taken.
    advanced: bool,
    /// Bytes that the connection holds, if a `u32` can tell.
    held: u32,
}

/// Who has opened a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opener {
    /// It counts as one of those that its address may have.
    Peer,
    /// Its conversation id was one of those that are free.
    Here,
}

impl Permit {
    fn new(port: &Arc<Port>, id: ConnectionId, opener: Opener) -> Self {
        port.sessions.fetch_add(1, Ordering::SeqCst);
        port.memory.enter();
        let from_source = match opener {
            Opener::Peer => port.admission.enter(id.remote().ip()) as u32,
            Opener::Here => 0,
        };
        Self {
            port: port.clone(),
            id,
            opener,
            holds_id: opener == Opener::Here || port.note_chosen(id),
            from_source,
            validated: opener == Opener::Here,
            advanced: false,
            held: 0,
        }
    }

    pub(super) fn port(&self) -> &Arc<Port> {
        &self.port
    }

    pub(super) fn id(&self) -> ConnectionId {
        self.id
    }

    /// Whether more may be sent to the peer at first, because its address was proven lately.
    pub(super) fn is_advanced(&self) -> bool {
        self.advanced
    }

    /// The peer has proven its address.
    pub(super) fn set_validated(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.validated, true) {
            self.port.admission.prove(now, self.id.remote().ip());
        }
    }

    /// The session's peer, who has opened it, is at another address, which proves nothing yet.
    pub(super) fn migrate(&mut self, now: Instant, id: ConnectionId) -> Result<(), DropReason> {
        debug_assert_eq!(self.opener, Opener::Peer);
        let (from, to) = (self.id.remote().ip(), id.remote().ip());
        let admission = &self.port.admission;
        // Asked while the proof of the old address counts: it may be the same.
        let known = admission.standing(now, to) == Standing::Known;
        admission.migrate(from, self.validated, to)?;
        self.advanced = known && admission.take_advance(now, to);
        self.release_id();
        self.id = id;
        self.holds_id = self.port.note_chosen(id);
        self.validated = false;
        Ok(())
    }

    /// The port has begun to choose ids itself.
    pub(super) fn note_id(&mut self) {
        self.holds_id = self.holds_id || self.port.note_chosen(self.id);
    }

    fn release_id(&mut self) {
        if std::mem::take(&mut self.holds_id) {
            let conversations = &self.port.conversations;
            conversations.give_back(self.id.remote(), self.id.conversation);
        }
    }

    /// How many bytes the connection holds now.
    pub(super) fn set_held(&mut self, bytes: usize) {
        let now = u32::try_from(bytes).unwrap_or(u32::MAX);
        let before = std::mem::replace(&mut self.held, now);
        self.port.memory.replace(before as usize, now as usize);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.set_held(0);
        self.port.memory.leave();
        self.release_id();
        if self.opener == Opener::Peer {
            let ip = self.id.remote().ip();
            self.port.admission.leave(ip, self.validated);
        }
        if self.port.sessions.fetch_sub(1, Ordering::SeqCst) == 1 {
            drop(self.port.idle_lock.lock());
            self.port.idle.notify_all();
            self.port.retire_if_finished();
        }
    }
}
