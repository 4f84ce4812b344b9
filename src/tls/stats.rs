//! What became of handshakes.

use std::sync::atomic::{AtomicU64, Ordering};

use super::error::TlsError;

/// What a [`TlsListener`](super::TlsListener) and the streams that it gave have seen: a snapshot.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsStats {
    /// Handshakes that were completed.
    pub handshakes_completed: u64,
    /// Handshakes that failed: no TLS, no agreement, an alert, or an end or a reset in between.
    pub handshakes_failed: u64,
    /// Handshakes that were not completed within the handshake timeout.
    pub handshakes_timed_out: u64,
    /// Streams that failed after their handshake: damaged records, an alert, or an end without
    /// close_notify.
    pub sessions_failed: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) completed: Counter,
    /// Handshakes that failed because the stream below did.
    pub(super) lost: Counter,
    failed: Counter,
    timed_out: Counter,
    sessions_failed: Counter,
}

impl Counters {
    pub(super) fn count(&self, error: &TlsError) {
        match error {
            TlsError::Handshake(_) | TlsError::HandshakeCut => self.failed.add(),
            TlsError::HandshakeTimeout(_) => self.timed_out.add(),
            TlsError::Session(_) | TlsError::Truncated => self.sessions_failed.add(),
        }
    }

    pub(super) fn snapshot(&self) -> TlsStats {
        TlsStats {
            handshakes_completed: self.completed.get(),
            handshakes_failed: self.failed.get() + self.lost.get(),
            handshakes_timed_out: self.timed_out.get(),
            sessions_failed: self.sessions_failed.get(),
        }
    }
}
