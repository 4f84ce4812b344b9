//! The numbers behind [`EndpointStats`], and log lines that cannot flood.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{
    error::DropReason,
    stats::{DropStats, EndpointStats},
};

/// A counter, or a level, that many threads change and anybody reads.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    pub(super) fn set(&self, count: u64) {
        self.0.store(count, Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What the threads count for one port.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) sessions_accepted: Count,
    pub(super) sessions_connected: Count,
    pub(super) sessions_failed: Count,
    pub(super) sessions_displaced: Count,
    pub(super) sessions_migrated: Count,
    pub(super) datagrams_received: Count,
    pub(super) bytes_received: Count,
    pub(super) receive_calls: Count,
    pub(super) datagrams_sent: Count,
    pub(super) bytes_sent: Count,
    pub(super) send_calls: Count,
    pub(super) send_errors: Count,
    pub(super) send_blocked: Count,
    pub(super) recv_buffer_size: Count,
    pub(super) send_buffer_size: Count,
    drops: [Count; DropReason::ALL.len()],
    pub(super) warnings: Throttle,
}

impl Counters {
    pub(super) fn drop_one(&self, reason: DropReason) {
        self.drop_many(reason, 1);
    }

    pub(super) fn drop_many(&self, reason: DropReason, count: u64) {
        self.drops[reason as usize].add(count);
    }

    /// A copy for the user; what only others know (live sessions, memory, lost threads) stays zero.
    pub(super) fn snapshot(&self) -> EndpointStats {
        let mut drops = DropStats::default();
        for &reason in DropReason::ALL {
            drops.set(reason, self.drops[reason as usize].get());
        }
        EndpointStats {
            sessions_accepted: self.sessions_accepted.get(),
            sessions_connected: self.sessions_connected.get(),
            sessions_failed: self.sessions_failed.get(),
            sessions_displaced: self.sessions_displaced.get(),
            sessions_migrated: self.sessions_migrated.get(),
            datagrams_received: self.datagrams_received.get(),
            bytes_received: self.bytes_received.get(),
            receive_calls: self.receive_calls.get(),
            datagrams_sent: self.datagrams_sent.get(),
            bytes_sent: self.bytes_sent.get(),
            send_calls: self.send_calls.get(),
            send_errors: self.send_errors.get(),
            send_blocked: self.send_blocked.get(),
            recv_buffer_size: self.recv_buffer_size.get(),
            send_buffer_size: self.send_buffer_size.get(),
            drops,
            ..EndpointStats::default()
        }
    }
}

/// Lets one warning through in ten seconds, because the network decides how many there are.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    last: Mutex<Option<Instant>>,
}

impl Throttle {
    const INTERVAL: Duration = Duration::from_secs(10);

    pub(super) fn allows(&self, now: Instant) -> bool {
        let mut last = self.last.lock();
        if last.is_some_and(|last| now.saturating_duration_since(last) < Self::INTERVAL) {
            return false;
        }
        *last = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_counted_by_itself() {
        let counters = Counters::default();
        counters.drop_one(DropReason::BadSeal);
        counters.drop_many(DropReason::Stray, 3);
        let stats = counters.snapshot();
        assert_eq!(stats.drops.get(DropReason::BadSeal), 1);
        assert_eq!(stats.drops.get(DropReason::Stray), 3);
        assert_eq!(stats.drops.total(), 4);
    }

    #[test]
    fn warnings_are_ten_seconds_apart() {
        let throttle = Throttle::default();
        let start = Instant::now();
        assert!(throttle.allows(start));
        assert!(!throttle.allows(start + Duration::from_secs(9)));
        assert!(throttle.allows(start + Duration::from_secs(10)));
    }
}
