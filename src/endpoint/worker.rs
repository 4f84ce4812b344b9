//! A worker: the only owner of its sessions, and the order in which it does its work.
//!
//! [`Worker::turn`] is the whole of it, but for what comes to a worker in the poll thread, without
//! threads or clocks, so that tests can drive it. The loop around it is a thread of its own
//! ([`thread`]), or that of the poll thread.

mod admit;
mod ensemble;
mod input;
mod migrate;

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Instant,
};

use crate::{
    connection::{Ensembles, Side},
    error::ConnectionError,
    sync::Gathering,
};

use super::{
    batch::DatagramBatch,
    deadlines::Deadlines,
    handle::SessionHandle,
    port::{Port, PortId},
    session::{Opening, Session},
    shard::{Command, Ending, Shard},
    table::{ConnectionId, Slot, Table, Tenant},
    transmit::{Flushed, Next, Transmitter, Way},
};

use admit::Gate;

/// Sessions visited in one turn, and as many before it; the others come first in the next.
const MAX_VISITS: usize = 256;
/// After so many visits the threads are woken that wait for many sessions: each visit may take as
/// long as sending two trains.
const MAX_GATHERED: usize = 16;
/// The memory of so many sessions is near the processor anyway.
const CROWD: usize = 128;
/// So many sessions lie between the one that is visited and the one whose memory is brought: first
/// its own, then that to which it leads.
const OWN_AHEAD: usize = 3;
const PARTS_AHEAD: usize = 1;
/// Deadlines looked at in one turn.
const MAX_DEADLINES: usize = 1024;

/// The sessions whose ids hash to one shard.
#[derive(Debug)]
pub(super) struct Worker {
    shard: Arc<Shard>,
    table: Table<Session>,
    gate: Gate,
    deadlines: Deadlines,
    touched: VecDeque<Slot>,
    /// How many sessions datagrams have put on that list since it was looked at.
    fresh: usize,
    /// How many have been visited since the last turn.
    visited: usize,
    transmitter: Transmitter,
    ensembles: Ensembles<Table<Session>>,
    seeds: RandomState,
    /// Sessions, ever.
    taken_up: u64,
    batches: Vec<DatagramBatch>,
    commands: Vec<Command>,
    /// The session of the latest datagram: many in a row belong together.
    latest: Option<(ConnectionId, Slot)>,
    stopped: bool,
}

impl Worker {
    pub(super) fn new(index: usize, shard: Arc<Shard>) -> Self {
        Self {
            shard,
            table: Table::new(),
            gate: Gate::new(),
            deadlines: Deadlines::default(),
            touched: VecDeque::new(),
            fresh: 0,
            visited: 0,
            transmitter: Transmitter::new(index),
            ensembles: Ensembles::new(),
            seeds: RandomState::new(),
            taken_up: 0,
            batches: Vec::new(),
            commands: Vec::new(),
            latest: None,
            stopped: false,
        }
    }

    /// Takes what has been brought to the shard, once its bell is answered; returns whether there
    /// are datagrams.
    pub(super) fn collect(&mut self) -> bool {
        self.shard.collect(&mut self.batches, &mut self.commands);
        !self.batches.is_empty()
    }

    /// Does all work that is there, within bounds: what has come, what is due, and what follows.
    pub(super) fn turn(&mut self, now: Instant) {
        self.take_batches(now);
        self.take_commands(now);
        self.fire_deadlines(now);
        self.visit_touched(now, MAX_VISITS);
        self.visited = 0;
        self.ensembles.compare(now, &mut self.table);
        self.forget_old(now);
    }

    /// Whether another turn is wanted at once.
    pub(super) fn has_work(&self) -> bool {
        !self.touched.is_empty()
    }

