//! What a session's worker and its application handles share: two pipes, what the application
//! wants, and how far the session has come.
//!
//! The application never touches the connection. It changes a pipe or a wish, marks the session
//! dirty and, if nobody has since the worker last looked, rings the worker's doorbell. The worker
//! clears the mark first and looks afterwards, so either it sees the change or it is rung again.

use std::{
    fmt,
    io::{self, IoSlice, IoSliceMut},
    net::{Shutdown, SocketAddr},
    sync::{Arc, OnceLock, atomic::Ordering},
    time::Duration,
};

use parking_lot::Mutex;

use super::{
    address::CompactAddr,
    memory::Memory,
    pipe::{ReceivePipe, SendPipe},
    table::Slot,
};
use crate::{
    config::{Config, derive},
    connection::Counters,
    error::ConnectionError,
    moment::Span,
    prefetch::prefetch,
    stats::ConnectionStats,
    sync::{AtomicBool, AtomicU64, Event, Events, Monitor, Patience, Readiness, Wake},
};

/// How much longer than the linger time an application waits for the worker's verdict.
const VERDICT: Duration = Duration::from_millis(100);
/// The place of a session that no worker has taken up yet.
const NOWHERE: u64 = u64::MAX;

/// Tells a worker that one of its sessions wants to be looked at.
pub(crate) trait Doorbell: Send + Sync + fmt::Debug {
    /// Puts the session on the worker's list and wakes it if it sleeps. Must not block.
    fn ring(&self, slot: Slot);
}

/// Where its two ends are. The peer may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
}

/// The same, as they are kept.
#[derive(Clone, Copy, Debug)]
struct Ends {
    local: CompactAddr,
    peer: CompactAddr,
}

/// What the application wants of its session. Wishes are states, not events: they stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wishes {
    pub(crate) shutdown_read: bool,
    pub(crate) shutdown_write: bool,
    /// The last clone of the stream is gone.
    pub(crate) released: bool,
    pub(crate) reset: bool,
    pub(crate) nodelay: bool,
    /// How long the end may take.
    pub(crate) linger: Span,
    /// Whether dropping the last clone waits for the end; of no concern to the worker.
    pub(crate) drop_waits: bool,
}

/// A session as seen from both sides: by its worker, and by the clones of its `Stream`.
pub(crate) struct SessionHandle {
    conversation: u16,
    ends: Mutex<Ends>,
    doorbell: Arc<dyn Doorbell>,
    /// Where its worker has it, once it has taken it up.
    place: AtomicU64,
    /// Whether the worker has been told to look, and has not yet.
    dirty: AtomicBool,
    send: SendPipe,
    receive: ReceivePipe,
    wishes: Mutex<Wishes>,
    progress: Monitor<Progress>,
    /// What the connection counts, from the time on at which a worker has taken the session up.
    counters: OnceLock<Arc<Counters>>,
    /// Whether it waits to be accepted.
    queued: AtomicBool,
    /// Whether `take_error` has nothing to tell any more.
    error_taken: AtomicBool,
    default_linger: Span,
}

/// How far the session has come.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    established: bool,
    flushed: bool,
    closed: Option<Result<(), ConnectionError>>,
}

impl SessionHandle {
    pub(crate) fn new(
        conversation: u16,
        addresses: Addresses,
        config: &Config,
        memory: &Arc<Memory>,
        doorbell: Arc<dyn Doorbell>,
    ) -> Arc<Self> {
        Arc::new(Self {
            conversation,
            ends: Mutex::new(addresses.into()),
            doorbell,
            place: AtomicU64::new(NOWHERE),
            dirty: AtomicBool::new(false),
            send: SendPipe::new(config.write_buffer(), memory.clone()),
            // The rest is for what the connection puts in order.
            receive: ReceivePipe::new(derive::receive_pipe_bytes(config), memory.clone()),
            wishes: Mutex::new(Wishes {
                shutdown_read: false,
                shutdown_write: false,
                released: false,
                reset: false,
                nodelay: false,
                linger: config.linger().into(),
                drop_waits: false,
            }),
            progress: Monitor::default(),
            counters: OnceLock::new(),
            queued: AtomicBool::new(false),
            error_taken: AtomicBool::new(false),
            default_linger: config.linger().into(),
        })
    }

    pub(crate) fn conversation(&self) -> u16 {
        self.conversation
    }

    pub(crate) fn addresses(&self) -> Addresses {
        (*self.ends.lock()).into()
    }

    /// Whether it is in the queue of those to be accepted, which keeps this up to date.
    pub(crate) fn is_queued(&self) -> bool {
        self.queued.load(Ordering::Relaxed)
    }

    pub(crate) fn set_queued(&self, queued: bool) {
        self.queued.store(queued, Ordering::Relaxed);
    }
}

