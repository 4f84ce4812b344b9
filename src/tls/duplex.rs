//! TLS over a stream in both directions at once.
//!
//! rustls keeps one state for both directions, so its lock must never be held while a thread
//! waits for the network, or a writer whose peer does not read would stop the reader, and two
//! such ends each other for ever. Hence:
//!
//! - A reader waits for ciphertext with nothing locked, and locks the state to open it.
//! - A writer waits for room with nothing locked, then seals no more than there is room for and
//!   hands it over, which does not wait. Records leave in the order in which they were sealed.
//! - What rustls wants to say of its own accord (the handshake, alerts) is little and bounded by
//!   it; it goes out at once, beyond the limit of the pipe if need be.

use std::{
    fmt,
    io::{self, IoSlice, IoSliceMut, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};
use rustls::Connection;

use super::{
    error::TlsError,
    handshake::{Caller, Limit},
    incoming::{Incoming, ReadTurns, Turn},
    records::{Fetch, Fetched, feed, look, take, take_records},
    stats::Counters,
};
use crate::{stream::Stream, sync::Patience};

/// Bytes sealed under one hold of the lock, at most.
const MOST_SEALED: usize = 64 * 1024;
/// A writer with this much to write waits for room for it, rather than seal it in crumbs.
const LEAST_SEALED: usize = 4 * 1024;
/// Ciphertext that may come in a row without a byte for the reader. The largest messages of TLS
/// have 64 KiB; what is more is a peer that keeps the reader busy.
const MOST_FRUITLESS: usize = 256 * 1024;

/// What all clones of a TLS stream have in common.
pub(super) struct Duplex {
    stream: Stream,
    tls: Mutex<Connection>,
    reading: ReadTurns,
    /// Held from sealing records until the stream has them; taken before `tls`.
    sending: Mutex<()>,
    handshake: Mutex<Limit>,
    pub(super) flags: Flags,
    /// Why nothing works any more. Taken after `tls`.
    failure: Mutex<Option<TlsError>>,
    pub(super) counters: Arc<Counters>,
}

/// Each of the booleans is set once.
#[derive(Debug, Default)]
pub(super) struct Flags {
    /// The handshake is complete.
    pub(super) established: AtomicBool,
    /// The handshake was lost with the stream below, and has been counted.
    pub(super) lost: AtomicBool,
    /// This side has ended reading, or writing.
    pub(super) read_shut: AtomicBool,
    pub(super) write_shut: AtomicBool,
    /// The peer's close_notify has been read.
    pub(super) peer_ended: AtomicBool,
    /// How often something has changed that those who wait in the handshake have to know.
    pub(super) changes: AtomicUsize,
}

/// What opening has brought.
enum Opened {
    Bytes(usize),
    End,
    /// More ciphertext is needed.
    Nothing,
}

impl Duplex {
    pub(super) fn new(
        stream: Stream,
        mut tls: Connection,
        limit: Option<Duration>,
        counters: Arc<Counters>,
    ) -> Self {
        // `write` keeps to the room in the pipe.
        tls.set_buffer_limit(None);
        Self {
            stream,
            tls: Mutex::new(tls),
            reading: ReadTurns::new(),
            sending: Mutex::new(()),
            handshake: Mutex::new(Limit {
                time: limit,
                begun: None,
            }),
            flags: Flags::default(),
            failure: Mutex::new(None),
            counters,
        }
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    pub(super) fn set_handshake_timeout(&self, limit: Option<Duration>) {
        self.handshake_limit().time = limit;
        self.on_change();
    }

    pub(super) fn handshake_limit(&self) -> MutexGuard<'_, Limit> {
        self.handshake.lock()
    }

    /// Has rustls work; never to wait meanwhile.
    pub(super) fn with_tls<R>(&self, work: impl FnOnce(&mut Connection) -> R) -> R {
        work(&mut self.tls.lock())
    }

    /// The order of records: to be held while sealing and handing over.
    pub(super) fn order(&self) -> MutexGuard<'_, ()> {
        self.sending.lock()
    }

    pub(super) fn failure(&self) -> Option<TlsError> {
        self.failure.lock().clone()
    }

    /// Notes why nothing works any more, unless there was a reason before. Gives the reason, and
    /// whether it is new.
    pub(super) fn note_failure(&self, error: TlsError) -> (TlsError, bool) {
        let mut failure = self.failure.lock();
        let is_new = failure.is_none();
        (failure.get_or_insert(error).clone(), is_new)
    }

    /// Has all who wait in the handshake look again at what they wait for.
    pub(super) fn on_change(&self) {
        self.flags.changes.fetch_add(1, Ordering::AcqRel);
        self.reading.wake();
        self.stream.wake_readers();
    }

    pub(super) fn is_established(&self) -> bool {
        self.flags.established.load(Ordering::Acquire)
    }

    pub(super) fn is_read_shut(&self) -> bool {
        self.flags.read_shut.load(Ordering::Acquire)
    }

    pub(super) fn is_write_shut(&self) -> bool {
        self.flags.write_shut.load(Ordering::Acquire)
    }
}

