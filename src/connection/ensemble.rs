//! Connections that send over the same path at the same time: an ensemble, as RFC 9040 calls it.
//!
//! On a short path each of them sees its bursts pass at the rate of the whole path. Taken for what
//! it may send, that makes several times what arrives of all together: a queue that stands, losses,
//! and shares that stay as unequal as they began. How much arrives of all together over some round
//! trips, no burst changes. So it is counted here, and none counts on much more than its part.
//!
//! As in the model of a path, the most of several periods is believed: late threads, losses by
//! chance and others on the path let less arrive for a while, and whoever believed that would slow
//! down ever more. Of round-trip times the least counts, for whoever came last may never have seen
//! the path without a queue.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

use super::{
    Connection,
    amount::{per_second, scale},
    congestion::Common,
    most::MaxOverCycles,
};

/// The least time over which it is counted how much arrives: every connection has had its turn, and
/// most queues of short paths last for longer.
const LEAST_PERIOD: Duration = Duration::from_millis(10);
/// The same for each connection, where there are many: to count takes time, too.
const PERIOD_FOR_EACH: Duration = Duration::from_micros(50);
/// The same in round trips of the slowest ...
const ROUND_TRIPS: u32 = 2;
/// ... but no longer than this for their sake: one that is slow would keep the others waiting.
const MOST_PERIOD: Duration = Duration::from_millis(50);
/// Whose round trip is longer than this does not count for that: few short paths have such a queue.
const LONGEST_ROUND_TRIP: Duration = Duration::from_millis(100);
/// So many are compared at once, for all that is done in one go.
const MOST_MEMBERS: usize = 1024;
/// A cycle of so many periods and the one before decide.
const CYCLE: u8 = 16;
/// How much each may count on, in percent of its part: it must make up for what it yields while it
/// takes late threads for a queue, and find out when there is more.
const GAIN: u64 = 115;
/// Who has so many times less of a round trip than the others in the mean does not wait in their
/// queue: what keeps them back is behind another one, as another thread of the peer.
const ELSEWHERE: u32 = 2;
/// Members whose memory is kept for the next period, whatever their number is.
const KEPT: usize = 64;

/// Where connections are found.
pub trait Members {
    /// By what its driver knows a connection.
    type Name: Copy;
    /// What two connections have in common if they share their path.
    type Path: Eq + Hash;

    /// The connection of this name, if it is still there.
    fn find(&mut self, name: Self::Name) -> Option<(Self::Path, &mut Connection)>;
}

/// Those connections of a driver that have more to send than their paths carry.
#[derive(Debug)]
pub struct Ensembles<M: Members> {
    members: Vec<Member<M::Name>>,
    /// When the present period began, and the longest round trip in it.
    began: Option<Instant>,
    round_trip: Duration,
    paths: HashMap<M::Path, Arrivals>,
}

/// A connection as it was when it came to the others.
#[derive(Debug)]
struct Member<N> {
    name: N,
    since: Instant,
    delivered: u64,
    counts: bool,
}

/// How much arrives of those on one path, in bytes per second.
#[derive(Debug, Default)]
struct Arrivals {
    present: Period,
    most: MaxOverCycles,
    /// Periods of this cycle that have passed.
    periods: u8,
}

/// What has been counted in a period.
#[derive(Debug)]
struct Period {
    rate: u64,
    connections: u32,
    /// Of all together.
    round_trips: Duration,
    least_rtt: Duration,
}

impl<M: Members> Ensembles<M> {
    /// None yet.
    pub fn new() -> Self {
        Self {
            members: Vec::new(),
            began: None,
            round_trip: Duration::ZERO,
            paths: HashMap::new(),
        }
    }

    /// To be called when a connection has sent what it may: if that was not all, it is one of those
    /// to be compared.
    #[inline]
    pub fn watch(&mut self, now: Instant, name: M::Name, connection: &mut Connection) {
        let is_new = !connection.output.is_compared && self.members.len() < MOST_MEMBERS;
        if !is_new || !connection.is_comparable() {
            return;
        }
        connection.output.is_compared = true;
        self.began.get_or_insert(now);
        let round_trip = connection.round_trip();
        if round_trip < LONGEST_ROUND_TRIP {
            self.round_trip = self.round_trip.max(round_trip);
        }
        self.members.push(Member {
            name,
            since: now,
            delivered: connection.sampler.delivered(),
            counts: false,
        });
    }

    /// Compares them, if it is time to.
    #[inline]
    pub fn compare(&mut self, now: Instant, members: &mut M) {
        let Some(began) = self.began else {
            return;
        };
        let passed = now.saturating_duration_since(began);
        if passed >= self.period() {
            self.count(now, passed / 2, members);
            // Who sends no more has left a path that may be another next time.
            self.paths.retain(|_, arrivals| arrivals.end_period());
            self.tell(members);
            self.began = None;
            self.round_trip = Duration::ZERO;
        }
    }

    fn period(&self) -> Duration {
        let for_each = PERIOD_FOR_EACH * self.members.len() as u32;
        let for_round_trips = ROUND_TRIPS * self.round_trip;
        for_round_trips
            .clamp(LEAST_PERIOD, MOST_PERIOD)
            .max(for_each)
    }