    /// When another turn is wanted, if nothing comes before.
    pub(super) fn next_deadline(&mut self) -> Option<Instant> {
        let deadlines = [self.deadlines.next(), self.gate.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Whether it was told to end.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// After a panic: whoever waits for a session of this worker gets the error.
    pub(super) fn fail_all(&self, error: ConnectionError) {
        let late = self.shard.close(error);
        for command in late.iter().chain(&self.commands) {
            if let Command::Open(opening) = command {
                opening.handle.fail(error);
            }
        }
        for (_, session) in self.table.iter() {
            session.handle.fail(error);
        }
    }
}

// Input.
impl Worker {
    fn take_batches(&mut self, now: Instant) {
        if self.batches.is_empty() {
            return;
        }
        let mut batches = std::mem::take(&mut self.batches);
        self.handle_datagrams(now, batches.iter().flat_map(DatagramBatch::iter));
        self.shard.recycle(&mut batches);
        self.batches = batches;
    }

    fn take_commands(&mut self, now: Instant) {
        // Taken one by one, so that after a panic the others still are where `fail_all` looks.
        self.commands.reverse();
        while let Some(command) = self.commands.pop() {
            match command {
                Command::Dirty(slot) => {
                    self.touch_with(slot, |session| session.dirty = true);
                }
                Command::Open(opening) => self.open(now, *opening),
                Command::Refused(id) => {
                    if let Some(slot) = self.table.find(&id) {
                        self.touch_with(slot, |session| session.refused = true);
                    }
                }
                Command::Writable(port, lane) => self.resume(port, lane),
                Command::NoteIds(port) => self.note_ids(port),
                Command::Close(port, ending) => self.close_port(now, &port, ending),
                Command::Stop(error) => self.stop(now, error),
            }
        }
    }

    fn fire_deadlines(&mut self, now: Instant) {
        for _ in 0..MAX_DEADLINES {
            let Some(index) = self.deadlines.pop_expired(now) else {
                return;
            };
            self.touch_with(self.table.slot(index), |session| {
                session.connection.handle_timeout(now)
            });
        }
    }

    fn resume(&mut self, port: PortId, lane: usize) {
        for slot in self.transmitter.resume(port, lane) {
            self.touch_with(slot, |session| session.blocked = false);
        }
    }

    fn touch(&mut self, slot: Slot) {
        self.touch_with(slot, |_| {});
    }

    /// Changes a session and has it visited. Returns whether it was not to be visited already.
    fn touch_with(&mut self, slot: Slot, change: impl FnOnce(&mut Session)) -> bool {
        let Some(session) = self.table.get_mut(slot) else {
            return false;
        };
        change(session);
        let is_new = !std::mem::replace(&mut session.touched, true);
        if is_new {
            self.touched.push_back(slot);
        }
        is_new
    }
}

// Sessions come and go.
impl Worker {
    fn open(&mut self, now: Instant, opening: Opening) {
        let port = opening.permit.port().clone();
        if port.is_aborted() {
            opening.handle.fail(ConnectionError::EndpointClosed);
            return;
        }
        if self.table.find(&opening.permit.id()).is_some() {
            // A peer chose the same conversation for a session towards us.
            opening.handle.fail(ConnectionError::Reset);
            return;
        }
        port.counters.sessions_connected.add(1);
        let slot = self.insert(now, opening, Side::Client);
        self.touch_with(slot, |session| {
            // What was written before the end of the endpoint is delivered.
            if port.is_shut_down() {
                session.close(ConnectionError::EndpointClosed);
            }
        });
    }

    fn insert(&mut self, now: Instant, opening: Opening, side: Side) -> Slot {
        self.taken_up += 1;
        // Unguessable, because peers prove their address by echoing times that come from it.
        let seed = self.seeds.hash_one(self.taken_up);
        let handle = opening.handle.clone();
        let slot = self.table.insert(Session::new(opening, side, seed, now));
        handle.set_place(slot);
        slot
    }

    fn remove(&mut self, now: Instant, slot: Slot) {
        self.deadlines.disarm(slot);
        self.latest = None;
        let Some(mut session) = self.table.remove(slot) else {
            return;
        };
        session.finish();
        log::debug!(
            "session {:#06x} of {} is over",
            session.id().conversation,
            session.id().remote()
        );
        self.after(now, &session);
    }

    fn slots_of(&self, port: PortId) -> Vec<Slot> {
        let of_port = |(_, session): &(Slot, &Session)| session.id().port == port;
        let sessions = self.table.iter().filter(of_port);
        sessions.map(|(slot, _)| slot).collect()
    }

    fn note_ids(&mut self, port: PortId) {
        for slot in self.slots_of(port) {
            if let Some(session) = self.table.get_mut(slot) {
                session.note_id();
            }
        }
    }

    fn close_port(&mut self, now: Instant, port: &Arc<Port>, ending: Ending) {
        for slot in self.slots_of(port.id) {
            self.touch_with(slot, |session| match ending {
                Ending::Graceful => session.close(ConnectionError::EndpointClosed),
                Ending::Abort => session.abort(now, ConnectionError::EndpointClosed),
            });
            if ending == Ending::Abort {
                self.visit(now, slot);
                self.remove(now, slot);
            }
        }
    }

    fn stop(&mut self, now: Instant, error: ConnectionError) {
        let slots: Vec<Slot> = self.table.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            self.touch_with(slot, |session| session.abort(now, error));
            self.visit(now, slot);
            self.remove(now, slot);
        }
        self.fail_all(error);
        self.stopped = true;
    }
}

// Work on sessions.
impl Worker {
    /// Visits sessions in the order in which they were touched, at most so many. One that has more
    /// to send goes to the end of the line.
    fn visit_touched(&mut self, now: Instant, most: usize) {
        self.fresh = 0;
        let mut gathering = None;
        for visit in 0..self.touched.len().min(most) {
            if visit % MAX_GATHERED == 0 {
                // Those who have missed something are woken before others are kept waiting.
                drop(gathering.take());
                gathering = (self.touched.len() > 1).then(Gathering::begin);
            }
            let Some(slot) = self.touched.pop_front() else {
                break;
            };
            self.prefetch_next();
            self.visit(now, slot);
            self.visited += 1;
        }
        self.transmitter.depart();
    }

