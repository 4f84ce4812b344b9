//! What a connection counts itself, and what it reads off its parts.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{
    moment::Span,
    stats::{ConnectionStats, WakeStats},
};

/// A number that only ever grows. Others may look at it, but only its connection counts, so that no
/// addition has to be atomic.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    #[inline]
    pub(crate) fn add(&self, more: u64) {
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(before + more, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// As the fields of [`ConnectionStats`] with these names. They are kept once, and whoever wants to
/// know them shares them.
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) bytes_written: Count,
    pub(crate) bytes_read: Count,
    pub(super) datagrams_sent: Count,
    pub(super) datagrams_received: Count,
    pub(super) bytes_on_wire_sent: Count,
    pub(super) bytes_on_wire_received: Count,
    pub(super) segments_sent: Count,
    pub(super) retransmits_fast: Count,
    pub(super) retransmits_timeout: Count,
    pub(super) spurious: Count,
    pub(super) duplicates_received: Count,
    pub(crate) beyond_window: Count,
    pub(crate) over_memory: Count,
    pub(crate) reflected: Count,
    pub(super) acks_sent: Count,
    pub(super) acks_received: Count,
    pub(super) wakes: Wakes,
}

/// As the fields of [`WakeStats`].
#[derive(Debug, Default)]
pub(super) struct Wakes {
    pub(super) datagram: Count,
    pub(super) application: Count,
    pub(super) loss: Count,
    pub(super) pacing: Count,
    pub(super) delayed: Count,
    pub(super) keepalive: Count,
    pub(super) lifetime: Count,
}

/// The fields of [`ConnectionStats`] that say how things stand, and count nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Levels {
    pub(super) rtt: Span,
    pub(super) min_rtt: Span,
    pub(super) rtt_variation: Span,
    pub(super) rto: Span,
    pub(super) congestion_window: u64,
    pub(super) bytes_in_flight: u64,
    pub(super) pacing_rate: u64,
    pub send_queue: u64,
    pub receive_queue: u64,
    pub(super) peer_window: u64,
}

impl Counters {
    /// All that there is to say, with these levels.
    pub fn with(&self, levels: &Levels) -> ConnectionStats {
        let (fast, timeout) = (self.retransmits_fast.get(), self.retransmits_timeout.get());
        ConnectionStats {
            rtt: levels.rtt.get(),
            min_rtt: levels.min_rtt.get(),
            rtt_variation: levels.rtt_variation.get(),
            rto: levels.rto.get(),
            congestion_window: levels.congestion_window,
            bytes_in_flight: levels.bytes_in_flight,
            pacing_rate: levels.pacing_rate,
            bytes_written: self.bytes_written.get(),
            bytes_read: self.bytes_read.get(),
            datagrams_sent: self.datagrams_sent.get(),
            datagrams_received: self.datagrams_received.get(),
            bytes_on_wire_sent: self.bytes_on_wire_sent.get(),
            bytes_on_wire_received: self.bytes_on_wire_received.get(),
            segments_sent: self.segments_sent.get(),
            segments_retransmitted: fast + timeout,
            retransmits_fast: fast,
            retransmits_timeout: timeout,
            spurious: self.spurious.get(),
            duplicates_received: self.duplicates_received.get(),
            beyond_window: self.beyond_window.get(),
            over_memory: self.over_memory.get(),
            reflected: self.reflected.get(),
            acks_sent: self.acks_sent.get(),
            acks_received: self.acks_received.get(),
            send_queue: levels.send_queue,
            receive_queue: levels.receive_queue,
            peer_window: levels.peer_window,
            wakes: self.wakes.stats(),
        }
    }
}

impl Wakes {
    fn stats(&self) -> WakeStats {
        WakeStats {
            datagram: self.datagram.get(),
            application: self.application.get(),
            loss: self.loss.get(),
            pacing: self.pacing.get(),
            delayed: self.delayed.get(),
            keepalive: self.keepalive.get(),
            lifetime: self.lifetime.get(),
        }
    }
}
