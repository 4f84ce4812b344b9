//! The way to a worker: its inbox of datagrams, its list of commands, and the doorbell.
//!
//! Everything is bounded without being counted. A batch is posted only by whoever took it from the
//! pool, so no more are in the inbox than the pool ever held; and at most one doorbell is, guarded
//! by `rung`. So posting never waits and never fails while the worker lives. The list of commands
//! has at most one entry per session that changed, plus the sessions being opened.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;

use crate::error::ConnectionError;

use super::{
    batch::DatagramBatch,
    handle::{Doorbell, SessionKey},
    port::{Port, PortId},
    session::Opening,
    table::ConnectionId,
};

/// How many batches may be on their way to one worker.
const POOL: usize = 8;

/// What a worker's inbox carries.
#[derive(Debug)]
pub(super) enum Message {
    Batch(DatagramBatch),
    /// There are commands on the list.
    Doorbell,
}

/// What a worker is told besides datagrams.
#[derive(Debug)]
pub(super) enum Command {
    /// The application did something with this session.
    Dirty(SessionKey),
    /// The application opens a session.
    Open(Box<Opening>),
    /// The network says that nobody listens at this connection's peer.
    Refused(ConnectionId),
    /// This socket of this port takes datagrams again.
    Writable(PortId, usize),
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

/// The outside of a worker.
#[derive(Debug)]
pub(super) struct Shard {
    inbox: Sender<Message>,
    pool: Receiver<DatagramBatch>,
    commands: Mutex<Commands>,
    rung: AtomicBool,
    next_key: AtomicU64,
}

/// The inside: what the worker itself holds.
#[derive(Debug)]
pub(super) struct ShardReceiver {
    pub(super) inbox: Receiver<Message>,
    pub(super) pool: Sender<DatagramBatch>,
}

#[derive(Debug, Default)]
struct Commands {
    list: Vec<Command>,
    /// Why nothing is taken any more.
    closed: Option<ConnectionError>,
}

impl Shard {
    pub(super) fn new() -> (Arc<Self>, ShardReceiver) {
        let (inbox, receiver) = bounded(POOL + 1);
        let (returned, pool) = bounded(POOL);
        for _ in 0..POOL {
            let _ = returned.try_send(DatagramBatch::default());
        }
        let shard = Self {
            inbox,
            pool,
            commands: Mutex::default(),
            rung: AtomicBool::new(false),
            next_key: AtomicU64::new(0),
        };
        let receiver = ShardReceiver {
            inbox: receiver,
            pool: returned,
        };
        (Arc::new(shard), receiver)
    }

    /// A key that no session of this worker ever had.
    pub(super) fn new_key(&self) -> SessionKey {
        let number = self.next_key.fetch_add(1, Ordering::Relaxed);
        SessionKey {
            index: number as u32,
            generation: (number >> 32) as u32,
        }
    }

    /// An empty batch, unless the worker is so far behind that it has them all.
    pub(super) fn take_batch(&self) -> Option<DatagramBatch> {
        self.pool.try_recv().ok()
    }

    /// Sends a batch from `take_batch` to the worker.
    pub(super) fn post_batch(&self, batch: DatagramBatch) {
        let sent = self.inbox.try_send(Message::Batch(batch));
        debug_assert!(!matches!(&sent, Err(error) if error.is_full()));
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
        if !self.rung.swap(true, Ordering::SeqCst) {
            let sent = self.inbox.try_send(Message::Doorbell);
            debug_assert!(!matches!(&sent, Err(error) if error.is_full()));
        }
        Ok(())
    }

    /// For the worker: the commands so far. Whoever adds one from now on rings again.
    pub(super) fn take_commands(&self, into: &mut Vec<Command>) {
        if self.rung.swap(false, Ordering::SeqCst) {
            into.append(&mut self.commands.lock().list);
        }
    }

    /// For the worker, at its end: takes the last commands and refuses all others.
    pub(super) fn close(&self, error: ConnectionError) -> Vec<Command> {
        let mut commands = self.commands.lock();
        commands.closed.get_or_insert(error);
        std::mem::take(&mut commands.list)
    }
}

impl Doorbell for Shard {
    fn ring(&self, key: SessionKey) {
        // A worker that is gone has already told its handles so.
        let _ = self.command(Command::Dirty(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(shard: &Shard) -> usize {
        let mut taken = Vec::new();
        shard.take_commands(&mut taken);
        taken.len()
    }

    #[test]
    fn the_doorbell_rings_once_until_the_worker_looks() {
        let (shard, receiver) = Shard::new();
        for _ in 0..100 {
            shard.ring(shard.new_key());
        }
        assert_eq!(receiver.inbox.len(), 1);
        assert_eq!(commands(&shard), 100);
        assert_eq!(commands(&shard), 0);
        shard.ring(shard.new_key());
        assert_eq!(receiver.inbox.len(), 2);
        assert_eq!(commands(&shard), 1);
    }

    #[test]
    fn batches_are_as_many_as_the_pool_holds() {
        let (shard, receiver) = Shard::new();
        shard.ring(shard.new_key());
        let mut posted = 0;
        while let Some(batch) = shard.take_batch() {
            shard.post_batch(batch);
            posted += 1;
        }
        assert_eq!(posted, POOL);
        assert_eq!(receiver.inbox.len(), POOL + 1);
        let _ = receiver.pool.try_send(DatagramBatch::default());
        assert!(shard.take_batch().is_some());
    }

    #[test]
    fn a_closed_shard_says_why() {
        let (shard, _receiver) = Shard::new();
        shard.ring(shard.new_key());
        assert_eq!(shard.close(ConnectionError::Internal).len(), 1);
        let refused = shard.command(Command::Dirty(shard.new_key()));
        assert_eq!(refused, Err(ConnectionError::Internal));
    }
}
