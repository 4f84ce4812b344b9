//! The way to a worker: its inbox of datagrams, its list of commands, and the bell of its thread.
//!
//! The inbox is bounded by datagrams and bytes, and refuses what is too much. The list of commands
//! has at most one entry per session that changed, plus the sessions being opened.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{ConnectionError, DropReason};

use super::{
    batch::{BATCH, DatagramBatch},
    bell::Bell,
    handle::Doorbell,
    port::{Port, PortId},
    session::Opening,
    table::{ConnectionId, Slot},
};

/// How many datagrams may wait for one worker.
const MAX_DATAGRAMS: usize = 4096;
/// How many bytes may wait for one worker: as many as the kernel is asked to hold.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Empty batches that are kept, so that the next ones need no new memory: as many as can be full.
const SPARE_BATCHES: usize = MAX_DATAGRAMS / BATCH;

/// What a worker is told besides datagrams.
#[derive(Debug)]
pub(super) enum Command {
    /// The application did something with this session.
    Dirty(Slot),
    /// The application opens a session.
    Open(Box<Opening>),
    /// The network says that nobody listens at this connection's peer.
    Refused(ConnectionId),
    /// This socket of this port takes datagrams again.
    Writable(PortId, usize),
    /// This port begins to choose ids: those that peers have chosen are not free.
    NoteIds(PortId),
    /// End all sessions of this port.
    Close(Arc<Port>, Ending),
    /// End everything, and then the thread.
    Stop(ConnectionError),
}

/// How the sessions of a port are ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// After what was written is delivered.
    Graceful,
    /// Now; the peer is told by one Terminate.
    Abort,
}

/// The worker's inbox is full, or nobody empties it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WorkerBehind;

/// The outside of a worker.
#[derive(Debug)]
pub(super) struct Shard {
    inbox: Mutex<Inbox>,
    commands: Mutex<Commands>,
    bell: Arc<Bell>,
}

/// Batches change hands whole: what is in them is not touched on the way.
#[derive(Debug, Default)]
struct Inbox {
    batches: Vec<DatagramBatch>,
    datagrams: usize,
    bytes: usize,
    spare: Vec<DatagramBatch>,
    /// The worker is gone.
    closed: bool,
}

#[derive(Debug, Default)]
struct Commands {
    list: Vec<Command>,
    /// Why nothing is taken any more.
    closed: Option<ConnectionError>,
}

impl Shard {
    /// `bell` is that of the worker's thread.
    pub(super) fn new(bell: Arc<Bell>) -> Arc<Self> {
        Arc::new(Self {
            inbox: Mutex::default(),
            commands: Mutex::default(),
            bell,
        })
    }

    /// Exchanges a batch for an empty one, unless the worker is gone, or so far behind that there is
    /// no room for it.
    pub(super) fn post(&self, batch: &mut DatagramBatch) -> Result<(), WorkerBehind> {
        {
            let mut inbox = self.inbox.lock();
            let datagrams = inbox.datagrams + batch.len();
            let bytes = inbox.bytes + batch.bytes();
            if inbox.closed || datagrams > MAX_DATAGRAMS || bytes > MAX_BYTES {
                return Err(WorkerBehind);
            }
            (inbox.datagrams, inbox.bytes) = (datagrams, bytes);
            inbox.take(batch);
        }
        self.bell.ring();
        Ok(())
    }

    /// For the worker, when little comes: gives back what `recycle` has kept.
    pub(super) fn release_memory(&self) {
        let spare = std::mem::take(&mut self.inbox.lock().spare);
        drop(spare);
    }

    /// Puts a command on the worker's list and wakes it unless somebody has.
    ///
    /// # Errors
    ///
    /// Why the worker takes no more commands.
    pub(super) fn command(&self, command: Command) -> Result<(), ConnectionError> {
        {
            let mut commands = self.commands.lock();
            if let Some(error) = commands.closed {
                return Err(error);
            }
            commands.list.push(command);
        }
        self.bell.ring();
        Ok(())
    }

    /// For the worker, once it has answered its bell: exchanges two empty lists for what has come.
    pub(super) fn collect(&self, batches: &mut Vec<DatagramBatch>, commands: &mut Vec<Command>) {
        self.inbox.lock().empty_into(batches);
        std::mem::swap(commands, &mut self.commands.lock().list);
    }

    /// For the worker: returns what `collect` gave, emptied.
    pub(super) fn recycle(&self, batches: &mut Vec<DatagramBatch>) {
        batches.iter_mut().for_each(DatagramBatch::clear);
        let mut inbox = self.inbox.lock();
        while inbox.spare.len() < SPARE_BATCHES
            && let Some(batch) = batches.pop()
        {
            inbox.spare.push(batch);
        }
        drop(inbox);
        batches.clear();
    }

    /// For the worker, at its end: takes the last commands and refuses all others. What waits in the
    /// inbox is dropped.
    pub(super) fn close(&self, error: ConnectionError) -> Vec<Command> {
        let mut unread = self.inbox.lock().close();
        for batch in &mut unread {
            batch.discard(DropReason::WorkerBehind);
        }
        let mut commands = self.commands.lock();
        commands.closed.get_or_insert(error);
        std::mem::take(&mut commands.list)
    }
}

impl Inbox {
    /// Leaves an empty batch. A few datagrams are added to those that are waiting instead, so that
    /// there are never many batches.
    fn take(&mut self, batch: &mut DatagramBatch) {
        match self.batches.last_mut() {
            Some(last) if last.has_room_for(batch) => last.append(batch),
            _ => {
                let empty = self.spare.pop().unwrap_or_default();
                self.batches.push(std::mem::replace(batch, empty));
            }
        }
    }

    fn empty_into(&mut self, batches: &mut Vec<DatagramBatch>) {
        (self.datagrams, self.bytes) = (0, 0);
        std::mem::swap(batches, &mut self.batches);
    }

    /// Gives up what waits, and all memory.
    fn close(&mut self) -> Vec<DatagramBatch> {
        let closed = Self {
            closed: true,
            ..Self::default()
        };
        std::mem::replace(self, closed).batches
    }
}

impl Doorbell for Shard {
    fn ring(&self, slot: Slot) {
        // A worker that is gone has already told its handles so.
        let _ = self.command(Command::Dirty(slot));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_taken_whole() {
        let shard = Shard::new(Arc::new(Bell::new(|| {})));
        for index in 0..100 {
            shard.ring(Slot::new(index, 0));
        }
        for expected in [100, 0] {
            let mut commands = Vec::new();
            shard.collect(&mut Vec::new(), &mut commands);
            assert_eq!(commands.len(), expected);
        }
    }

    #[test]
    fn a_closed_shard_says_why() {
        let shard = Shard::new(Arc::new(Bell::new(|| {})));
        shard.ring(Slot::new(0, 0));
        assert_eq!(shard.close(ConnectionError::Internal).len(), 1);
        let refused = shard.command(Command::Dirty(Slot::new(0, 0)));
        assert_eq!(refused.unwrap_err(), ConnectionError::Internal);
    }
}
