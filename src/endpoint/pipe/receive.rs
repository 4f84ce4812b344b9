//! Bytes that the connection has put in order and the application has not read yet.

use std::{
    io::{self, IoSliceMut},
    sync::Arc,
    time::Duration,
};

use super::{LONGEST_COPY, amount};
use crate::{
    connection::ByteQueue,
    endpoint::memory::{Holding, Memory},
    error::ConnectionError,
    sync::{Event, Events, Monitor, Patience, Stalled, Wake},
};

/// Bytes that may wait for each that has been read, in a pipe that is not as large as it may be.
const EARNED: u32 = 8;

/// The pipe from the worker to the application's readers.
#[derive(Debug)]
pub(crate) struct ReceivePipe {
    incoming: Monitor<Incoming>,
}

#[derive(Debug)]
struct Incoming {
    bytes: ByteQueue,
    held: Holding,
    capacity: u32,
    /// How many bytes may wait at present.
    limit: u32,
    /// Set once nothing will follow what is in the pipe: what `read` answers then.
    end: Option<Result<(), ConnectionError>>,
    read: u64,
    /// Whether the worker has more than fitted and wants to be told when there is room.
    worker_waits: bool,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fetched {
    pub(crate) count: usize,
    /// The worker waits for room, and now there is enough: it is to be rung.
    pub(crate) made_room: bool,
}

// The worker's side.
impl ReceivePipe {
    pub(crate) fn new(capacity: usize, memory: Arc<Memory>) -> Self {
        Self {
            incoming: Monitor::new(Incoming {
                bytes: ByteQueue::default(),
                held: Holding::new(memory),
                capacity: amount(capacity),
                limit: amount(capacity),
                end: None,
                read: 0,
                worker_waits: false,
            }),
        }
    }

    pub(crate) fn prefetch(&self) {
        self.incoming.prefetch();
    }

    /// Lets at most so many bytes wait, and more as the reader takes some; those that do already
    /// stay.
    pub(crate) fn limit_to(&self, bytes: usize) {
        self.incoming.update(|incoming| {
            incoming.limit = amount(bytes).min(incoming.capacity);
            ((), Wake::Nobody)
        });
    }

    /// Has `more` append bytes, at most as many as the number that it gets. It answers whether it
    /// has still more: then the worker is rung once half of the pipe is free. What nobody will read
    /// any more is taken and dropped.
    pub(crate) fn fill(&self, more: impl FnOnce(&mut ByteQueue, usize) -> bool) {
        self.incoming.update(|incoming| {
            if incoming.end.is_some() {
                more(&mut ByteQueue::default(), usize::MAX);
                return ((), Wake::Nobody);
            }
            let before = incoming.bytes.len();
            let room = incoming.room();
            incoming.worker_waits |= more(&mut incoming.bytes, room);
            incoming.count();
            let any = incoming.bytes.len() > before;
            ((), if any { Wake::One } else { Wake::Nobody })
        });
    }

    /// Appends as much of `data` as fits; returns how much that was.
    #[cfg(test)]
    pub(crate) fn push(&self, data: &[u8]) -> usize {
        let mut bytes = ByteQueue::default();
        bytes.extend(data);
        self.fill(|queue, room| {
            queue.append_from(&mut bytes, room, room);
            !bytes.is_empty()
        });
        data.len() - bytes.len()
    }

    /// Says that nothing more will come: once what is in the pipe has been read, readers get end
    /// of file or the error, for ever. The first call wins.
    pub(crate) fn finish(&self, result: Result<(), ConnectionError>) {
        self.incoming.update(|incoming| {
            incoming.end.get_or_insert(result);
            ((), Wake::All)
        });
    }

    /// Gives the memory back once there is nothing in it, unless more comes before.
    pub(crate) fn release_memory(&self) {
        self.incoming.update(|incoming| {
            incoming.bytes.release_memory();
            ((), Wake::Nobody)
        });
    }

    /// Bytes waiting to be read.
    pub(crate) fn len(&self) -> usize {
        self.incoming.read(|incoming| incoming.bytes.len())
    }
}

// The application's side.
impl ReceivePipe {
    /// Moves bytes into the buffers, waiting until there are some. No bytes mean end of file,
    /// unless the buffers are empty.
    pub(crate) fn read(
        &self,
        patience: Patience,
        buffers: &mut [IoSliceMut<'_>],
    ) -> io::Result<Fetched> {
        self.fetch(patience, buffers, |incoming, count| {
            incoming.bytes.consume(count);
            incoming.count();
            incoming.read += count as u64;
            incoming.earn();
            incoming.take_made_room()
        })
    }

    /// As `read`, but leaves the bytes in the pipe.
    pub(crate) fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let buffers = &mut [IoSliceMut::new(buffer)];
        let fetched = self.fetch(Patience::AsSet, buffers, |_, _| false)?;
        Ok(fetched.count)
    }

