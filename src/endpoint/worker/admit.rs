//! How a peer's datagram opens a session, or what becomes of it otherwise.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    config::derive,
    connection::{Side, UNPROVEN_BYTES},
    error::{ConnectionError, DropReason},
    wire::{COMMAND_LEN, Command, Segments},
};

use super::{Worker, new_handle};
use crate::endpoint::{
    accept::AcceptQueue,
    admission::Standing,
    batch::Datagram,
    knocks::Knocks,
    newcomers::{Newcomer, Newcomers},
    port::{Permit, Port, PortId},
    session::{Opening, Session},
    strangers::{ReplyBudget, Stranger, judge},
    table::{ConnectionId, Slot, Table, Tenant},
    tombstones::{Late, Tombstones},
    transmit::Way,
};

/// Whoever waits to be accepted need not make room before. An honest client that has said what it
/// wants waits in silence, and a program that works off a rush comes to it until then; newcomers
/// come again. After that it is more likely that nobody is there.
const WAITS_IN_PEACE: Duration = Duration::from_secs(1);

/// What a worker remembers of those who come, and of those who are gone.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) tombstones: Tombstones,
    replies: ReplyBudget,
    pub(super) knocks: Knocks,
    pub(super) newcomers: Newcomers,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            tombstones: Tombstones::default(),
            replies: ReplyBudget::new(),
            knocks: Knocks::default(),
            newcomers: Newcomers::default(),
        }
    }

    /// When something is to be forgotten, if nothing comes before.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let deadlines = [self.tombstones.next_deadline(), self.knocks.next_deadline()];
        deadlines.into_iter().flatten().min()
    }
}

impl Worker {
    pub(super) fn find_or_admit(
        &mut self,
        now: Instant,
        id: ConnectionId,
        datagram: Datagram<'_>,
    ) -> Result<Slot, DropReason> {
        if let Some(slot) = self.table.find(&id) {
            return Ok(slot);
        }
        if datagram.port.allows_migration()
            && let Some(slot) = self.follow(now, id, datagram)?
        {
            return Ok(slot);
        }
        self.admit(now, id, datagram)
    }

    /// Opens a session for a peer's datagram, or says why it is dropped.
    fn admit(
        &mut self,
        now: Instant,
        id: ConnectionId,
        datagram: Datagram<'_>,
    ) -> Result<Slot, DropReason> {
        let port = datagram.port;
        let window = derive::segments_per_buffer(port.config.read_buffer(), port.config.mtu());
        let stranger = judge(
            datagram.plaintext,
            u32::try_from(window).unwrap_or(u32::MAX),
        );
        let late = match stranger {
            Stranger::Terminate => Late::Terminate,
            _ => Late::Other,
        };
        let first = Segments::new(datagram.plaintext).next();
        let side = first.and_then(|first| Side::told(first.options()));
        if let Some(answer) = self.gate.tombstones.find(now, id, side, late) {
            self.answer(now, datagram, answer);
            return Err(DropReason::Tombstone);
        }
        if stranger == Stranger::Terminate {
            return Err(DropReason::UnknownTerminate);
        }
        let Some(queue) = port.accept_queue() else {
            return Err(DropReason::NotListening);
        };
        match stranger {
            Stranger::Genuine | Stranger::Stray(_) if self.is_late(now, &id) => {
                Err(DropReason::Stray)
            }
            Stranger::Genuine if datagram.replayed => Err(DropReason::Replay),
            Stranger::Genuine => self.accept(now, id, datagram, &queue),
            Stranger::Stray(_) if self.expects_proof(now, &id, datagram) => Err(DropReason::Stray),
            Stranger::Stray(answer) => {
                self.answer(now, datagram, answer);
                Err(DropReason::Stray)
            }
            Stranger::Early | Stranger::Terminate => Err(DropReason::Stray),
        }
    }

    fn accept(
        &mut self,
        now: Instant,
        id: ConnectionId,
        datagram: Datagram<'_>,
        queue: &AcceptQueue,
    ) -> Result<Slot, DropReason> {
        let port = datagram.port;
        let permit = self.permit(now, id, port, queue)?;
        let way = Way::from(datagram.origin);
        let handle = new_handle(port, &self.shard, id, way);
        handle.limit_pipes(UNPROVEN_BYTES);
        let opening = Opening {
            handle: handle.clone(),
            permit,
            way,
        };
        // First in the table: if this thread dies from here on, nobody waits for the session.
        let slot = self.insert(now, opening, Side::Server);
        if queue.try_push(handle).is_err() {
            self.table.remove(slot);
            return Err(DropReason::AcceptQueueFull);
        }
        port.counters.sessions_accepted.add(1);
        log::debug!("session {:#06x} of {} opened", id.conversation, id.remote());
        self.line_up(now, port.id, slot, false);
        Ok(slot)
    }

