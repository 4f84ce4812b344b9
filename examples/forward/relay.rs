//! One forwarded connection: bytes in both directions, and its end.
//!
//! Each direction has a thread. It ends in one of these ways, whatever the two sockets are:
//!
//! | what happened | what follows |
//! |---|---|
//! | end of stream | the receiver is told, if it can be told by itself; the other direction goes on |
//! | the receiver has closed in order | what the sender still says is thrown away, but what the receiver said before is delivered to its end |
//! | any other error, on either side | both sides are reset: a part must not look like the whole |
//!
//! When both directions have ended in order, both sockets are closed in order, and everything that
//! was read has been, or will be, delivered.
//!
//! # Half-close
//!
//! TCP, Unix sockets and TLS can end one direction and go on with the other, so between these the
//! second direction lasts as long as it wants. Plain mKCP cannot: a peer that is told of an end
//! throws away what it was about to send. So when a socket has ended and plain mKCP is at the other
//! side, that side is *not* told; the other direction goes on until it ends too, or has been silent
//! for some time, as V2Ray's `downlinkOnly` and `uplinkOnly` have it. Silence is the time in which
//! nothing comes, nothing that came waits for its receiver, and nothing of the direction that has
//! ended is still on its way. How much of it is allowed:
//!
//! - `--half-close`, after the connecting side has ended: an answer may be on its way.
//! - [`AFTER_ANSWER`], or less if that is, after the side connected to has ended.
//!
//! Then both sides are closed in order, and what might have come later is lost, which is logged.
//! There are two exceptions. If the connecting side has never got anything it is reset, because
//! what it waits for has not come. And if it is the connecting side that was silent, the side
//! connected to is reset, if it still can be, because what it has got so far may be a part.
//!
//! An end over plain mKCP means that the peer is gone altogether, so from then on the same limits
//! hold.
//!
//! Where a half-close ends requests, and answers may be late, use TLS.

use std::{
    fmt,
    io::{self, Read, Write},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{
    side::{Phase, Side},
    socket::Socket,
};

/// Two threads for each connection: they need little, and address space is not free.
pub(crate) const STACK: usize = 256 * 1024;
const LEAST_BUFFER: usize = 4 * 1024;
const MOST_BUFFER: usize = 256 * 1024;
/// What a connecting side may be silent after the other has said all, unless less is allowed.
const AFTER_ANSWER: Duration = Duration::from_secs(1);
/// For how long a sender is listened to in vain so that it can still read what it was sent: a
/// system that finds unread bytes when it closes takes back what is under way.
const FAREWELL: Duration = Duration::from_secs(2);

/// A connection from one socket to another.
#[derive(Debug)]
pub(crate) struct Relay {
    /// The side that has connected.
    near: Side,
    /// The side that was connected to.
    far: Side,
    half_close: Duration,
    failure: Mutex<Option<io::Error>>,
    silence: Mutex<Option<Silence>>,
    cut: AtomicBool,
}

/// What has ended a connection although more might have come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Silence {
    /// Who was silent.
    who: &'static str,
    limit: Duration,
    /// Whether `--half-close` was the limit.
    by_option: bool,
}

/// Why a direction ended, other than by the end of its stream.
enum Stop {
    /// The receiver has closed in order.
    Refused,
    Failed(io::Error),
    /// The connection has been cut elsewhere.
    Cut,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let option = if self.by_option {
            " (--half-close)"
        } else {
            ""
        };
        write!(
            f,
            "{} s of silence of the {}{option}",
            self.limit.as_secs(),
            self.who
        )
    }
}

impl Relay {
    /// From `near`, which has connected, to `far`, which was connected to. Silence after one of
    /// them has ended is limited by `half_close` where it must be limited.
    pub(crate) fn new(near: Socket, far: Socket, half_close: Duration) -> Self {
        Self {
            near: Side::new("client", near),
            far: Side::new("target", far),
            half_close,
            failure: Mutex::new(None),
            silence: Mutex::new(None),
            cut: AtomicBool::new(false),
        }
    }

    /// Bytes that have been passed on from the side that has connected.
    pub(crate) fn bytes_in(&self) -> u64 {
        self.near.bytes.load(Ordering::Relaxed)
    }

    /// Bytes that have been passed on to the side that has connected.
    pub(crate) fn bytes_out(&self) -> u64 {
        self.far.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn sockets(&self) -> [&Socket; 2] {
        [&self.near.socket, &self.far.socket]
    }

    /// Relays until both directions have ended, by themselves or by silence.
    ///
    /// # Errors
    ///
    /// What kept one side from getting all that the other has sent.
    pub(crate) fn run(&self) -> io::Result<Option<Silence>> {
        self.sockets().into_iter().for_each(Socket::allow_time);
        thread::scope(|scope| {
            let builder = thread::Builder::new().name("answer".to_owned());
            let spawned = builder
                .stack_size(STACK)
                .spawn_scoped(scope, || self.carry(&self.far, &self.near));
            if let Err(error) = spawned {
                self.fail(error);
            }
            self.carry(&self.near, &self.far);
        });
        if !self.is_cut() {
            self.close();
        }
        match self.failure.lock().take() {
            Some(error) => Err(error),
            None if self.is_cut() => Err(io::Error::other("cut off")),
            None => Ok(*self.silence.lock()),
        }
    }

    /// Ends the connection at once; both sides get a reset.
    pub(crate) fn cut(&self) {
        // The flag comes first: readers that are woken see an end of stream that is none.
        if !self.cut.swap(true, Ordering::SeqCst) {
            self.near.socket.abort();
            self.far.socket.abort();
        }
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }

    /// Cuts the connection, and says why unless it has been cut already.
    fn fail(&self, error: io::Error) {
        if !self.is_cut() {
            self.failure.lock().get_or_insert(error);
        }
        self.cut();
    }

    /// Closes both sides in order, unless that would say too much. Both are told before either is
    /// waited for.
    fn close(&self) {
        let (resets, closes): (Vec<_>, Vec<_>) = [&self.near, &self.far]
            .into_iter()
            .partition(|side| side.is_to_be_reset());
        resets.iter().for_each(|side| side.socket.abort());
        closes.iter().for_each(|side| side.socket.begin_close());
        for side in closes {
            match side.socket.close() {
                Ok(()) => {}
                // The peer has closed too, and did not wait for the last word.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    log::debug!("{}", side.describe(&error));
                }
                // The other side still gets all.
                Err(error) => {
                    self.failure.lock().get_or_insert(side.describe(&error));
                }
            }
        }
    }
}

