//! Bytes that the application wrote and the connection has not taken yet.

use std::{
    io::{self, IoSlice},
    sync::Arc,
    time::Duration,
};

use super::{LONGEST_COPY, amount};
use crate::{
    connection::ByteQueue,
    endpoint::memory::{Holding, Memory},
    error::ConnectionError,
    sync::{Event, Events, Monitor, Patience, Wake},
};

/// Who is told that there is room may want so much at least: then to be told of less at once, again
/// and again, would keep a thread busy.
const LEAST_WRITTEN: usize = 4 * 1024;

/// The pipe from the application's writers to the worker.
#[derive(Debug)]
pub(crate) struct SendPipe {
    outgoing: Monitor<Outgoing>,
}

#[derive(Debug)]
struct Outgoing {
    bytes: ByteQueue,
    held: Holding,
    capacity: u32,
    /// How many bytes may wait at present.
    limit: u32,
    /// Set once nothing more may be written: what `write` answers.
    end: Option<ConnectionError>,
    written: u64,
    /// Whether bytes that `write` took were thrown away.
    lost: bool,
}

// The worker's side.
impl SendPipe {
    pub(crate) fn new(capacity: usize, memory: Arc<Memory>) -> Self {
        Self {
            outgoing: Monitor::new(Outgoing {
                bytes: ByteQueue::default(),
                held: Holding::new(memory),
                capacity: amount(capacity),
                limit: amount(capacity),
                end: None,
                written: 0,
                lost: false,
            }),
        }
    }

    pub(crate) fn prefetch(&self) {
        self.outgoing.prefetch();
    }

    /// Lets at most so many bytes wait; those that do already stay.
    pub(crate) fn limit_to(&self, bytes: usize) {
        self.outgoing.update(|outgoing| {
            outgoing.limit = amount(bytes).min(outgoing.capacity);
            ((), Wake::All)
        });
    }

    /// If there are bytes, has `take` remove some from the front. Returns what it returns.
    pub(crate) fn pull<R: Default>(&self, take: impl FnOnce(&mut ByteQueue) -> R) -> R {
        self.outgoing.update(|outgoing| {
            let taken = if outgoing.bytes.is_empty() {
                R::default()
            } else {
                take(&mut outgoing.bytes)
            };
            outgoing.count();
            (taken, outgoing.wake_writer())
        })
    }

    /// Gives the memory back once there is nothing in it, unless more comes before.
    pub(crate) fn release_memory(&self) {
        self.outgoing.update(|outgoing| {
            outgoing.bytes.release_memory();
            ((), Wake::Nobody)
        });
    }

    /// Bytes waiting to be pulled.
    pub(crate) fn len(&self) -> usize {
        self.outgoing.read(|outgoing| outgoing.bytes.len())
    }

    /// Whether writing has ended and every byte has been pulled.
    pub(crate) fn is_finished(&self) -> bool {
        self.outgoing
            .read(|outgoing| outgoing.end.is_some() && outgoing.bytes.is_empty())
    }

    /// Ends writing with this error and throws away what has not been pulled; tells whether that
    /// was anything. If writing had ended already, writers keep getting the earlier answer.
    pub(crate) fn fail(&self, error: ConnectionError) -> bool {
        self.outgoing.update(|outgoing| {
            outgoing.lost |= !outgoing.bytes.is_empty();
            outgoing.bytes.clear();
            outgoing.count();
            outgoing.end.get_or_insert(error);
            (outgoing.lost, Wake::All)
        })
    }
}

// The application's side.
impl SendPipe {
    /// Takes as many bytes as there is room for, waiting until there is some.
    pub(crate) fn write(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let empty = buffers.iter().all(|buffer| buffer.is_empty());
        let written = self.outgoing.wait(Patience::AsSet, |outgoing| {
            if let Some(error) = outgoing.end {
                return Some((Err(error), Wake::Nobody));
            }
            let count = outgoing.push(buffers);
            (count > 0 || empty).then(|| (Ok(count), outgoing.wake_writer()))
        })??;
        Ok(written)
    }