// The worker's side. None of it waits, apart from leaf locks.
impl SessionHandle {
    /// The worker has taken the session up, and looks at it after this.
    pub(crate) fn set_place(&self, slot: Slot) {
        self.place.store(slot.to_bits(), Ordering::Relaxed);
    }

    /// Clears the mark, then reads what the application wants; the pipes are to be looked at
    /// after this.
    pub(crate) fn take_wishes(&self) -> Wishes {
        self.dirty.swap(false, Ordering::AcqRel);
        *self.wishes.lock()
    }

    pub(crate) fn send_pipe(&self) -> &SendPipe {
        &self.send
    }

    pub(crate) fn receive_pipe(&self) -> &ReceivePipe {
        &self.receive
    }

    /// Lets at most so many bytes wait in each pipe, or as many as configured if that is less.
    pub(crate) fn limit_pipes(&self, bytes: usize) {
        self.send.limit_to(bytes);
        self.receive.limit_to(bytes);
    }

    /// The peer has moved.
    pub(crate) fn set_addresses(&self, addresses: Addresses) {
        *self.ends.lock() = addresses.into();
    }

    /// The first valid segment came from the peer.
    pub(crate) fn set_established(&self) {
        self.progress.update(|progress| {
            progress.established = true;
            ((), Wake::All)
        });
    }

    /// The application has ended the stream, the peer has acknowledged every byte, and the end
    /// has been sent: `close` need not wait for the rest.
    pub(crate) fn set_flushed(&self) {
        self.progress.update(|progress| {
            progress.flushed = true;
            ((), Wake::All)
        });
    }

    /// The session is gone: `Ok` if the peer has acknowledged everything that was written.
    /// Whatever of the pipes is still open ends too. The first call wins.
    pub(crate) fn set_closed(&self, result: Result<(), ConnectionError>) {
        let error = result.err().unwrap_or(ConnectionError::LocallyClosed);
        // Writers first: whoever has read of the end and then writes is not to succeed.
        self.send.fail(error);
        self.receive.finish(Err(error));
        self.progress.update(|progress| {
            progress.closed.get_or_insert(result);
            ((), Wake::All)
        });
    }

    /// Ends the session at once, for every reader, writer and waiter.
    pub(crate) fn fail(&self, error: ConnectionError) {
        self.set_closed(Err(error));
    }

    pub(crate) fn prefetch(&self) {
        prefetch(self);
        prefetch(&self.dirty);
        prefetch(&self.wishes);
        self.send.prefetch();
        self.receive.prefetch();
    }

    /// Shows to the application what the connection counts, and how it stands.
    pub(crate) fn show(&self, counters: Arc<Counters>) {
        let _ = self.counters.set(counters);
    }
}

// The application's side: bytes.
impl SessionHandle {
    pub(crate) fn read(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.read_patiently(Patience::AsSet, buffers)
    }

    pub(crate) fn read_patiently(
        &self,
        patience: Patience,
        buffers: &mut [IoSliceMut<'_>],
    ) -> io::Result<usize> {
        let fetched = self.receive.read(patience, buffers)?;
        if fetched.made_room {
            self.ring();
        }
        Ok(fetched.count)
    }

    pub(crate) fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receive.peek(buffer)
    }

    pub(crate) fn write(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let count = self.send.write(buffers)?;
        if count > 0 {
            self.ring();
        }
        Ok(count)
    }

    /// Takes all of the bytes at once, even beyond the limit of the pipe.
    pub(crate) fn write_whole(&self, bytes: &[u8]) -> io::Result<()> {
        self.send.write_whole(bytes)?;
        self.ring();
        Ok(())
    }
}

// The application's side: lists of events.
impl SessionHandle {
    pub(crate) fn watch(&self, events: &Arc<Events>, event: Event) {
        match event.readiness {
            Readiness::Readable => self.receive.watch(events, event),
            Readiness::Writable => self.send.watch(events, event),
        }
    }

    /// Tells this list nothing any more; without one, any list.
    pub(crate) fn unwatch(&self, events: Option<&Arc<Events>>) {
        self.receive.unwatch(events);
        self.send.unwatch(events);
    }
}

// The application's side: wishes.
impl SessionHandle {
    /// Ends one or both directions for this side's readers and writers. What was received is
    /// still readable, what was written is still delivered.
    pub(crate) fn shutdown(&self, how: Shutdown) {
        let reading = matches!(how, Shutdown::Read | Shutdown::Both);
        let writing = matches!(how, Shutdown::Write | Shutdown::Both);
        if reading {
            self.receive.finish(Ok(()));
        }
        if writing {
            self.send.end(ConnectionError::LocallyClosed);
        }
        self.wish(|wishes| {
            wishes.shutdown_read |= reading;
            wishes.shutdown_write |= writing;
        });
    }