/// Reading.
impl Duplex {
    pub(super) fn read(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut buffers = buffers.iter_mut().filter(|buffer| !buffer.is_empty());
        let Some(first) = buffers.next() else {
            return Ok(0);
        };
        let Some((count, _turn)) = self.receive(take, first)? else {
            return Ok(0);
        };
        // The others take what has been opened already.
        let (mut total, mut is_full) = (count, count == first.len());
        while is_full && let Some(next) = buffers.next() {
            let mut filled = 0;
            self.with_tls(|tls| take(tls, next, &mut filled));
            total += filled;
            is_full = filled == next.len();
        }
        Ok(total)
    }

    /// As `read`, but leaves the bytes for the next `read`.
    pub(super) fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let received = self.receive(look, buffer)?;
        Ok(received.map_or(0, |(count, _turn)| count))
    }

    /// Waits until there are bytes. Gives how many, and the turn; `None` at the end of the stream.
    fn receive(&self, fetch: Fetch, buffer: &mut [u8]) -> io::Result<Option<(usize, Turn<'_>)>> {
        let started = Instant::now();
        match self.complete_handshake(Caller::Reader, started) {
            Err(_) if self.is_read_shut() => return Ok(None),
            result => result?,
        }
        let timeout = self.stream.read_timeout()?.unwrap_or(Duration::MAX);
        let remaining = timeout.saturating_sub(started.elapsed());
        let Some(mut turn) = self.take_turn(remaining, || false)? else {
            return Ok(None);
        };
        let mut fruitless = 0;
        loop {
            match self.open(&mut turn.incoming, fetch, buffer)? {
                Opened::Bytes(count) => return Ok(Some((count, turn))),
                Opened::End => return Ok(None),
                Opened::Nothing => {}
            }
            fruitless += turn.incoming.last_fill();
            if fruitless > MOST_FRUITLESS {
                let text = "too many records without data".to_owned();
                let error = TlsError::Session(rustls::Error::General(text));
                return Err(self.fail(error).into());
            }
            let timeout = self.stream.read_timeout()?;
            if fruitless > 0 && timeout.is_some_and(|timeout| started.elapsed() >= timeout) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let patience = Patience::AsSetSince(started, None);
            let filled = turn.incoming.fill(&self.stream, patience, || false);
            filled.map_err(|error| self.explain(error))?;
        }
    }

    /// Opens what has been received until the buffer is full or more is needed.
    fn open(&self, incoming: &mut Incoming, fetch: Fetch, buffer: &mut [u8]) -> io::Result<Opened> {
        let mut filled = 0;
        let mut failure = self.failure().map(|error| (error, false));
        let mut tls = self.tls.lock();
        let ended = loop {
            match fetch(&mut tls, buffer, &mut filled) {
                Fetched::End => break true,
                Fetched::Full => break false,
                Fetched::All if incoming.is_empty() || failure.is_some() => break false,
                Fetched::All => {
                    // What was opened before the failure still comes first.
                    let error = feed(&mut tls, incoming).err().map(TlsError::Session);
                    failure = error.map(|error| self.note_failure(error));
                }
            }
        };
        let wants_write = tls.wants_write();
        drop(tls);

        match failure {
            Some((error, is_new)) => {
                if is_new {
                    self.on_failure(&error);
                }
                if filled == 0 {
                    return Err(error.into());
                }
            }
            None if wants_write => {
                // If the peer will not read it, what it sent is still good.
                let _ = self.send_control();
            }
            None => {}
        }
        match filled {
            0 if ended => {
                self.on_peer_end();
                Ok(Opened::End)
            }
            0 if incoming.ended && self.is_read_shut() => Ok(Opened::End),
            0 if incoming.ended => Err(self.fail(TlsError::Truncated).into()),
            0 => Ok(Opened::Nothing),
            count => Ok(Opened::Bytes(count)),
        }
    }

    /// Looks whether the peer has said why nothing can be written any more.
    pub(super) fn look_for_alert(&self) {
        let turn = self.reading.take(Patience::For(Duration::ZERO), || false);
        let Ok(Some(mut turn)) = turn else { return };
        if turn.incoming.is_empty() && self.stream.received() > 0 {
            let at_once = Patience::For(Duration::ZERO);
            let _ = turn.incoming.fill(&self.stream, at_once, || false);
        }
        if !turn.incoming.is_empty() {
            let _ = self.open(&mut turn.incoming, look, &mut [0]);
        }
    }
}

