//! Connections that send over the same path at the same time: an ensemble, as RFC 9040 calls it.
//!
//! On a short path each of them sees its bursts pass at the rate of the whole path. Taken for what
//! it may send, that makes several times what arrives of all together: a queue that stands, losses,
//! and shares that stay as unequal as they began. How much arrives of all together over some round
//! trips, no burst changes. So it is counted here, and none counts on much more than its part. On a
//! long path that only keeps one from taking most of it.
//!
//! While queues overflow, more is sent than arrives, and the latest period is believed. Otherwise it
//! may be late threads that let less arrive: whoever believed that would slow down ever more. Then
//! the most of several periods is believed, as in the model of a path.
//!
//! Of round-trip times the least counts, for whoever came last may never have seen the path without
//! a queue.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

use super::{
    Connection,
    amount::{per_second, scale},
    congestion::{Common, SHORT, Standing},
    most::MaxOverCycles,
};

/// The least time over which it is counted how much arrives: every connection has had its turn, and
/// most queues of short paths last for longer.
const LEAST_PERIOD: Duration = Duration::from_millis(10);
/// The same for each connection, where there are many: to count takes time, too.
const PERIOD_FOR_EACH: Duration = Duration::from_micros(50);
/// The same in round trips of the slowest.
const ROUND_TRIPS: u32 = 2;
/// But no longer than this for the sake of a round trip: a peer may make it seem as long as it likes.
const MOST_PERIOD: Duration = Duration::from_millis(200);
/// A cycle of so many periods and the one before decide.
const CYCLE: u8 = 16;
/// How much each may count on, in percent of its part: it must make up for what it yields while it
/// takes late threads for a queue, and find out when there is more.
const GAIN: u64 = 115;
/// The same on a long path. Bursts are short against it, and a delay that varies looks like a queue for
/// longer.
const LONG_GAIN: u64 = 200;
/// The same while queues overflow.
const OVERFLOW_GAIN: u64 = 105;
/// They do if they have for one of so many connections: what one loses may be an accident.
const OVERFLOW_SHARE: u64 = 4;
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
    connections: u64,
    overflowed: u64,
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

    /// To be called when a connection has sent what it may: if the path keeps the rest back, it is
    /// one of those to be compared.
    #[inline]
    pub fn watch(&mut self, now: Instant, name: M::Name, connection: &mut Connection) {
        if connection.output.is_compared || !connection.is_limited_by_path() {
            return;
        }
        connection.output.is_compared = true;
        self.began.get_or_insert(now);
        self.round_trip = self.round_trip.max(connection.round_trip());
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
            self.end_period(now, passed / 2, members);
        }
    }

    fn period(&self) -> Duration {
        let for_each = PERIOD_FOR_EACH * self.members.len() as u32;
        let least = LEAST_PERIOD.max(for_each);
        (ROUND_TRIPS * self.round_trip).clamp(least, least.max(MOST_PERIOD))
    }

    /// Those count who came at least so long ago and had enough to send ever since.
    fn end_period(&mut self, now: Instant, least: Duration, members: &mut M) {
        for member in &mut self.members {
            let time = now.saturating_duration_since(member.since);
            let Some((path, connection)) = members.find(member.name) else {
                continue;
            };
            let sampler = &connection.sampler;
            if let Some(standing) = connection.controller.standing()
                && time >= least
                && !sampler.was_app_limited(member.delivered)
            {
                member.counts = true;
                let bytes = sampler.delivered().saturating_sub(member.delivered);
                let arrivals = self.paths.entry(path).or_default();
                arrivals.present.add(per_second(bytes, time), standing);
            }
        }
        // Who sends no more has left a path that may be another next time.
        self.paths.retain(|_, arrivals| arrivals.end_period());
        self.tell(members);
        self.began = None;
        self.round_trip = Duration::ZERO;
    }

    fn tell(&mut self, members: &mut M) {
        let (count, capacity) = (self.members.len(), self.members.capacity());
        for member in self.members.drain(..) {
            let Some((path, connection)) = members.find(member.name) else {
                continue;
            };
            connection.output.is_compared = false;
            if member.counts {
                let common = self.paths.get(&path).and_then(Arrivals::common);
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
            overflowed: 0,
            least_rtt: Duration::MAX,
        }
    }
}

