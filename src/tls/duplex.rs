//! TLS over a stream in both directions at once.
//!
//! rustls keeps one state for both directions, so its lock must never be held while a thread
//! waits for the network, or a writer whose peer does not read would stop the reader, and two
//! such ends each other for ever. Hence:
//!
//! - A reader waits for ciphertext with nothing locked, and locks the state to open it.
//! - A writer waits for room with nothing locked, then seals no more than there is room for and
//!   hands it over, which does not wait. Records leave in the order in which they were sealed.
//! - What reading makes necessary to send (the handshake, answers to key updates, alerts) is little
//!   and bounded by rustls; it goes out at once, beyond the limit of the pipe if need be.

use std::{
    fmt,
    io::{self, BufRead, IoSlice, Read, Write},
    net::Shutdown,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rustls::Connection;

use super::{
    error::TlsError,
    incoming::{Incoming, ReadTurns, Turn},
    stats::Counters,
};
use crate::{error::ConnectionError, stream::Stream, sync::Patience};

/// Bytes sealed under one hold of the lock, at most.
const MOST_SEALED: usize = 64 * 1024;
/// A writer with this much to write waits for room for it, rather than seal it in crumbs.
const LEAST_SEALED: usize = 4 * 1024;

/// What all clones of a TLS stream have in common.
pub(super) struct Duplex {
    stream: Stream,
    tls: Mutex<Connection>,
    reading: ReadTurns,
    /// Held from sealing records until the stream has them; taken before `tls`.
    sending: Mutex<()>,
    handshake: Mutex<HandshakeLimit>,
    flags: Flags,
    failure: Mutex<Option<TlsError>>,
    counters: Arc<Counters>,
}

/// How long the handshake may take, and when it began.
struct HandshakeLimit {
    limit: Option<Duration>,
    begun: Option<Instant>,
}

/// Each is set once.
#[derive(Debug, Default)]
struct Flags {
    /// The handshake is complete.
    established: AtomicBool,
    /// This side has ended reading, or writing.
    read_shut: AtomicBool,
    write_shut: AtomicBool,
    /// The peer's close_notify has been read.
    peer_ended: AtomicBool,
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
            handshake: Mutex::new(HandshakeLimit { limit, begun: None }),
            flags: Flags::default(),
            failure: Mutex::new(None),
            counters,
        }
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    pub(super) fn set_handshake_timeout(&self, limit: Option<Duration>) {
        self.handshake.lock().limit = limit;
    }

    /// Has rustls work; never to wait meanwhile.
    pub(super) fn with_tls<R>(&self, work: impl FnOnce(&mut Connection) -> R) -> R {
        work(&mut self.tls.lock())
    }

    /// Why nothing works any more.
    pub(super) fn failure(&self) -> Option<TlsError> {
        self.failure.lock().clone()
    }

    /// When the handshake began, which is now unless it has, and how long it may take.
    pub(super) fn begin_handshake(&self, now: Instant) -> Option<(Instant, Duration)> {
        let mut handshake = self.handshake.lock();
        let begun = *handshake.begun.get_or_insert(now);
        handshake.limit.map(|limit| (begun, limit))
    }

    pub(super) fn is_established(&self) -> bool {
        self.flags.established.load(Ordering::Acquire)
    }

    pub(super) fn is_read_shut(&self) -> bool {
        self.flags.read_shut.load(Ordering::Acquire)
    }

    fn is_write_shut(&self) -> bool {
        self.flags.write_shut.load(Ordering::Acquire)
    }
}