/// Writing.
impl Duplex {
    pub(super) fn write(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let total: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        if total == 0 {
            return Ok(0);
        }
        let started = Instant::now();
        self.complete_handshake(Caller::Writer, started)?;
        self.send_with_room(started, total.min(LEAST_SEALED), |room| {
            self.seal(buffers, room.min(MOST_SEALED))
        })
    }

    pub(super) fn refresh_keys(&self) -> io::Result<()> {
        let started = Instant::now();
        self.complete_handshake(Caller::Writer, started)?;
        self.send_with_room(started, 1, |_room| {
            let mut tls = self.tls.lock();
            tls.refresh_traffic_keys().map_err(TlsError::Session)?;
            Ok(((), take_records(&mut tls)?))
        })
    }

    /// Waits for room and then sends the records that `seal` makes.
    fn send_with_room<R>(
        &self,
        started: Instant,
        least: usize,
        seal: impl Fn(usize) -> io::Result<(R, Vec<u8>)>,
    ) -> io::Result<R> {
        loop {
            let shut = || self.is_write_shut();
            let waited = self.stream.wait_for_room(started, least, shut);
            waited.map_err(|error| self.explain(error))?;
            let order = self.order();
            self.check_writable()?;
            let room = self.stream.room();
            if room < least {
                continue; // another writer was quicker
            }
            let sent = seal(room).and_then(|(result, records)| {
                self.stream.write_whole(&records)?;
                Ok(result)
            });
            drop(order);
            return sent.map_err(|error| self.explain(error));
        }
    }

    /// Seals at most `limit` bytes; gives how many they were, and the records.
    fn seal(&self, buffers: &[IoSlice<'_>], limit: usize) -> io::Result<(usize, Vec<u8>)> {
        let mut tls = self.tls.lock();
        let total: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        let count = if total <= limit {
            tls.writer().write_vectored(buffers)?
        } else {
            let first = buffers.iter().find(|buffer| !buffer.is_empty());
            let first = first.map_or(&[][..], |buffer| &buffer[..buffer.len().min(limit)]);
            tls.writer().write(first)?
        };
        Ok((count, take_records(&mut tls)?))
    }

    /// Sends what rustls wants to say of its own accord.
    pub(super) fn send_control(&self) -> io::Result<()> {
        let _order = self.order();
        let records = take_records(&mut self.tls.lock())?;
        if records.is_empty() {
            return Ok(());
        }
        self.stream.write_whole(&records)
    }
}

/// Waiting.
impl Duplex {
    pub(super) fn take_turn(
        &self,
        limit: Duration,
        give_up: impl Fn() -> bool,
    ) -> io::Result<Option<Turn<'_>>> {
        let limit = match self.stream.is_nonblocking() {
            true => Duration::ZERO,
            false => limit,
        };
        let turn = self.reading.take(Patience::For(limit), give_up);
        turn.map_err(|stalled| self.as_stall(stalled.into()))
    }

    /// A wait of no time at all is that of a stream that does not wait.
    pub(super) fn as_stall(&self, error: io::Error) -> io::Error {
        if is_stall(&error) && self.stream.is_nonblocking() {
            return io::ErrorKind::WouldBlock.into();
        }
        error
    }
}

impl fmt::Debug for Duplex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("stream", &self.stream)
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}

/// Whether a call gave up waiting; nothing has failed.
pub(super) fn is_stall(error: &io::Error) -> bool {
    let waited = matches!(
        error.kind(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
    );
    waited && error.get_ref().is_none()
}