impl Period {
    fn add(&mut self, rate: u64, standing: Standing) {
        self.rate = self.rate.saturating_add(rate);
        self.connections += 1;
        self.overflowed += u64::from(standing.overflowed);
        self.least_rtt = self.least_rtt.min(standing.least_rtt);
    }

    fn has_overflowed(&self) -> bool {
        self.overflowed * OVERFLOW_SHARE >= self.connections
    }
}

impl Arrivals {
    /// Returns whether there were any.
    fn end_period(&mut self) -> bool {
        if self.periods == CYCLE {
            self.most.advance();
            self.periods = 0;
        }
        self.periods += 1;
        self.most.update(self.present.rate);
        self.present.connections > 0
    }

    /// `None` of one alone.
    fn common(&self) -> Option<Common> {
        let present = &self.present;
        let (rate, gain) = if present.has_overflowed() {
            // A thread that was away for long may have let hardly anything arrive.
            (present.rate.max(self.most.get() / 2), OVERFLOW_GAIN)
        } else if present.least_rtt < SHORT {
            (self.most.get(), GAIN)
        } else {
            (self.most.get(), LONG_GAIN)
        };
        let is_known = present.connections > 1 && rate > 0;
        is_known.then(|| Common {
            rate: scale(rate / present.connections, gain, 100),
            least_rtt: present.least_rtt,
        })
    }
}

impl Connection {
    /// Whether nothing but the path keeps back what there is to send.
    fn is_limited_by_path(&self) -> bool {
        let sampler = &self.sampler;
        let limited = self.send.unsent() > 0 && !sampler.was_app_limited(sampler.delivered());
        limited && self.controller.standing().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDING: Standing = Standing {
        least_rtt: Duration::from_millis(1),
        overflowed: false,
    };

    /// What each of so many gets to know when this arrives of each in turn.
    fn rates(connections: u64, each: &[u64], standing: Standing) -> Vec<Option<u64>> {
        let mut arrivals = Arrivals::default();
        let period = |&rate: &u64| {
            arrivals.present = Period::default();
            (0..connections).for_each(|_| arrivals.present.add(rate, standing));
            assert!(arrivals.end_period());
            arrivals.common().map(|common| common.rate)
        };
        each.iter().map(period).collect()
    }

    #[test]
    fn one_alone_learns_nothing() {
        assert_eq!(rates(1, &[1000], STANDING), [None]);
    }

    #[test]
    fn several_may_count_on_a_little_more_than_arrives() {
        assert_eq!(rates(2, &[1000, 2000], STANDING), [Some(1150), Some(2300)]);
        let least_rtt = SHORT;
        let long = Standing {
            least_rtt,
            ..STANDING
        };
        assert_eq!(rates(2, &[1000], long), [Some(2000)]);
    }

    #[test]
    fn the_most_of_some_periods_counts_unless_queues_overflow() {
        let mut each = [1000; 3 * CYCLE as usize];
        each[0] = 4000;
        let overflowed = true;
        let told = rates(8, &each, STANDING);
        assert_eq!(told[CYCLE as usize], Some(4600));
        assert_eq!(told.last(), Some(&Some(1150)));
        let told = rates(
            8,
            &each,
            Standing {
                overflowed,
                ..STANDING
            },
        );
        assert_eq!(told[..2], [Some(4200), Some(2100)]);
        assert_eq!(told.last(), Some(&Some(1050)));
    }

    #[test]
    fn what_overflows_for_few_is_an_accident() {
        let mut period = Period::default();
        let overflowed = true;
        (0..9).for_each(|_| period.add(1000, STANDING));
        period.add(
            1000,
            Standing {
                overflowed,
                ..STANDING
            },
        );
        period.add(
            1000,
            Standing {
                overflowed,
                ..STANDING
            },
        );
        assert!(!period.has_overflowed());
        period.add(
            1000,
            Standing {
                overflowed,
                ..STANDING
            },
        );
        assert!(period.has_overflowed());
    }

    #[test]
    fn a_path_that_nobody_uses_is_forgotten() {
        assert!(!Arrivals::default().end_period());
    }
}