/// Bytes.
impl Duplex {
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_by(take, buffer)
    }

    /// As `read`, but leaves the bytes for the next `read`.
    pub(super) fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_by(look, buffer)
    }

    /// Moves what has been opened already into the buffer; returns how much that was.
    pub(super) fn read_opened(&self, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        self.with_tls(|tls| take(tls, buffer, &mut filled));
        filled
    }

    fn read_by(&self, fetch: Fetch, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let started = Instant::now();
        let timeout = self.stream.read_timeout()?;
        match self.complete_handshake(started, timeout) {
            Err(_) if self.is_read_shut() => return Ok(0),
            result => result?,
        }
        let remaining = timeout.map(|timeout| timeout.saturating_sub(started.elapsed()));
        let Some(mut turn) = self.take_turn(remaining, || false)? else {
            return Ok(0);
        };
        loop {
            match self.open(&mut turn.incoming, fetch, buffer)? {
                Opened::Bytes(count) => return Ok(count),
                Opened::End => return Ok(0),
                Opened::Nothing => {
                    let patience = Patience::AsSetSince(started);
                    turn.incoming.fill(&self.stream, patience)?;
                }
            }
        }
    }

    pub(super) fn write(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let total: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        if total == 0 {
            return Ok(0);
        }
        let started = Instant::now();
        self.complete_handshake(started, self.stream.write_timeout()?)?;
        let least = total.min(LEAST_SEALED);
        loop {
            let shut = || self.is_write_shut();
            let waited = self.stream.wait_for_room(started, least, shut);
            waited.map_err(|error| self.failure().map_or(error, io::Error::from))?;
            let _order = self.sending.lock();
            self.check_writable()?;
            let room = self.stream.room();
            if room < least {
                continue; // another writer was quicker
            }
            let (count, records) = self.seal(buffers, room.min(MOST_SEALED))?;
            self.stream.write_whole(&records)?;
            return Ok(count);
        }
    }

    /// Opens what has been received until the buffer is full or more is needed.
    fn open(&self, incoming: &mut Incoming, fetch: Fetch, buffer: &mut [u8]) -> io::Result<Opened> {
        let mut filled = 0;
        let mut failure = self.failure();
        let mut tls = self.tls.lock();
        let ended = loop {
            match fetch(&mut tls, buffer, &mut filled) {
                Fetched::End => break true,
                Fetched::Full => break false,
                Fetched::All if incoming.is_empty() || failure.is_some() => break false,
                Fetched::All => {
                    // What was opened before the failure still comes first.
                    failure = feed(&mut tls, incoming).err().map(TlsError::Session);
                }
            }
        };
        let wants_write = tls.wants_write();
        drop(tls);

        if wants_write && self.send_control().is_err() {
            // The peer will not read it; what it sent is still good.
            log::debug!("{:?}: an answer of TLS could not be sent", self.stream);
        }
        if let Some(error) = failure {
            let error = self.fail(error);
            return if filled > 0 {
                Ok(Opened::Bytes(filled))
            } else {
                Err(error.into())
            };
        }
        match filled {
            0 if ended => {
                self.on_peer_end();
                Ok(Opened::End)
            }
            0 if incoming.ended && self.is_read_shut() => Ok(Opened::End),
            0 if incoming.ended => Err(TlsError::Truncated.into()),
            0 => Ok(Opened::Nothing),
            count => Ok(Opened::Bytes(count)),
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
        let _order = self.sending.lock();
        let records = take_records(&mut self.tls.lock())?;
        if records.is_empty() {
            return Ok(());
        }
        self.stream.write_whole(&records)
    }

    pub(super) fn refresh_keys(&self) -> io::Result<()> {
        let refreshed = self.tls.lock().refresh_traffic_keys();
        refreshed.map_err(TlsError::Session)?;
        self.send_control()
    }

    fn check_writable(&self) -> io::Result<()> {
        if let Some(error) = self.failure() {
            return Err(error.into());
        }
        if self.is_write_shut() {
            return Err(ConnectionError::LocallyClosed.into());
        }
        Ok(())
    }
}

/// Waiting.
impl Duplex {
    pub(super) fn take_turn(
        &self,
        limit: Option<Duration>,
        give_up: impl Fn() -> bool,
    ) -> io::Result<Option<Turn<'_>>> {
        let turn = self.reading.take(self.patience(limit), give_up);
        turn.map_err(|stalled| self.as_stall(stalled.into()))
    }

    pub(super) fn patience(&self, limit: Option<Duration>) -> Patience {
        match limit {
            _ if self.stream.is_nonblocking() => Patience::For(Duration::ZERO),
            Some(limit) => Patience::For(limit),
            None => Patience::AsSet,
        }
    }

    /// A wait of no time at all is that of a stream that does not wait.
    pub(super) fn as_stall(&self, error: io::Error) -> io::Error {
        if is_stall(&error) && self.stream.is_nonblocking() {
            return io::ErrorKind::WouldBlock.into();
        }
        error
    }
}

