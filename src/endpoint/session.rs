//! One session: a connection, the pipes to its application, and the way to its peer.

use std::{
    net::Shutdown,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    connection::{Connection, Side},
    error::{ConnectionError, DropReason},
    prefetch::prefetch,
};

use super::{
    handle::SessionHandle,
    port::{Permit, Port},
    table::{ConnectionId, Tenant},
    transmit::Way,
};

mod keeping;
mod migration;

use keeping::Keeping;
use migration::Migration;

/// Asked for more, an application gets this: times are added to times.
const LONGEST_LINGER: Duration = Duration::from_secs(365 * 24 * 3600);

/// What a new session is made of. One that an application opens travels to its worker like this.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) handle: Arc<SessionHandle>,
    pub(super) permit: Permit,
    pub(super) way: Way,
}

/// A connection with everything around it. Only its worker touches it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) handle: Arc<SessionHandle>,
    pub(super) way: Way,
    /// On the worker's list of sessions to visit.
    pub(super) touched: bool,
    /// The application has done something.
    pub(super) dirty: bool,
    /// It may have written what the connection has not taken yet.
    may_collect: bool,
    /// The last datagrams could not leave yet.
    pub(super) blocked: bool,
    /// The kernel said that nobody listens at the peer.
    pub(super) refused: bool,
    permit: Permit,
    /// If the peer has moved. Apart, for few ever do.
    migration: Option<Box<Migration>>,
    /// Whether the application, or the end of the endpoint, has ended each direction ...
    no_reader: bool,
    no_writer: bool,
    /// ... and whether the connection knows. It learns that writing has ended once the pipe is
    /// empty, or is reset when the linger time, which began then, is over.
    told: Told,
    pipe_linger: Option<Box<Instant>>,
    keeping: Keeping,
}

/// What one side has already told the other, so that it is told once.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    reset: bool,
    end_of_reading: bool,
    end_of_writing: bool,
    established: bool,
    validated: bool,
    read_end: bool,
    write_end: bool,
    flushed: bool,
    owes_proof: bool,
    finished: bool,
}

impl Session {
    pub(super) fn new(opening: Opening, side: Side, seed: u64, now: Instant) -> Self {
        let Opening {
            handle,
            permit,
            way,
        } = opening;
        let conversation = permit.id().conversation;
        let port = permit.port();
        let config = port.config.clone();
        let max_plaintext = port.max_plaintext();
        let mut connection = Connection::new(side, conversation, config, max_plaintext, seed, now);
        if side == Side::Server {
            let factor = port.admission.limits.amplification_factor;
            connection.set_amplification_factor(factor);
        }
        if permit.is_advanced() {
            connection.advance();
        }
        handle.show(connection.counters().clone());
        Self {
            connection,
            handle,
            way,
            permit,
            touched: false,
            dirty: true,
            may_collect: true,
            blocked: false,
            refused: false,
            migration: None,
            no_reader: false,
            no_writer: false,
            told: Told::default(),
            pipe_linger: None,
            keeping: Keeping::default(),
        }
    }

    pub(super) fn port(&self) -> &Arc<Port> {
        self.permit.port()
    }

    /// The connection, the port by which it sends, and whether the kernel refused something.
    pub(super) fn sending(&mut self) -> (&Arc<Port>, &mut Connection, &mut bool) {
        (self.permit.port(), &mut self.connection, &mut self.refused)
    }

    /// Has its memory brought.
    pub(super) fn prefetch(&self) {
        prefetch(self);
        prefetch(&self.touched);
        prefetch(&self.told);
        prefetch(&self.permit);
        prefetch(&self.keeping);
        self.connection.prefetch();
    }

    /// Has that brought to which it leads, once its own is there.
    pub(super) fn prefetch_parts(&self) {
        self.handle.prefetch();
        self.connection.prefetch_parts();
    }

    /// The id is not to be given to another.
    pub(super) fn note_id(&mut self) {
        self.permit.note_id();
    }

    /// Gives a datagram to the connection. Where memory is limited, each counts before the next
    /// comes.
    pub(super) fn handle_datagram(&mut self, now: Instant, plaintext: &[u8]) {
        self.share_memory();
        self.connection.handle_datagram(now, plaintext);
        if self.port().memory.is_limited() {
            self.count_memory();
        }
    }

    /// Ends both directions after delivering what was written; readers and writers get this error.
    pub(super) fn close(&mut self, error: ConnectionError) {
        self.handle.receive_pipe().finish(Err(error));
        self.handle.send_pipe().end(error);
        self.no_reader = true;
        self.no_writer = true;
    }

    /// Ends everything now; the peer is told by a Terminate.
    pub(super) fn abort(&mut self, now: Instant, error: ConnectionError) {
        self.handle.fail(error);
        self.reset(now, error);
    }

