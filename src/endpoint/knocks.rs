//! Who has been turned away a moment ago and knocks again.
//!
//! A flood of forged first datagrams comes from ever new addresses, each once: more would cost its
//! sender twice as much. A client repeats its first datagram, for it gets no answer. So when there
//! is little room, or strangers come too fast, one of them has to come twice. What is remembered of
//! the first time is a few bytes in a table that never grows: under a flood the latest displace the
//! others, and an eviction costs a client one more repetition.

use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

use super::table::ConnectionId;

/// A line of the processor's cache holds a set. All of them take 512 KiB while somebody is turned
/// away, else nothing.
const SETS: usize = 8 * 1024;
const PLACES: usize = 8;
/// What comes sooner is the rest of the same flight. Go peers repeat after 100 ms.
const LEAST: Duration = Duration::from_millis(20);
/// What comes later is somebody else's.
const MOST: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Knocks {
    sets: Vec<[Knock; PLACES]>,
    start: Option<Instant>,
    /// When one was noted last.
    latest: Option<Instant>,
    hasher: RandomState,
}

#[derive(Clone, Copy, Debug, Default)]
struct Knock {
    /// Of the connection; never zero, which is an empty place.
    fingerprint: u32,
    /// When it was first seen, in milliseconds.
    time: u32,
}

impl Knock {
    fn age(&self, time: u32) -> Duration {
        Duration::from_millis(u64::from(time.wrapping_sub(self.time)))
    }
}

impl Knocks {
    /// Whether the same connection has been here a moment ago; if not, it is noted.
    pub(super) fn is_second(&mut self, now: Instant, id: &ConnectionId) -> bool {
        let start = *self.start.get_or_insert(now);
        let time = now.saturating_duration_since(start).as_millis() as u32;
        if self.sets.is_empty() {
            self.sets = vec![[Knock::default(); PLACES]; SETS];
        }
        let hash = self.hasher.hash_one(id);
        let fingerprint = (hash >> 32) as u32 | 1;
        let set = &mut self.sets[hash as usize % SETS];
        let is_same = |knock: &&Knock| knock.fingerprint == fingerprint && knock.age(time) < MOST;
        if let Some(first) = set.iter().find(is_same) {
            return first.age(time) >= LEAST;
        }
        let worth_least = |knock: &&mut Knock| (knock.fingerprint == 0, knock.age(time));
        if let Some(place) = set.iter_mut().max_by_key(worth_least) {
            *place = Knock { fingerprint, time };
        }
        self.latest = Some(now);
        false
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// When everything in it will be too old to count, if nobody knocks before.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.latest.map(|latest| latest + MOST)
    }

    /// Gives the memory back once everything in it is too old to count.
    pub(super) fn prune(&mut self, now: Instant) {
        let is_old = |latest| now.saturating_duration_since(latest) >= MOST;
        if self.latest.is_some_and(is_old) {
            self.sets = Vec::new();
            self.latest = None;
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
    }

    #[test]
    fn memory_is_given_back_when_nothing_in_it_counts_any_more() {
        let start = Instant::now();
        let mut knocks = Knocks::default();
        knocks.is_second(start, &id(1));
        knocks.is_second(start + 5000 * MS, &id(2));
        assert_eq!(knocks.next_deadline(), Some(start + 15_000 * MS));
        knocks.prune(start + 14_999 * MS);
        assert!(knocks.is_second(start + 14_999 * MS, &id(2)));
        knocks.prune(start + 15_000 * MS);
        assert!(knocks.sets.is_empty());
        assert_eq!(knocks.next_deadline(), None);
        assert!(!knocks.is_second(start + 15_000 * MS, &id(2)));
    }

    #[test]
    fn a_flood_leaves_most_of_those_who_knock_again_soon() {
        let start = Instant::now();
        let mut knocks = Knocks::default();
        for number in 0..1000 {
            knocks.is_second(start, &id(number));
        }
        // 50,000 a second for the 300 ms until a client repeats; a Go client does after 100 ms.
        for number in 1000..16_000 {
            assert!(!knocks.is_second(start + 150 * MS, &id(number)));
        }
        let later = start + 300 * MS;
        let known = (0..1000).filter(|&number| knocks.is_second(later, &id(number)));
        assert!(known.count() > 950);
    }
}
