//! What a connection counts itself, and what it reads off its parts.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    moment::Micros,
    prefetch::prefetch,
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

/// A number that somebody else adds to another one, from time to time.
#[derive(Debug, Default)]
pub(crate) struct Reported {
    count: Count,
    reported: Count,
}

impl Reported {
    #[inline]
    pub(crate) fn add(&self, more: u64) {
        self.count.add(more);
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.count.get()
    }

    /// How much has come since this was asked.
    pub(crate) fn take_news(&self) -> u64 {
        let news = self.count.get() - self.reported.get();
        self.reported.add(news);
        news
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
    pub(super) acks_sent: Count,
    pub(super) acks_received: Count,
    /// Apart, for many a connection has none. Made by the connection that counts; whoever looks
    /// does not wait.
    mishaps: OnceLock<Box<Mishaps>>,
    pub(super) wakes: Wakes,
    pub(super) levels: Levels,
}

/// What got lost, came twice, or was dropped.
#[derive(Debug, Default)]
pub(crate) struct Mishaps {
    pub(super) retransmits_fast: Count,
    pub(super) retransmits_timeout: Count,
    pub(super) spurious: Count,
    pub(super) duplicates_received: Count,
    pub(crate) beyond_window: Reported,
    pub(crate) over_memory: Reported,
    pub(crate) reflected: Reported,
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

/// How things stand: as the fields of [`ConnectionStats`] with these names that count nothing. The
/// connection says so when it is asked to.
///
/// They are kept for each session, whether or not anybody looks, and therefore take little.
#[derive(Debug, Default)]
pub(super) struct Levels {
    pub(super) rtt: Level,
    pub(super) min_rtt: Level,
    pub(super) rtt_variation: Level,
    pub(super) rto: Level,
    pub(super) congestion_window: Level,
    pub(super) bytes_in_flight: Level,
    pub(super) pacing_rate: AtomicU64,
    pub(super) send_queue: Level,
    pub(super) receive_queue: Level,
    pub(super) peer_window: Level,
}

/// A number of bytes, of segments, or of microseconds. Of one that is too large, so much is told.
#[derive(Debug, Default)]
pub(super) struct Level(AtomicU32);

impl Level {
    #[inline]
    pub(super) fn set(&self, number: u64) {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        self.0.store(number, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed).into()
    }

    #[inline]
    pub(super) fn set_time(&self, time: Micros) {
        self.0.store(time.into(), Ordering::Relaxed);
    }

    fn time(&self) -> Duration {
        Duration::from_micros(self.get())
    }
}

impl Counters {
    /// To count one of them.
    pub(crate) fn mishaps(&self) -> &Mishaps {
        self.mishaps.get_or_init(Box::default)
    }

    /// What there was of them, if there was any.
    pub(crate) fn past_mishaps(&self) -> Option<&Mishaps> {
        self.mishaps.get().map(|mishaps| &**mishaps)
    }

    pub(super) fn prefetch(&self) {
        prefetch(&self.bytes_written);
        prefetch(&self.bytes_on_wire_received);
        prefetch(&self.wakes);
        prefetch(&self.levels);
    }

    /// All that there is to say.
    pub fn stats(&self) -> ConnectionStats {
        let levels = &self.levels;
        let mishap = |kind: fn(&Mishaps) -> u64| self.past_mishaps().map_or(0, kind);
        let fast = mishap(|mishaps| mishaps.retransmits_fast.get());
        let timeout = mishap(|mishaps| mishaps.retransmits_timeout.get());
        ConnectionStats {
            rtt: levels.rtt.time(),
            min_rtt: levels.min_rtt.time(),
            rtt_variation: levels.rtt_variation.time(),
            rto: levels.rto.time(),
            congestion_window: levels.congestion_window.get(),
            bytes_in_flight: levels.bytes_in_flight.get(),
            pacing_rate: levels.pacing_rate.load(Ordering::Relaxed),
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
            spurious: mishap(|mishaps| mishaps.spurious.get()),
            duplicates_received: mishap(|mishaps| mishaps.duplicates_received.get()),
            beyond_window: mishap(|mishaps| mishaps.beyond_window.get()),
            over_memory: mishap(|mishaps| mishaps.over_memory.get()),
            reflected: mishap(|mishaps| mishaps.reflected.get()),
            acks_sent: self.acks_sent.get(),
            acks_received: self.acks_received.get(),
            send_queue: levels.send_queue.get(),
            receive_queue: levels.receive_queue.get(),
            peer_window: levels.peer_window.get(),
            wakes: self.wakes.stats(),
        }
    }

    /// Says how long the queues of a connection would be.
    #[cfg(test)]
    pub(crate) fn set_queues(&self, send: u64, receive: u64) {
        self.levels.send_queue.set(send);
        self.levels.receive_queue.set(receive);
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