/// The end.
impl Duplex {
    pub(super) fn on_established(&self) -> io::Result<()> {
        let _order = self.sending.lock();
        if self.flags.established.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.counters.completed.add();
        if self.is_write_shut() {
            self.send_close_notify()?;
        }
        Ok(())
    }

    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if matches!(how, Shutdown::Read | Shutdown::Both) {
            self.flags.read_shut.store(true, Ordering::Release);
            self.stream.shutdown(Shutdown::Read)?;
        }
        if matches!(how, Shutdown::Write | Shutdown::Both) {
            self.end_writing()?;
        }
        self.close_if_both_ended()
    }

    /// Tells the peer that nothing more will be written. Inside TLS that can be told while the
    /// other direction goes on.
    fn end_writing(&self) -> io::Result<()> {
        let order = self.sending.lock();
        let first = !self.flags.write_shut.swap(true, Ordering::AcqRel);
        if first && self.is_established() {
            // Otherwise the end of the handshake will do it.
            self.send_close_notify()?;
        }
        drop(order);
        self.stream.wake_writers();
        Ok(())
    }

    /// To be called with `sending` held.
    fn send_close_notify(&self) -> io::Result<()> {
        let records = {
            let mut tls = self.tls.lock();
            tls.send_close_notify();
            take_records(&mut tls)?
        };
        if let Err(error) = self.stream.write_whole(&records) {
            log::debug!("{:?}: close_notify could not be sent: {error}", self.stream);
        }
        Ok(())
    }

    fn on_peer_end(&self) {
        if !self.flags.peer_ended.swap(true, Ordering::AcqRel)
            && let Err(error) = self.close_if_both_ended()
        {
            log::debug!("{:?}: {error}", self.stream);
        }
    }

    /// Nothing of use can come any more: the stream below is done as well.
    fn close_if_both_ended(&self) -> io::Result<()> {
        let flags = &self.flags;
        let read_ended = self.is_read_shut() || flags.peer_ended.load(Ordering::Acquire);
        if read_ended && self.is_write_shut() {
            return self.stream.shutdown(Shutdown::Both);
        }
        Ok(())
    }

    /// Ends everything for this reason, after telling the peer, unless there was one before.
    pub(super) fn fail(&self, error: TlsError) -> TlsError {
        let first = {
            let mut failure = self.failure.lock();
            if let Some(first) = &*failure {
                return first.clone();
            }
            failure.insert(error).clone()
        };
        self.counters.count(&first);
        log::debug!("{:?}: {first}", self.stream);
        if matches!(first, TlsError::HandshakeTimeout(_)) {
            self.stream.reset();
        } else {
            // The alert; there may be nobody left to hear it.
            let _ = self.send_control();
            let _ = self.stream.shutdown(Shutdown::Both);
        }
        first
    }
}

impl Drop for Duplex {
    fn drop(&mut self) {
        if self.is_established() && self.failure.get_mut().is_none() {
            // As dropping a plain stream ends it in order.
            let _ = self.end_writing();
        }
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

enum Fetched {
    /// The buffer is full, or holds enough.
    Full,
    /// All that has been opened is in the buffer.
    All,
    /// Likewise, and the peer has ended its stream.
    End,
}

/// A way to get at what has been opened; `filled` says how much of the buffer is full.
type Fetch = fn(&mut Connection, buffer: &mut [u8], filled: &mut usize) -> Fetched;

/// Moves it into the free part of the buffer.
fn take(tls: &mut Connection, buffer: &mut [u8], filled: &mut usize) -> Fetched {
    while *filled < buffer.len() {
        match tls.reader().read(&mut buffer[*filled..]) {
            Ok(0) => return Fetched::End,
            Ok(count) => *filled += count,
            Err(_) => return Fetched::All, // rustls would wait
        }
    }
    Fetched::Full
}

/// Copies the beginning of it, if there is any.
fn look(tls: &mut Connection, buffer: &mut [u8], filled: &mut usize) -> Fetched {
    match tls.reader().fill_buf() {
        Ok([]) => Fetched::End,
        Ok(bytes) => {
            *filled = bytes.len().min(buffer.len());
            buffer[..*filled].copy_from_slice(&bytes[..*filled]);
            Fetched::Full
        }
        Err(_) => Fetched::All, // rustls would wait
    }
}

/// Has rustls look at more ciphertext.
pub(super) fn feed(tls: &mut Connection, incoming: &mut Incoming) -> Result<(), rustls::Error> {
    let read = tls.read_tls(incoming);
    read.map_err(|error| rustls::Error::General(error.to_string()))?;
    tls.process_new_packets().map(drop)
}

/// Everything that rustls wants to be sent.
fn take_records(tls: &mut Connection) -> io::Result<Vec<u8>> {
    let mut records = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut records)?;
    }
    Ok(records)
}

/// Whether a call gave up waiting; nothing has failed.
pub(super) fn is_stall(error: &io::Error) -> bool {
    let waited = matches!(
        error.kind(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
    );
    waited && error.get_ref().is_none()
}
