//! One side of a forwarded connection: a socket, and what goes on with the bytes that come out of
//! it. `relay.rs` says what follows from that.

use std::{
    io, ptr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use crate::socket::Socket;

/// More than a thread needs to say what the system has told it.
const SOON: Duration = Duration::from_secs(1);

/// A socket and what comes out of it.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) name: &'static str,
    pub(crate) socket: Socket,
    /// Bytes from here that have been passed on.
    pub(crate) bytes: AtomicU64,
    pub(crate) phase: Mutex<Phase>,
    pub(crate) changed: Condvar,
    /// It has been, or is about to be, told that nothing more will come.
    pub(crate) told: AtomicBool,
    /// What it still says is not heard to its end.
    pub(crate) unheard: AtomicBool,
    /// What it was told may be a part, and an end would make it look like the whole.
    pub(crate) cut_short: AtomicBool,
}

/// What goes on with the bytes that come out of a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Phase {
    /// There have been none since then.
    Waiting(Instant),
    /// They wait for their receiver.
    Delivering,
    /// They are thrown away since then.
    Discarding(Instant),
    /// There will be none.
    Ended,
}

impl Side {
    pub(crate) fn new(name: &'static str, socket: Socket) -> Self {
        Self {
            name,
            socket,
            bytes: AtomicU64::new(0),
            phase: Mutex::new(Phase::Waiting(Instant::now())),
            changed: Condvar::new(),
            told: AtomicBool::new(false),
            unheard: AtomicBool::new(false),
            cut_short: AtomicBool::new(false),
        }
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        ptr::eq(self, other)
    }

    /// Only what somebody may wait for wakes him.
    pub(crate) fn enter(&self, phase: Phase) {
        *self.phase.lock() = phase;
        if matches!(phase, Phase::Discarding(_) | Phase::Ended) {
            self.changed.notify_all();
        }
    }

    pub(crate) fn tell_end(&self) {
        self.told.store(true, Ordering::SeqCst);
        if self.cut_short.load(Ordering::SeqCst) {
            return;
        }
        if let Err(error) = self.socket.end_writing() {
            log::debug!("{}", self.describe(&error)); // Its other direction will show it.
        }
    }

    /// Whether it is not closed in order in the end. What mKCP carries is delivered whether or not
    /// the peer is heard; and a plain mKCP peer that has ended is gone, and takes no reset.
    pub(crate) fn is_to_be_reset(&self) -> bool {
        self.cut_short.load(Ordering::SeqCst) && self.socket.can_half_close()
            || self.unheard.load(Ordering::SeqCst) && self.socket.mkcp().is_none()
    }

    /// Whether the end of stream that was read is in truth a reset. The system tells an error
    /// once, and may have told this one to the thread that writes what comes out of `other`. Once
    /// that has ended, no reset can be lost to it.
    pub(crate) fn has_lost_a_reset(&self, other: &Self) -> bool {
        if self.told.load(Ordering::SeqCst) || !self.socket.is_disconnected() {
            return false;
        }
        match self.socket.take_error() {
            // A peer that has ended its stream, and is gone since then, is as good as closed.
            Some(error) => !self.socket.is_closed_by_peer(&error),
            None => !other.is_refused(),
        }
    }

    /// Whether the other side has closed in order and refuses what comes out of this one. A
    /// thread that has just been told so may be about to say it here.
    fn is_refused(&self) -> bool {
        let mut phase = self.phase.lock();
        self.changed
            .wait_while_for(&mut phase, |phase| matches!(phase, Phase::Delivering), SOON);
        matches!(*phase, Phase::Discarding(_) | Phase::Ended)
    }

    pub(crate) fn describe(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.name))
    }
}

impl Phase {
    pub(crate) fn is_waiting(self) -> bool {
        matches!(self, Self::Waiting(_))
    }
}