    /// Moves everything between the application and the connection that can move.
    pub(super) fn exchange(&mut self, now: Instant) {
        if std::mem::take(&mut self.refused) {
            self.connection.handle_refused(now);
        }
        self.take_wishes(now);
        self.tell_progress(now);
        self.share_memory();
        self.deliver();
        self.collect(now);
        self.tell_ends();
    }

    /// What follows from what was sent. To be called after flushing.
    pub(super) fn settle(&mut self, now: Instant) {
        // Not before the peer has been told: a program that closes may exit at once.
        let has_left = self.is_closing() && !self.blocked;
        if !self.told.flushed && has_left && self.connection.is_flushed() {
            self.told.flushed = true;
            self.handle.set_flushed();
        }
        self.connection.show();
        self.count_drops();
        if self.connection.has_ended() && self.connection.read().is_empty() {
            self.finish();
        }
        let held = self.count_memory();
        self.release_memory(now, held);
    }

    fn count_drops(&mut self) {
        if !self.connection.take_dropped() {
            return;
        }
        let Some(mishaps) = self.connection.counters().past_mishaps() else {
            return;
        };
        for (reason, dropped) in [
            (DropReason::BeyondWindow, &mishaps.beyond_window),
            (DropReason::OverMemory, &mishaps.over_memory),
            (DropReason::Reflected, &mishaps.reflected),
        ] {
            let more = dropped.take_news();
            if more > 0 {
                self.port().counters.drop_many(reason, more);
            }
        }
    }

    /// Gives empty memory back, once it has been kept long enough for its use. `held` is what the
    /// connection has in it.
    fn release_memory(&mut self, now: Instant, held: usize) {
        let counters = self.connection.counters();
        let moved = counters.bytes_written.get() + counters.bytes_read.get();
        let is_scarce = self.port().memory.is_scarce();
        if self.keeping.visit(now, moved, held, is_scarce) {
            self.connection.release_memory();
            self.handle.send_pipe().release_memory();
            self.handle.receive_pipe().release_memory();
        }
    }

    /// Tells the connection how much it may hold. The pipes ask themselves.
    fn share_memory(&mut self) {
        let memory = &self.permit.port().memory;
        if memory.is_limited() {
            self.connection.set_allowance(memory.share());
        }
    }

    /// Counts what the connection holds; returns it. The pipes count for themselves.
    fn count_memory(&mut self) -> usize {
        let held = self.connection.memory() + self.connection.bookkeeping();
        self.permit.set_held(held);
        held
    }