    /// Ends the connection without delivering what was written.
    pub(crate) fn reset(&self) {
        self.error_taken.store(true, Ordering::Relaxed); // it is no news to the application
        self.receive.finish(Err(ConnectionError::LocallyClosed));
        self.send.fail(ConnectionError::LocallyClosed);
        self.wish(|wishes| wishes.reset = true);
    }

    /// No application handle is left: nothing will be read, and what was written is delivered in
    /// the background.
    pub(crate) fn release(&self) {
        self.unwatch(None);
        self.receive.abandon();
        self.send.end(ConnectionError::LocallyClosed);
        self.wish(|wishes| wishes.released = true);
    }

    pub(crate) fn set_nodelay(&self, nodelay: bool) {
        self.wish(|wishes| wishes.nodelay = nodelay);
    }

    pub(crate) fn nodelay(&self) -> bool {
        self.wishes.lock().nodelay
    }

    /// How long the end may take; `None` is as configured.
    pub(crate) fn set_linger(&self, linger: Option<Duration>) {
        self.wish(|wishes| {
            wishes.linger = linger.map_or(self.default_linger, Span::from);
            wishes.drop_waits = linger.is_some();
        });
    }

    /// What was set by `set_linger`.
    pub(crate) fn linger(&self) -> Option<Duration> {
        let wishes = self.wishes.lock();
        wishes.drop_waits.then_some(wishes.linger.get())
    }

    fn wish(&self, change: impl FnOnce(&mut Wishes)) {
        change(&mut self.wishes.lock());
        self.ring();
    }

    fn ring(&self) {
        if self.dirty.swap(true, Ordering::AcqRel) {
            return;
        }
        // Without a place the worker has yet to take its first look. If it has taken that, the mark
        // was cleared by it, and whoever finds it so sees the place, too.
        let place = self.place.load(Ordering::Relaxed);
        if place != NOWHERE {
            self.doorbell.ring(Slot::from_bits(place));
        }
    }
}

// The application's side: progress.
impl SessionHandle {
    /// Waits for the first valid segment from the peer.
    pub(crate) fn wait_established(&self, limit: Duration) -> io::Result<()> {
        let established = self.progress.wait(Patience::For(limit), |progress| {
            let known = progress.established || progress.closed.is_some();
            known.then_some((progress.established, Wake::Nobody))
        })?;
        if established {
            return Ok(());
        }
        let error = self.error().unwrap_or(ConnectionError::LocallyClosed);
        Err(error.into())
    }

    /// Waits, after the application has ended the stream, until the peer has acknowledged
    /// everything or the linger time is over.
    pub(crate) fn wait_closed(&self) -> io::Result<()> {
        let limit = self.wishes.lock().linger.get().saturating_add(VERDICT);
        let verdict = self.progress.wait(Patience::For(limit), |progress| {
            let flushed = progress.flushed.then_some(Ok(()));
            progress
                .closed
                .or(flushed)
                .map(|verdict| (verdict, Wake::Nobody))
        });
        verdict.unwrap_or(Err(ConnectionError::TimedOut))?;
        match self.send.loss() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    /// The error that ended the connection, once.
    pub(crate) fn take_error(&self) -> Option<ConnectionError> {
        let error = self.error()?;
        let taken = self.error_taken.swap(true, Ordering::Relaxed);
        (!taken).then_some(error)
    }

    /// Why the connection ended, if not well. Writers may learn of it first: readers still have
    /// bytes to fetch.
    fn error(&self) -> Option<ConnectionError> {
        let orderly = |error: &ConnectionError| {
            matches!(
                error,
                ConnectionError::LocallyClosed | ConnectionError::PeerClosed
            )
        };
        let writing = || self.send.error().filter(|error| !orderly(error));
        let closed = || self.progress.read(|progress| progress.closed?.err());
        self.receive.error().or_else(writing).or_else(closed)
    }

    /// What the connection counts, how it stood when the worker looked last, and what the pipes
    /// know better.
    pub(crate) fn stats(&self) -> ConnectionStats {
        let counters = self.counters.get();
        let mut stats = counters.map_or_else(ConnectionStats::default, |counters| counters.stats());
        stats.bytes_written = self.send.written();
        stats.bytes_read = self.receive.bytes_read();
        stats.send_queue += self.send.len() as u64;
        stats.receive_queue += self.receive.len() as u64;
        stats
    }
}

impl From<Addresses> for Ends {
    fn from(Addresses { local, peer }: Addresses) -> Self {
        Self {
            local: local.into(),
            peer: peer.into(),
        }
    }
}

impl From<Ends> for Addresses {
    fn from(Ends { local, peer }: Ends) -> Self {
        Self {
            local: local.into(),
            peer: peer.into(),
        }
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionHandle")
            .field("conversation", &self.conversation)
            .field("addresses", &self.addresses())
            .field("progress", &self.progress.read(|progress| *progress))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(loom)]
mod interleavings;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;