    /// Puts a silent session at the end of those that may have to make room: at first, or `again`
    /// because it seemed to answer meanwhile.
    pub(super) fn line_up(&mut self, now: Instant, port: PortId, slot: Slot, again: bool) {
        let table = &self.table;
        let newcomer = Newcomer {
            port,
            slot,
            since: now,
            again,
        };
        let newcomers = &mut self.gate.newcomers;
        newcomers.add(newcomer, |newcomer| is_silent(table, newcomer));
    }

    /// Room for a session, if need be that of another one.
    fn permit(
        &mut self,
        now: Instant,
        id: ConnectionId,
        port: &Arc<Port>,
        queue: &AcceptQueue,
    ) -> Result<Permit, DropReason> {
        let standing = port.admission.standing(now, id.remote().ip());
        let refused = match standing {
            Standing::Stranger if !port.admission.has_turn(now) => DropReason::Deferred,
            _ => match port.admit_peer(now, id, standing, queue, || None) {
                Err(reason) if reason.is_crowding() => reason,
                answer => return answer.map(|(permit, _)| permit),
            },
        };
        if standing == Standing::Stranger && !self.gate.knocks.is_second(now, &id) {
            return Err(refused);
        }
        let standing = standing.max(Standing::Persistent);
        let find = || {
            let backlogged = port.admission.is_backlogged(standing, queue.len() + 1);
            self.oldest_silent(now, port, backlogged)
        };
        let (permit, displaced) = port.admit_peer(now, id, standing, queue, find)?;
        if let Some(slot) = displaced {
            self.displace(now, port, slot);
        }
        Ok(permit)
    }

    /// The oldest silent session of a port; if room is wanted in its queue, one that has waited
    /// there for a while.
    fn oldest_silent(&mut self, now: Instant, port: &Port, backlogged: bool) -> Option<Slot> {
        let table = &self.table;
        let makes_room = |slot| !backlogged || table.get(slot).is_some_and(Session::is_queued);
        let is_silent = |newcomer: &Newcomer| is_silent(table, newcomer);
        let latest = match backlogged {
            true => now.checked_sub(WAITS_IN_PEACE)?,
            false => now,
        };
        let newcomers = &mut self.gate.newcomers;
        newcomers.oldest(port.id, latest, is_silent, makes_room)
    }

    /// Ends a session for another one. Its peer, if there is any, learns of it with what it sends
    /// next.
    fn displace(&mut self, now: Instant, port: &Port, slot: Slot) {
        if let Some(session) = self.table.get_mut(slot) {
            session.abort(now, ConnectionError::TimedOut);
        }
        port.counters.sessions_displaced.add(1);
        self.remove(now, slot);
    }

    /// Without this, what a flood has left would stay until the next session comes or ends.
    pub(super) fn forget_old(&mut self, now: Instant) {
        let gate = &mut self.gate;
        if gate.next_deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        gate.tombstones.forget_old(now);
        gate.knocks.prune(now);
    }

    /// What is left to do once a session has been removed.
    pub(super) fn after(&mut self, now: Instant, session: &Session) {
        let gate = &mut self.gate;
        if session.leaves_tombstone() {
            let terminate = session.connection.final_terminate();
            let proven = session.connection.is_validated();
            let name = (session.id(), session.connection.side());
            gate.tombstones.bury(now, name, terminate, proven);
        }
        let table = &self.table;
        gate.newcomers.prune(|newcomer| is_silent(table, newcomer));
        // A session that failed before anybody accepted it is of no use to anybody.
        if session.has_failed()
            && let Some(queue) = session.port().accept_queue()
        {
            queue.remove(&session.handle);
        }
    }

    fn answer(&mut self, now: Instant, datagram: Datagram<'_>, answer: Command) {
        // Never longer than the request, so that nobody can use us to multiply a flood.
        if datagram.plaintext.len() >= COMMAND_LEN && self.gate.replies.take(now) {
            self.transmitter
                .reply(datagram.port, datagram.origin, answer);
        }
    }
}

/// Whether a session is there and may go, and has no later place in the line.
fn is_silent(table: &Table<Session>, newcomer: &Newcomer) -> bool {
    let session = table.get(newcomer.slot);
    session.is_some_and(|session| session.is_silent(newcomer.again))
}
