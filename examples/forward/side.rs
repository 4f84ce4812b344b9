//! One side of a forwarded connection: a socket, and what goes on with the bytes that come out of
//! it. `relay.rs` says what follows from that.

use std::{
    io, ptr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Instant,
};

use parking_lot::{Condvar, Mutex};

use crate::socket::Socket;

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
    /// It is not closed in order in the end.
    pub(crate) wronged: AtomicBool,
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
            wronged: AtomicBool::new(false),
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
        if self.wronged.load(Ordering::SeqCst) {
            return;
        }
        if let Err(error) = self.socket.end_writing() {
            log::debug!("{}", self.describe(&error)); // Its other direction will show it.
        }
    }

    /// Whether the end of stream that was read is in truth a reset, of which the system has told
    /// another thread, the one that writes. Once that has ended, no reset can be lost to it.
    pub(crate) fn has_lost_a_reset(&self) -> bool {
        !self.told.load(Ordering::SeqCst) && self.socket.is_disconnected()
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
