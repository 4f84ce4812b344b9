//! Return routability: how much may be sent to an address that has not proven that it receives.
//!
//! Anyone can forge the source of a datagram. An ACK that echoes a timestamp which was really sent
//! proves that its sender received it, because clocks start at random (`clock.rs`). Until then a
//! server sends at most three times what it received (as RFC 9000, section 8.1), a floor that lets
//! a protocol speak first, and now and then one datagram more: if all that was allowed got lost,
//! nothing else would ever tell the peer, and a Go peer cannot be asked to send more.

use std::time::{Duration, Instant};

/// Bytes that an unproven peer is sent in any case, and datagrams if they are larger.
const FLOOR: u64 = 4096;
const FLOOR_DATAGRAMS: u64 = 2;
const FACTOR: u64 = 3;
/// The time to the first extra datagram; it doubles with each.
const FIRST_EXTRA: Duration = Duration::from_secs(1);
const MAX_EXTRA_INTERVAL: Duration = Duration::from_secs(4);
/// Extra datagrams to a peer that has not been heard since the one before.
const UNHEARD_EXTRAS: u32 = 2;

#[derive(Clone, Debug)]
pub(super) struct Validation {
    validated: bool,
    credit: u64,
    max_datagram: u64,
    /// Extra datagrams so far, and when the next is allowed once nothing else is.
    extras: u32,
    next_extra: Instant,
    heard_since_extra: bool,
}

impl Validation {
    /// A client chose the address itself.
    pub(super) fn of_client(now: Instant, max_datagram: usize) -> Self {
        Self {
            validated: true,
            ..Self::of_server(now, max_datagram)
        }
    }

    pub(super) fn of_server(now: Instant, max_datagram: usize) -> Self {
        let max_datagram = max_datagram as u64;
        Self {
            validated: false,
            credit: FLOOR.max(FLOOR_DATAGRAMS * max_datagram),
            max_datagram,
            extras: 0,
            next_extra: now + FIRST_EXTRA,
            heard_since_extra: false,
        }
    }

    pub(super) fn is_validated(&self) -> bool {
        self.validated
    }

    pub(super) fn validate(&mut self) {
        self.validated = true;
    }

    pub(super) fn on_received(&mut self, bytes: usize) {
        if !self.validated {
            self.credit = self.credit.saturating_add(FACTOR * bytes as u64);
            self.heard_since_extra = true;
        }
    }

    pub(super) fn on_sent(&mut self, now: Instant, bytes: usize) {
        let allowed = self.allows_datagram();
        self.credit = self.credit.saturating_sub(bytes as u64);
        if allowed && !self.allows_datagram() {
            let interval = FIRST_EXTRA * 2u32.saturating_pow(self.extras);
            self.next_extra = now + interval.min(MAX_EXTRA_INTERVAL);
        }
    }

    /// Whether a datagram of any length may be sent.
    pub(super) fn allows_datagram(&self) -> bool {
        self.validated || self.credit >= self.max_datagram
    }

    /// When an extra datagram is allowed, if none is now.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let hopeful = self.extras < UNHEARD_EXTRAS || self.heard_since_extra;
        (!self.allows_datagram() && hopeful).then_some(self.next_extra)
    }

    /// Allows an extra datagram if it is time.
    pub(super) fn on_timeout(&mut self, now: Instant) {
        if self.deadline().is_some_and(|at| at <= now) {
            self.credit = self.max_datagram;
            self.extras += 1;
            self.heard_since_extra = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unproven_peer_gets_the_floor_and_three_times_what_it_sent() {
        let now = Instant::now();
        let mut validation = Validation::of_server(now, 1350);
        validation.on_received(1000);
        let allowed = std::iter::from_fn(|| {
            let allows = validation.allows_datagram();
            validation.on_sent(now, 1350);
            allows.then_some(1350)
        });
        assert_eq!(allowed.sum::<u64>(), (4096 + 3000) / 1350 * 1350);
        validation.validate();
        assert!(validation.allows_datagram());
        assert!(Validation::of_client(now, 1350).is_validated());
    }

    #[test]
    fn extra_datagrams_are_few_unless_the_peer_goes_on_talking() {
        let mut now = Instant::now();
        let mut validation = Validation::of_server(now, 2000);
        let mut waits = Vec::new();
        validation.on_sent(now, 4096);
        for _ in 0..6 {
            let Some(at) = validation.deadline() else {
                validation.on_received(22);
                continue;
            };
            waits.push((at - now).as_millis());
            now = at;
            validation.on_timeout(now);
            assert!(validation.allows_datagram());
            validation.on_sent(now, 2000);
        }
        assert_eq!(waits, [1000, 2000, 4000, 4000]);
    }
}