    /// Those count who came at least so long ago and had enough to send ever since.
    fn count(&mut self, now: Instant, least: Duration, members: &mut M) {
        for member in &mut self.members {
            let time = now.saturating_duration_since(member.since);
            let Some((path, connection)) = members.find(member.name) else {
                continue;
            };
            let sampler = &connection.sampler;
            if let Some(least_rtt) = connection.controller.own_least_rtt()
                && time >= least
                && !sampler.was_app_limited(member.delivered)
            {
                member.counts = true;
                let bytes = sampler.delivered().saturating_sub(member.delivered);
                let present = &mut self.paths.entry(path).or_default().present;
                present.rate = present.rate.saturating_add(per_second(bytes, time));
                present.connections += 1;
                present.round_trips += connection.round_trip();
                present.least_rtt = present.least_rtt.min(least_rtt);
            }
        }
    }

    fn tell(&mut self, members: &mut M) {
        let (count, capacity) = (self.members.len(), self.members.capacity());
        for member in self.members.drain(..) {
            let Some((path, connection)) = members.find(member.name) else {
                continue;
            };
            connection.output.is_compared = false;
            if member.counts {
                let arrivals = self.paths.get(&path);
                let common = arrivals.and_then(|those| those.common(connection.round_trip()));
                connection.controller.set_common(common);
            }
        }
        for arrivals in self.paths.values_mut() {
            arrivals.present = Period::default();
        }
        if count < capacity / 8 && capacity > KEPT {
            self.members.shrink_to(2 * count);
            self.paths.shrink_to(2 * count);
        }
    }
}

impl<M: Members> Default for Ensembles<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Period {
    fn default() -> Self {
        Self {
            rate: 0,
            connections: 0,
            round_trips: Duration::ZERO,
            least_rtt: Duration::MAX,
        }
    }
}

impl Arrivals {
    /// Takes what the period has brought; returns whether anybody has counted.
    fn end_period(&mut self) -> bool {
        if self.periods == CYCLE {
            self.most.advance();
            self.periods = 0;
        }
        self.periods += 1;
        self.most.update(self.present.rate);
        self.present.connections > 0
    }

    /// What one with this round trip is to know. Nothing if it is alone, or in no queue with the
    /// others, or as long as nothing has arrived.
    fn common(&self, round_trip: Duration) -> Option<Common> {
        let Period {
            connections,
            round_trips,
            least_rtt,
            ..
        } = self.present;
        let most = self.most.get();
        let is_elsewhere = ELSEWHERE * connections * round_trip < round_trips;
        let is_known = connections > 1 && !is_elsewhere && most > 0;
        is_known.then(|| Common {
            rate: scale(most / u64::from(connections), GAIN, 100),
            least_rtt,
        })
    }
}

impl Connection {
    /// Whether it has had more to send than may leave for as long as what is in flight has been.
    fn is_comparable(&self) -> bool {
        let sampler = &self.sampler;
        self.send.unsent() > 0
            && !sampler.was_app_limited(sampler.delivered())
            && self.controller.own_least_rtt().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(2);

    /// After a period in which so much arrived of each of so many.
    fn pass(arrivals: &mut Arrivals, connections: u32, each: u64) {
        arrivals.present = Period {
            rate: u64::from(connections) * each,
            connections,
            round_trips: connections * RTT,
            least_rtt: RTT / 2,
        };
        assert!(arrivals.end_period());
    }

    /// What each of so many gets to know when this arrives of each, period by period.
    fn rates(connections: u32, each: &[u64]) -> Vec<Option<u64>> {
        let mut arrivals = Arrivals::default();
        let period = |&rate: &u64| {
            pass(&mut arrivals, connections, rate);
            arrivals.common(RTT).map(|common| common.rate)
        };
        each.iter().map(period).collect()
    }

    #[test]
    fn one_alone_learns_nothing() {
        assert_eq!(rates(1, &[1000]), [None]);
    }

    #[test]
    fn several_may_count_on_a_little_more_than_arrives() {
        assert_eq!(rates(2, &[1000, 2000]), [Some(1150), Some(2300)]);
        assert_eq!(rates(2, &[0]), [None], "nothing has arrived yet");
    }

    #[test]
    fn the_most_of_some_periods_counts() {
        let mut each = [1000; 3 * CYCLE as usize];
        each[0] = 4000;
        let told = rates(8, &each);
        assert_eq!(told[CYCLE as usize], Some(4600));
        assert_eq!(told.last(), Some(&Some(1150)));
    }

    #[test]
    fn more_of_them_share_what_arrived_of_fewer() {
        let mut arrivals = Arrivals::default();
        pass(&mut arrivals, 2, 4000);
        pass(&mut arrivals, 8, 500);
        assert_eq!(arrivals.common(RTT).map(|common| common.rate), Some(1150));
    }

    #[test]
    fn who_waits_in_no_queue_with_the_others_goes_by_itself() {
        let mut arrivals = Arrivals::default();
        pass(&mut arrivals, 8, 1000);
        let least_rtt = |round_trip| arrivals.common(round_trip).map(|common| common.least_rtt);
        assert_eq!(least_rtt(RTT / 2), Some(RTT / 2));
        assert_eq!(least_rtt(RTT / 3), None);
        assert_eq!(least_rtt(10 * RTT), Some(RTT / 2));
    }
}
