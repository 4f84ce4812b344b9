//! Who has been turned away a moment ago and knocks again.
//!
//! A flood of forged first datagrams comes from ever new addresses, each once: more would cost its
//! sender twice as much. A client repeats its first datagram, for it gets no answer. So when there
//! is little room, a stranger has to come twice. What is remembered of the first time is a few
//! bytes in a table that never grows: under a flood the latest displace the others, and an eviction
//! costs a client one more repetition.

use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

use super::table::ConnectionId;

/// Places, a power of two: 256 KiB while anybody knocks, else none.
const PLACES: usize = 32 * 1024;
/// What comes sooner is the rest of the same flight. Go peers repeat after 100 ms.
const LEAST: Duration = Duration::from_millis(20);
/// What comes later is somebody else's.
const MOST: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Knocks {
    /// A fingerprint of the connection, and when it was first seen, in milliseconds.
    places: Vec<(u32, u32)>,
    start: Option<Instant>,
    latest: Option<Instant>,
    hasher: RandomState,
}

impl Knocks {
    /// Whether the same connection has been here a moment ago; if not, it is noted.
    pub(super) fn is_second(&mut self, now: Instant, id: &ConnectionId) -> bool {
        let start = *self.start.get_or_insert(now);
        self.latest = Some(now);
        let time = now.saturating_duration_since(start).as_millis() as u32;
        if self.places.is_empty() {
            self.places = vec![(0, 0); PLACES];
        }
        let hash = self.hasher.hash_one(id);
        // Never zero, which is an empty place.
        let fingerprint = (hash >> 32) as u32 | 1;
        let place = &mut self.places[hash as usize % PLACES];
        let age = Duration::from_millis(u64::from(time.wrapping_sub(place.1)));
        if place.0 == fingerprint && age < MOST {
            return age >= LEAST;
        }
        *place = (fingerprint, time);
        false
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Forgets everything if nobody has knocked for so long that it is of no use.
    pub(super) fn forget_old(&mut self, now: Instant) {
        let is_of_use = |latest| now.saturating_duration_since(latest) < MOST;
        if !self.latest.is_some_and(is_of_use) {
            self.places = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::{super::port::PortId, *};

    const MS: Duration = Duration::from_millis(1);

    fn id(number: u32) -> ConnectionId {
        let remote = SocketAddr::from((number.to_be_bytes(), 9));
        ConnectionId::new(PortId(0), remote, 7)
    }

    #[test]
    fn a_second_knock_comes_a_moment_later_and_not_much_later() {
        let start = Instant::now();
        let mut knocks = Knocks::default();
        assert!(!knocks.is_second(start, &id(1)));
        assert!(!knocks.is_second(start + 5 * MS, &id(1)), "the same flight");
        assert!(!knocks.is_second(start + 100 * MS, &id(2)));
        assert!(knocks.is_second(start + 100 * MS, &id(1)));
        assert!(!knocks.is_second(start + 20_000 * MS, &id(1)), "forgotten");
        assert!(knocks.is_second(start + 20_100 * MS, &id(1)));
        knocks.forget_old(start + 29_000 * MS);
        assert!(knocks.is_second(start + 29_000 * MS, &id(1)));
        knocks.forget_old(start + 39_000 * MS);
        assert!(knocks.places.is_empty());
    }

    #[test]
    fn a_flood_leaves_most_of_those_who_knock_again_soon() {
        let start = Instant::now();
        let mut knocks = Knocks::default();
        for number in 0..1000 {
            knocks.is_second(start, &id(number));
        }
        // 50,000 a second for the 100 ms until a Go client repeats.
        for number in 1000..6000 {
            assert!(!knocks.is_second(start + 50 * MS, &id(number)));
        }
        let later = start + 100 * MS;
        let known = (0..1000).filter(|&number| knocks.is_second(later, &id(number)));
        assert!(known.count() > 700);
    }
}