    /// Takes all of the bytes, even beyond the limit. For callers that bound what they write: they
    /// wait for room first, or have only little to say.
    pub(crate) fn write_whole(&self, bytes: &[u8]) -> Result<(), ConnectionError> {
        self.outgoing.update(|outgoing| {
            if let Some(error) = outgoing.end {
                return (Err(error), Wake::Nobody);
            }
            outgoing.bytes.extend(bytes);
            outgoing.count();
            outgoing.written += bytes.len() as u64;
            (Ok(()), Wake::Nobody)
        })
    }

    /// Waits until there is room for so many bytes, or until `give_up` says so.
    pub(crate) fn wait_for_room(
        &self,
        patience: Patience,
        least: usize,
        give_up: impl Fn() -> bool,
    ) -> io::Result<()> {
        self.outgoing.wait(patience, |outgoing| {
            if let Some(error) = outgoing.end {
                return Some((Err(error), Wake::Nobody));
            }
            let enough = outgoing.room() >= least || give_up();
            enough.then_some((Ok(()), Wake::Nobody))
        })??;
        Ok(())
    }

    /// Has the list told once when a write would not wait.
    pub(crate) fn watch(&self, events: &Arc<Events>, event: Event) {
        self.outgoing.watch(events, event, |outgoing| {
            let least = outgoing.most().min(LEAST_WRITTEN);
            let has_room = outgoing.is_worth_waking() && outgoing.room() >= least;
            outgoing.end.is_some() || has_room
        });
    }

    pub(crate) fn unwatch(&self, events: Option<&Arc<Events>>) {
        self.outgoing.unwatch(events);
    }

    /// Has blocked writers look again whether to give up.
    pub(crate) fn wake_writers(&self) {
        self.outgoing.update(|_| ((), Wake::All));
    }

    /// How many bytes `write` would take.
    pub(crate) fn room(&self) -> usize {
        self.outgoing.read(Outgoing::room)
    }

    /// Ends writing, of which writers get this error; what is in the pipe is still delivered.
    pub(crate) fn end(&self, error: ConnectionError) {
        self.outgoing.update(|outgoing| {
            outgoing.end.get_or_insert(error);
            ((), Wake::All)
        });
    }

    /// Whether bytes that `write` took were thrown away, and why.
    pub(crate) fn loss(&self) -> Option<ConnectionError> {
        self.outgoing
            .read(|outgoing| outgoing.end.filter(|_| outgoing.lost))
    }

    /// What `write` answers once writing has ended.
    pub(crate) fn error(&self) -> Option<ConnectionError> {
        self.outgoing.read(|outgoing| outgoing.end)
    }

    /// Bytes that `write` ever took.
    pub(crate) fn written(&self) -> u64 {
        self.outgoing.read(|outgoing| outgoing.written)
    }

    pub(crate) fn set_timeout(&self, timeout: Option<Duration>) {
        self.outgoing.set_timeout(timeout);
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.outgoing.timeout()
    }

    pub(crate) fn set_nonblocking(&self, nonblocking: bool) {
        self.outgoing.set_nonblocking(nonblocking);
    }
}

impl Outgoing {
    fn room(&self) -> usize {
        self.most().saturating_sub(self.bytes.len())
    }

    fn most(&self) -> usize {
        (self.limit as usize).min(self.held.memory().share())
    }

    fn count(&mut self) {
        self.held.set(self.bytes.len());
    }

    fn push(&mut self, buffers: &[IoSlice<'_>]) -> usize {
        let mut left = LONGEST_COPY.min(self.room());
        let mut pushed = 0;
        for buffer in buffers {
            let count = buffer.len().min(left);
            self.bytes.extend(&buffer[..count]);
            pushed += count;
            left -= count;
        }
        self.count();
        self.written += pushed as u64;
        pushed
    }

    fn wake_writer(&self) -> Wake {
        if self.is_worth_waking() {
            Wake::One
        } else {
            Wake::Nobody
        }
    }

    /// A waiting writer is woken for a quarter of the pipe rather than for every byte: the
    /// wake-up costs more than the copy.
    fn is_worth_waking(&self) -> bool {
        let most = self.most();
        most.saturating_sub(self.bytes.len()) >= most.div_ceil(4)
    }
}
