//! How fast strangers come in, which is not how many may be in.
//!
//! Whoever is let in makes more work than a datagram: the program accepts the session, and often
//! starts a thread for it. If a flood of strangers came in as fast as datagrams do, all that work
//! would stand before that of the sessions that are there.

use std::time::{Duration, Instant};

/// After a quiet while, as many pass at once as otherwise in this time.
const BURST: Duration = Duration::from_millis(250);

/// Lets so many pass in a second, and a burst of them (the generic cell rate algorithm).
#[derive(Debug)]
pub(super) struct Turnstile {
    interval: Duration,
    /// When the next would pass, had all before come one by one.
    next: Option<Instant>,
}

impl Turnstile {
    pub(super) fn new(per_second: usize) -> Self {
        let nanos = 1_000_000_000 / per_second.max(1);
        Self {
            interval: Duration::from_nanos(nanos as u64),
            next: None,
        }
    }

    /// Whether one more may pass now.
    pub(super) fn pass(&mut self, now: Instant) -> bool {
        let next = self.next.map_or(now, |next| next.max(now));
        let is_free = next.saturating_duration_since(now) < BURST;
        if is_free {
            self.next = Some(next + self.interval);
        }
        is_free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn passing(turnstile: &mut Turnstile, now: Instant) -> usize {
        (0..10_000).filter(|_| turnstile.pass(now)).count()
    }

    #[test]
    fn a_burst_passes_and_then_so_many_a_second() {
        let start = Instant::now();
        let mut turnstile = Turnstile::new(1000);
        assert_eq!(passing(&mut turnstile, start), 250);
        assert_eq!(passing(&mut turnstile, start + 3 * MS), 3);
        let ticks = 4..=1003;
        let passed: usize = ticks
            .map(|tick| passing(&mut turnstile, start + tick * MS))
            .sum();
        assert_eq!(passed, 1000);
        assert_eq!(passing(&mut turnstile, start + 3600 * 1000 * MS), 250);
        // Time that seems to go backwards, as two threads tell it.
        assert_eq!(passing(&mut turnstile, start), 0);
    }

    #[test]
    fn neither_none_nor_all_are_a_rate_that_does_harm() {
        let now = Instant::now();
        assert_eq!(passing(&mut Turnstile::new(usize::MAX), now), 10_000);
        assert_eq!(passing(&mut Turnstile::new(0), now), 1);
    }
}