    /// When the session wants to be visited without any other cause.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        /// A session that cannot send would find its timers due all the time.
        const WHILE_BLOCKED: Duration = Duration::from_millis(20);
        let timer = self.connection.poll_timeout().map(|(when, _)| when);
        let lingering = self
            .pipe_linger
            .as_ref()
            .map(|begun| **begun + self.connection.linger());
        let deadline = [timer, lingering, self.keeping.deadline()]
            .into_iter()
            .flatten()
            .min()?;
        if self.blocked {
            return Some(deadline.max(now + WHILE_BLOCKED));
        }
        Some(deadline)
    }

    /// Whether nothing is left to do, on the network or for a reader.
    pub(super) fn is_over(&self) -> bool {
        self.connection.is_drained() && self.connection.read().is_empty()
    }

    /// Whether its program has left.
    pub(super) fn is_closing(&self) -> bool {
        self.told.end_of_writing && self.told.end_of_reading
    }

    /// Whether it ended with an error.
    pub(super) fn has_failed(&self) -> bool {
        !matches!(
            self.error(),
            None | Some(
                ConnectionError::LocallyClosed
                    | ConnectionError::PeerClosed
                    | ConnectionError::EndpointClosed
            )
        )
    }

    /// Whether nobody has accepted it yet.
    pub(super) fn is_queued(&self) -> bool {
        self.handle.is_queued()
    }

    /// Whether it follows its peer to another address: from the time on at which the peer has
    /// proven the first.
    pub(super) fn is_movable(&self) -> bool {
        self.told.validated && self.connection.is_server() && self.port().allows_migration()
    }

    /// Whether nothing shows that there is a peer: it has not answered, or been sent data `again`
    /// without proving that it got any.
    pub(super) fn is_silent(&self, again: bool) -> bool {
        self.told.owes_proof == again && !self.connection.is_answering()
    }

    /// Whether a peer that seemed to answer has been sent data and now has to prove its address.
    /// This is told once.
    pub(super) fn falls_silent(&mut self) -> bool {
        let owes = self.connection.owes_proof();
        owes && !std::mem::replace(&mut self.told.owes_proof, true)
    }

    /// Whether late datagrams of a peer are to be expected. If nobody ever proved to be there, and
    /// the session ended by silence, there will be none, or of one who did not get anything.
    pub(super) fn leaves_tombstone(&self) -> bool {
        let silent = self.error() == Some(ConnectionError::TimedOut);
        self.connection.is_validated() || !silent
    }

    /// Takes leave of the application, if that has not been done.
    pub(super) fn finish(&mut self) {
        if std::mem::replace(&mut self.told.finished, true) {
            return;
        }
        let pipe = self.handle.send_pipe();
        let delivered = pipe.len() == 0 && pipe.loss().is_none() && self.connection.is_flushed();
        let error = self.error();
        if delivered {
            self.handle.set_closed(Ok(()));
        } else {
            self.port().on_undelivered();
            self.handle
                .set_closed(Err(error.unwrap_or(ConnectionError::Reset)));
        }
        if self.has_failed() {
            self.port().counters.sessions_failed.add(1);
            let ConnectionId { conversation, .. } = self.id();
            let (remote, state) = (self.id().remote(), self.connection.state());
            log::debug!("session {conversation:#06x} of {remote} failed in {state:?}: {error:?}");
        }
    }

    /// Why the connection ended, if not by both ends closing it.
    fn error(&self) -> Option<ConnectionError> {
        let reading = self.connection.read_end().and_then(Result::err);
        reading.or_else(|| self.connection.write_end())
    }

    fn reset(&mut self, now: Instant, error: ConnectionError) {
        if !std::mem::replace(&mut self.told.reset, true) {
            self.connection.reset(now, error);
        }
    }

    fn take_wishes(&mut self, now: Instant) {
        if std::mem::take(&mut self.dirty) {
            self.may_collect = true;
            let wishes = self.handle.take_wishes();
            self.connection.set_nodelay(wishes.nodelay);
            self.connection
                .set_linger(wishes.linger.get().min(LONGEST_LINGER));
            self.no_reader |= wishes.shutdown_read || wishes.released;
            self.no_writer |= wishes.shutdown_write || wishes.released;
            if wishes.reset {
                self.reset(now, ConnectionError::LocallyClosed);
            }
        }
        if self.no_reader && !std::mem::replace(&mut self.told.end_of_reading, true) {
            self.connection.shutdown(now, Shutdown::Read);
        }
    }

    /// Connection to application. What does not fit stays in the connection and closes its
    /// window.
    fn deliver(&mut self) {
        let connection = &mut self.connection;
        if !connection.read().is_empty() {
            self.handle.receive_pipe().fill(|queue, room| {
                connection.read_into(queue, room);
                !connection.read().is_empty()
            });
        }
    }

    /// Application to connection. What does not fit stays in the pipe and stops its writers.
    fn collect(&mut self, now: Instant) {
        let pipe = self.handle.send_pipe();
        // Another processor may have the pipe, so it is not looked at for nothing.
        if self.may_collect {
            self.may_collect = pipe.pull(|queue| {
                self.connection.write_from(queue);
                !queue.is_empty()
            });
        }
        if !self.no_writer || self.told.end_of_writing {
            return;
        }
        if pipe.is_finished() {
            self.told.end_of_writing = true;
            self.connection.shutdown(now, Shutdown::Write);
            if let Some(begun) = self.pipe_linger.take() {
                self.connection.count_linger_from(*begun);
            }
        } else if self.no_reader {
            // The connection does not know before its queue has taken everything.
            let begun = **self.pipe_linger.get_or_insert_with(|| Box::new(now));
            if begun + self.connection.linger() <= now {
                self.pipe_linger = None;
                self.reset(now, ConnectionError::TimedOut);
            }
        }
    }

    /// Writers first: whoever has read of the end and then writes is not to succeed.
    fn tell_ends(&mut self) {
        if !self.told.write_end
            && let Some(error) = self.connection.write_end()
        {
            self.told.write_end = true;
            self.pipe_linger = None;
            if self.handle.send_pipe().fail(error) {
                self.connection.on_written_lost();
            }
        }
        if !self.told.read_end
            && self.connection.read().is_empty()
            && let Some(end) = self.connection.read_end()
        {
            self.told.read_end = true;
            self.handle.receive_pipe().finish(end);
        }
    }

    fn tell_progress(&mut self, now: Instant) {
        if !self.told.established && self.connection.is_established() {
            self.told.established = true;
            self.handle.set_established();
        }
        if !self.told.validated && self.connection.is_validated() {
            self.told.validated = true;
            self.settle_down();
            self.permit.set_validated(now);
            self.handle.limit_pipes(usize::MAX);
        }
    }
}

impl Tenant for Session {
    fn id(&self) -> ConnectionId {
        self.permit.id()
    }
}