/// One direction.
impl Relay {
    /// Passes on what comes, and looks after the other direction once this one has ended.
    fn carry(&self, from: &Side, to: &Side) {
        let mut result = self.copy(from, to);
        if let Err(Stop::Refused) = result {
            result = self.discard(from, to);
        } else if result.is_ok() {
            to.tell_end();
        }
        if let Err(Stop::Failed(error)) = result {
            self.fail(error);
        }
        from.enter(Phase::Ended);
        if !self.is_cut() {
            self.limit_silence(to, from);
        }
    }

    /// The buffer grows only for those who fill it.
    fn copy(&self, from: &Side, to: &Side) -> Result<(), Stop> {
        let mut buffer = vec![0; LEAST_BUFFER];
        loop {
            let count = self.read(from, to, &mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            from.enter(Phase::Delivering);
            self.write_all(to, &buffer[..count])?;
            from.bytes.fetch_add(count as u64, Ordering::Relaxed);
            from.enter(Phase::Waiting(Instant::now()));
            if count == buffer.len() && count < MOST_BUFFER {
                buffer.resize(2 * count, 0);
            }
        }
    }

    /// Reads to the end for nobody.
    fn discard(&self, from: &Side, to: &Side) -> Result<(), Stop> {
        from.enter(Phase::Discarding(Instant::now()));
        let mut buffer = vec![0; LEAST_BUFFER];
        while self.read(from, to, &mut buffer)? > 0 {}
        Ok(())
    }

    fn read(&self, from: &Side, to: &Side, buffer: &mut [u8]) -> Result<usize, Stop> {
        loop {
            let result = (&from.socket).read(buffer);
            if self.is_cut() {
                return Err(Stop::Cut);
            }
            match result {
                Ok(0) if from.has_lost_a_reset(to) => {
                    let error = io::ErrorKind::ConnectionReset.into();
                    return Err(Stop::Failed(from.describe(&error)));
                }
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Stop::Failed(from.describe(&error))),
            }
        }
    }

    fn write_all(&self, to: &Side, mut bytes: &[u8]) -> Result<(), Stop> {
        while !bytes.is_empty() {
            let result = (&to.socket).write(bytes);
            if self.is_cut() {
                return Err(Stop::Cut);
            }
            match result {
                Ok(0) => return Err(Stop::Refused),
                Ok(count) => bytes = &bytes[count..],
                // Sockets give up now and then, to have it looked whether the connection was cut.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
                    ) => {}
                Err(error) if to.socket.is_closed_by_peer(&error) => return Err(Stop::Refused),
                Err(error) => return Err(Stop::Failed(to.describe(&error))),
            }
        }
        Ok(())
    }
}

/// The second direction, once the first has ended.
impl Relay {
    /// Waits until nothing comes out of `last` any more, and sees to it that this does not take
    /// for ever, now that `ended` has ended.
    fn limit_silence(&self, last: &Side, ended: &Side) {
        let mut begun = Instant::now();
        let mut phase = last.phase.lock();
        loop {
            let limit = self.patience(ended);
            let now = Instant::now();
            let deadline = match *phase {
                Phase::Ended => return,
                Phase::Delivering => limit.map(|limit| now + limit),
                Phase::Waiting(since) => limit.map(|limit| since.max(begun) + limit),
                // What mKCP carries is delivered whether or not there is something to read.
                Phase::Discarding(_) if last.socket.mkcp().is_some() => Some(now),
                Phase::Discarding(since) => Some(since.max(begun) + FAREWELL),
            };
            match deadline {
                None => last.changed.wait(&mut phase),
                Some(deadline) if deadline > now => {
                    last.changed.wait_until(&mut phase, deadline);
                }
                Some(_) if phase.is_waiting() && last.socket.undelivered() > 0 => begun = now,
                Some(_) => break,
            }
        }
        if phase.is_waiting() {
            // Before the reader wakes, and tells an end that is none.
            self.end_by_silence(last, ended);
        } else {
            last.unheard.store(true, Ordering::SeqCst);
        }
        last.socket.end_reading();
        last.changed
            .wait_while(&mut phase, |phase| !matches!(phase, Phase::Ended));
    }

    fn end_by_silence(&self, last: &Side, ended: &Side) {
        if last.is(&self.near) || self.bytes_out() == 0 {
            ended.cut_short.store(true, Ordering::SeqCst);
        }
        // A plain mKCP peer that has ended would not have heard more.
        if ended.socket.can_half_close() {
            *self.silence.lock() = self.patience(ended).map(|limit| Silence {
                who: last.name,
                limit,
                by_option: ended.is(&self.near),
            });
        }
    }

    /// How long the side that has not ended may be silent.
    fn patience(&self, ended: &Side) -> Option<Duration> {
        if self.near.socket.can_half_close() && self.far.socket.can_half_close() {
            None
        } else if ended.is(&self.near) {
            Some(self.half_close)
        } else {
            Some(self.half_close.min(AFTER_ANSWER))
        }
    }
}