    /// Waits until there are bytes, or there will be no more, or until `give_up` says so.
    pub(crate) fn wait_for_bytes(
        &self,
        patience: Patience,
        give_up: impl Fn() -> bool,
    ) -> Result<(), Stalled> {
        self.incoming.wait(patience, |incoming| {
            (incoming.is_known() || give_up()).then_some(((), incoming.wake_next_reader()))
        })
    }

    /// Has the list told once when a read would not wait.
    pub(crate) fn watch(&self, events: &Arc<Events>, event: Event) {
        self.incoming.watch(events, event, Incoming::is_known);
    }

    pub(crate) fn unwatch(&self, events: Option<&Arc<Events>>) {
        self.incoming.unwatch(events);
    }

    /// Has blocked readers look again whether to give up.
    pub(crate) fn wake_readers(&self) {
        self.incoming.update(|_| ((), Wake::All));
    }

    /// Throws away what has not been read, as nobody will. Readers get end of file.
    pub(crate) fn abandon(&self) {
        self.incoming.update(|incoming| {
            incoming.bytes.clear();
            incoming.count();
            incoming.end.get_or_insert(Ok(()));
            ((), Wake::All)
        });
    }

    /// The error that ends the stream, even if bytes before it are still to be read.
    pub(crate) fn error(&self) -> Option<ConnectionError> {
        self.incoming.read(|incoming| incoming.end?.err())
    }

    /// Bytes that were ever read.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.incoming.read(|incoming| incoming.read)
    }

    pub(crate) fn set_timeout(&self, timeout: Option<Duration>) {
        self.incoming.set_timeout(timeout);
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.incoming.timeout()
    }

    pub(crate) fn set_nonblocking(&self, nonblocking: bool) {
        self.incoming.set_nonblocking(nonblocking);
    }

    pub(crate) fn is_nonblocking(&self) -> bool {
        self.incoming.is_nonblocking()
    }

    /// `take` is told how many bytes were copied, and answers whether that made room.
    fn fetch(
        &self,
        patience: Patience,
        buffers: &mut [IoSliceMut<'_>],
        take: impl Fn(&mut Incoming, usize) -> bool,
    ) -> io::Result<Fetched> {
        if buffers.iter().all(|buffer| buffer.is_empty()) {
            return Ok(Fetched {
                count: 0,
                made_room: false,
            });
        }
        let fetched = self.incoming.wait(patience, |incoming| {
            if incoming.bytes.is_empty() {
                let end = incoming.end?;
                let nothing = Fetched {
                    count: 0,
                    made_room: false,
                };
                return Some((end.map(|()| nothing), Wake::Nobody));
            }
            let count = incoming.bytes.copy_to(buffers, LONGEST_COPY);
            let fetched = Fetched {
                count,
                made_room: take(incoming, count),
            };
            Some((Ok(fetched), incoming.wake_next_reader()))
        })??;
        Ok(fetched)
    }
}

impl Incoming {
    /// Whether a reader has something to learn.
    fn is_known(&self) -> bool {
        !self.bytes.is_empty() || self.end.is_some()
    }

    fn room(&self) -> usize {
        self.most().saturating_sub(self.bytes.len())
    }

    fn most(&self) -> usize {
        (self.limit as usize).min(self.held.memory().share())
    }

    fn count(&mut self) {
        self.held.set(self.bytes.len());
    }

    /// A small pipe grows with what its reader takes: it has to cover the time until either side
    /// is woken.
    fn earn(&mut self) {
        if self.limit < self.capacity {
            let earned = u32::try_from(self.read).unwrap_or(u32::MAX);
            let earned = earned.saturating_mul(EARNED);
            self.limit = self.limit.max(earned).min(self.capacity);
        }
    }

    fn take_made_room(&mut self) -> bool {
        let most = self.most();
        let room = most.saturating_sub(self.bytes.len());
        let made_room = self.worker_waits && room >= most.div_ceil(2);
        self.worker_waits &= !made_room;
        made_room
    }

    /// One reader is woken for each arrival, so the one that leaves bytes behind passes it on.
    fn wake_next_reader(&self) -> Wake {
        if self.bytes.is_empty() {
            Wake::Nobody
        } else {
            Wake::One
        }
    }
}