    /// Whether there are so many sessions that their memory may be far away.
    fn is_crowded(&self) -> bool {
        self.table.len() > CROWD
    }

    /// A session whose memory may be far away.
    fn far(&self, slot: Slot) -> Option<&Session> {
        let session = self.is_crowded().then(|| self.table.get(slot));
        session.flatten()
    }

    /// Has the memory of the next sessions to be visited brought, step by step.
    fn prefetch_next(&self) {
        let next = |ahead: usize| self.far(*self.touched.get(ahead)?);
        if let Some(session) = next(OWN_AHEAD) {
            session.prefetch();
        }
        if let Some(session) = next(PARTS_AHEAD) {
            session.prefetch_parts();
        }
    }

    /// Between the application and the connection. A session whose peer proves its address by what
    /// has come may follow it to another from then on.
    fn exchange(&mut self, now: Instant, slot: Slot) {
        let Some(session) = self.table.get_mut(slot) else {
            return;
        };
        session.touched = false;
        let was_movable = session.is_movable();
        session.exchange(now);
        if !was_movable && session.is_movable() {
            let id = session.id();
            self.table.set_movable(slot, id);
        }
    }

    fn visit(&mut self, now: Instant, slot: Slot) {
        self.exchange(now, slot);
        let Some(session) = self.table.get_mut(slot) else {
            return;
        };
        let flushed = if session.blocked {
            Flushed::Blocked
        } else {
            // Whoever has closed is told next that all has been sent.
            let next = match self.touched.is_empty() || session.is_closing() {
                true => Next::Nothing,
                false => Next::Others,
            };
            self.transmitter.flush(now, slot, session, next)
        };
        session.blocked = flushed == Flushed::Blocked;
        if session.blocked {
            session.connection.on_blocked();
        }
        session.settle(now);
        self.ensembles.watch(now, slot, &mut session.connection);
        let lines_up = session.falls_silent().then(|| session.id().port);
        if session.is_over() && flushed != Flushed::More {
            self.remove(now, slot);
        } else if flushed == Flushed::More || session.refused {
            self.touch(slot);
        } else {
            let deadline = session.deadline(now);
            self.deadlines.arm(now, slot, deadline);
        }
        if let Some(port) = lines_up {
            self.line_up(now, port, slot, true);
        }
    }
}

/// The application's end of a session.
pub(super) fn new_handle(
    port: &Port,
    shard: &Arc<Shard>,
    id: ConnectionId,
    way: Way,
) -> Arc<SessionHandle> {
    let addresses = way.addresses(port.local, id.remote());
    SessionHandle::new(
        id.conversation,
        addresses,
        &port.config,
        &port.memory,
        shard.clone(),
    )
}

pub(super) mod thread;

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
