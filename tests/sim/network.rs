//! One direction of a path: delay, jitter, rate, queue, loss, bursts, copies, disorder, damage.

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::{
    clock::Time,
    radio::{Radio, Stretch},
};

/// How a link behaves. May be changed while datagrams are on their way.
#[derive(Clone, Debug)]
pub struct LinkProfile {
    pub delay: Duration,
    /// Up to so much is added to each delay.
    pub jitter: Duration,
    /// Whether jitter may let one datagram overtake another.
    pub order: Order,
    /// A delay that wanders beside that.
    pub radio: Option<Radio>,
    pub rate: Option<Rate>,
    /// Share of datagrams lost, each by itself.
    pub loss: f64,
    pub bursts: Option<Bursts>,
    /// Share of datagrams that arrive twice.
    pub duplication: f64,
    /// Share of datagrams that are held back by up to four delays.
    pub held_back: f64,
    /// Share of datagrams in which a few bits flip.
    pub corruption: f64,
    pub damage: Damage,
    /// Nothing gets through.
    pub down: bool,
    /// Share of datagrams that are overtaken, and for how long they are held back.
    pub late: Option<Late>,
    /// Bytes of each packet on the wire that a plaintext does not show: seal, UDP and IP.
    pub overhead: u64,
}

/// Some datagrams come a fixed time later than their neighbours.
#[derive(Clone, Copy, Debug)]
pub struct Late {
    pub share: f64,
    pub by: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Kept,
    Free,
}

/// A bottleneck with a queue in front of it that drops from its tail.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub bytes_per_second: u64,
    pub queue_bytes: u64,
    /// It only counts: nothing waits, and what would find the queue full is dropped. Such is the
    /// token bucket with which providers keep their customers to a rate.
    pub polices: bool,
}

/// Gilbert and Elliott's model: chances to enter and leave a bad time, and the loss within it.
#[derive(Clone, Copy, Debug)]
pub struct Bursts {
    pub enter: f64,
    pub leave: f64,
    pub loss: f64,
}

/// No burst is longer, or it would last for ever when little is sent.
const LONGEST_BURST: Duration = Duration::from_millis(500);

/// What becomes of a datagram with flipped bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The seal does not open: the datagram is lost.
    SealDrops,
    /// There is no seal: the damaged bytes are delivered.
    Delivered,
}

impl LinkProfile {
    pub fn clean(delay: Duration) -> Self {
        Self {
            delay,
            jitter: Duration::ZERO,
            order: Order::Kept,
            radio: None,
            rate: None,
            loss: 0.0,
            bursts: None,
            duplication: 0.0,
            held_back: 0.0,
            corruption: 0.0,
            damage: Damage::SealDrops,
            down: false,
            late: None,
            overhead: 0,
        }
    }

    pub fn with_loss(mut self, share: f64) -> Self {
        self.loss = share;
        self
    }

    pub fn with_rate(mut self, bytes_per_second: u64, queue_bytes: u64) -> Self {
        self.rate = Some(Rate {
            bytes_per_second,
            queue_bytes,
            polices: false,
        });
        self
    }
}

/// What happens to a link at a moment of a scenario.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    Down,
    Up,
    Delay(Duration),
    Loss(f64),
    BytesPerSecond(u64),
}

#[derive(Debug)]
pub struct Link {
    profile: LinkProfile,
    rng: SmallRng,
    /// When the bad time began, if this is one.
    burst_since: Option<Time>,
    /// When the bottleneck has sent all that is queued.
    free_at: Time,
    last_arrival: Time,
    stretch: Stretch,
    pub counters: Counters,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    pub sent: u64,
    pub sent_bytes: u64,
    pub lost: u64,
    /// Those of the lost that found the queue full.
    pub queue_drops: u64,
}

/// How a change of rate moves the arrival of what is queued.
#[derive(Clone, Copy, Debug)]
pub struct Rescaling {
    now: Time,
    delay: Duration,
    factor: f64,
}

impl Rescaling {
    /// When a datagram arrives that would have arrived at `arrival`.
    pub fn arrival(&self, arrival: Time) -> Time {
        let leaves_queue = arrival.saturating_sub(self.delay);
        if leaves_queue <= self.now {
            return arrival;
        }
        self.now + (leaves_queue - self.now).mul_f64(self.factor) + self.delay
    }
}

impl Link {
    pub fn new(profile: LinkProfile, seed: u64) -> Self {
        Self {
            profile,
            rng: SmallRng::seed_from_u64(seed),
            burst_since: None,
            free_at: Time::ZERO,
            last_arrival: Time::ZERO,
            stretch: Stretch::default(),
            counters: Counters::default(),
        }
    }

    pub fn change(&mut self, change: Change) {
        match change {
            Change::Down => self.profile.down = true,
            Change::Up => self.profile.down = false,
            Change::Delay(delay) => self.profile.delay = delay,
            Change::Loss(share) => self.profile.loss = share,
            Change::BytesPerSecond(bytes_per_second) => {
                let rate = self.profile.rate.get_or_insert(Rate {
                    bytes_per_second,
                    queue_bytes: 100_000,
                    polices: false,
                });
                rate.bytes_per_second = bytes_per_second;
            }
        }
    }

    /// Changes the rate for what is queued too; [`Change::BytesPerSecond`] leaves that as it is. The
    /// caller moves the arrivals that were promised.
    pub fn change_rate(&mut self, now: Time, bytes_per_second: u64) -> Rescaling {
        let before = self.profile.rate.map(|rate| rate.bytes_per_second);
        let factor = before.map_or(1.0, |before| before as f64 / bytes_per_second as f64);
        let queue = Rescaling {
            now,
            delay: Duration::ZERO,
            factor,
        };
        let rescaling = Rescaling {
            delay: self.profile.delay,
            ..queue
        };
        self.free_at = queue.arrival(self.free_at);
        self.last_arrival = rescaling.arrival(self.last_arrival);
        self.change(Change::BytesPerSecond(bytes_per_second));
        rescaling
    }

    /// How long a datagram that is sent now waits for those before it.
    pub fn queueing_delay(&self, now: Time) -> Duration {
        if self.profile.rate.is_some_and(|rate| rate.polices) {
            return Duration::ZERO;
        }
        self.free_at.saturating_sub(now)
    }

    /// Puts a datagram on the link and gives what arrives of it, and when.
    pub fn send(&mut self, now: Time, mut datagram: Vec<u8>) -> Vec<(Time, Vec<u8>)> {
        self.counters.sent += 1;
        let wire_len = datagram.len() as u64 + self.profile.overhead;
        self.counters.sent_bytes += wire_len;
        let Some(departure) = self.pass_bottleneck(now, wire_len) else {
            self.counters.lost += 1;
            self.counters.queue_drops += 1;
            return Vec::new();
        };
        if self.is_lost(now) || !self.survives_damage(&mut datagram) {
            self.counters.lost += 1;
            return Vec::new();
        }
        let mut arrivals = Vec::with_capacity(2);
        if self.chance(self.profile.duplication) {
            arrivals.push((self.arrival(departure), datagram.clone()));
        }
        arrivals.push((self.arrival(departure), datagram));
        arrivals
    }

    /// When the last byte is on the wire, or `None` if the queue is full.
    fn pass_bottleneck(&mut self, now: Time, bytes: u64) -> Option<Time> {
        let Some(rate) = self.profile.rate else {
            return Some(now);
        };
        let per_second = rate.bytes_per_second.max(1);
        let backlog = self.free_at.saturating_sub(now);
        let queued = (backlog.as_nanos() * u128::from(per_second) / 1_000_000_000) as u64;
        if queued + bytes > rate.queue_bytes.max(bytes) {
            return None;
        }
        let serialisation = Duration::from_nanos(bytes * 1_000_000_000 / per_second);
        self.free_at = self.free_at.max(now) + serialisation;
        Some(if rate.polices { now } else { self.free_at })
    }

    fn is_lost(&mut self, now: Time) -> bool {
        if let Some(bursts) = self.profile.bursts
            && self.is_in_burst(now, bursts)
            && self.chance(bursts.loss)
        {
            return true;
        }
        self.profile.down || self.chance(self.profile.loss)
    }

    fn is_in_burst(&mut self, now: Time, bursts: Bursts) -> bool {
        self.burst_since = match self.burst_since {
            None => self.chance(bursts.enter).then_some(now),
            Some(since) if now > since + LONGEST_BURST => None,
            Some(since) => (!self.chance(bursts.leave)).then_some(since),
        };
        self.burst_since.is_some()
    }

    fn survives_damage(&mut self, datagram: &mut [u8]) -> bool {
        if datagram.is_empty() || !self.chance(self.profile.corruption) {
            return true;
        }
        for _ in 0..self.rng.random_range(1..=3) {
            let bit = self.rng.random_range(0..datagram.len() * 8);
            datagram[bit / 8] ^= 1 << (bit % 8);
        }
        self.profile.damage == Damage::Delivered
    }

    fn arrival(&mut self, departure: Time) -> Time {
        let jitter = self.profile.jitter.mul_f64(self.rng.random());
        let departure = match self.profile.radio {
            Some(radio) => radio.delayed(&mut self.stretch, departure, &mut self.rng),
            None => departure,
        };
        let mut arrival = departure + self.profile.delay + jitter;
        if self.chance(self.profile.held_back) {
            return arrival + self.profile.delay.mul_f64(4.0 * self.rng.random::<f64>());
        }
        if let Some(late) = self.profile.late
            && self.chance(late.share)
        {
            return arrival + late.by;
        }
        if self.profile.order == Order::Kept {
            arrival = arrival.max(self.last_arrival);
            self.last_arrival = arrival;
        }
        arrival
    }

    fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.rng.random_bool(share.min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_bottleneck_spaces_datagrams_and_drops_from_its_tail() {
        let profile = LinkProfile::clean(10 * MS).with_rate(100_000, 3000);
        let mut link = Link::new(profile, 1);
        let arrivals: Vec<_> = (0..4)
            .flat_map(|_| link.send(Time::ZERO, vec![0; 1000]))
            .map(|(at, _)| at)
            .collect();
        assert_eq!(arrivals, [20 * MS, 30 * MS, 40 * MS]);
        assert_eq!(link.counters.lost, 1);
        assert_eq!(link.send(30 * MS, vec![0; 1000])[0].0, 50 * MS);
    }

    #[test]
    fn a_policer_drops_what_exceeds_its_bucket_and_delays_nothing() {
        let mut profile = LinkProfile::clean(10 * MS).with_rate(100_000, 3000);
        profile.rate.as_mut().unwrap().polices = true;
        let mut link = Link::new(profile, 1);
        let arrivals: Vec<_> = (0..4)
            .flat_map(|_| link.send(Time::ZERO, vec![0; 1000]))
            .map(|(at, _)| at)
            .collect();
        assert_eq!(arrivals, [10 * MS; 3]);
        assert_eq!(link.counters.queue_drops, 1);
        assert_eq!(link.send(10 * MS, vec![0; 1000])[0].0, 20 * MS);
    }

    #[test]
    fn losses_come_at_their_share_and_in_bursts_if_told() {
        let mut link = Link::new(LinkProfile::clean(MS).with_loss(0.2), 7);
        for _ in 0..10_000 {
            link.send(Time::ZERO, vec![0]);
        }
        assert!(
            (1900..2100).contains(&link.counters.lost),
            "{:?}",
            link.counters
        );
        let mut profile = LinkProfile::clean(MS);
        profile.bursts = Some(Bursts {
            enter: 0.01,
            leave: 0.1,
            loss: 1.0,
        });
        let mut link = Link::new(profile, 7);
        let lost: Vec<bool> = (0..10_000)
            .map(|_| link.send(Time::ZERO, vec![0]).is_empty())
            .collect();
        let bursts = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        let mean = link.counters.lost as f64 / bursts as f64;
        assert!((7.0..13.0).contains(&mean), "bursts of {mean} datagrams");
    }

    #[test]
    fn jitter_keeps_the_order_unless_it_is_free() {
        let overtaken = |order| {
            let mut profile = LinkProfile::clean(10 * MS);
            (profile.jitter, profile.order) = (10 * MS, order);
            let mut link = Link::new(profile, 3);
            let times: Vec<_> = (0..100).map(|i| link.send(i * MS, vec![0])[0].0).collect();
            times.windows(2).filter(|pair| pair[1] < pair[0]).count()
        };
        assert_eq!(overtaken(Order::Kept), 0);
        assert!(overtaken(Order::Free) > 10);
    }

    #[test]
    fn a_change_of_rate_moves_what_is_queued() {
        let profile = LinkProfile::clean(10 * MS).with_rate(100_000, 3000);
        let mut link = Link::new(profile, 1);
        let arrival = link.send(Time::ZERO, vec![0; 1000])[0].0;
        let second = link.send(Time::ZERO, vec![0; 1000])[0].0;
        // Half of the first packet has left: the rest takes twice as long, and the second too.
        let rescaled = link.change_rate(5 * MS, 50_000);
        assert_eq!(rescaled.arrival(arrival), 25 * MS);
        assert_eq!(rescaled.arrival(second), 45 * MS);
        assert_eq!(link.queueing_delay(5 * MS), 30 * MS);
        assert_eq!(link.send(5 * MS, vec![0; 1000])[0].0, 65 * MS);
    }

    #[test]
    fn an_overhead_takes_time_and_room_in_the_queue() {
        let mut profile = LinkProfile::clean(Time::ZERO).with_rate(100_000, 3000);
        profile.overhead = 500;
        let mut link = Link::new(profile, 1);
        assert_eq!(link.send(Time::ZERO, vec![0; 1000])[0].0, 15 * MS);
        assert_eq!(link.send(Time::ZERO, vec![0; 1000])[0].0, 30 * MS);
        assert!(link.send(Time::ZERO, vec![0; 1000]).is_empty());
        assert_eq!(
            (link.counters.sent_bytes, link.counters.queue_drops),
            (4500, 1)
        );
    }

    #[test]
    fn a_late_datagram_is_overtaken_and_holds_nobody_back() {
        let mut profile = LinkProfile::clean(MS);
        profile.late = Some(Late {
            share: 0.5,
            by: 35 * MS,
        });
        let mut link = Link::new(profile, 1);
        for sent in (0..100).map(|n| n * 10 * MS) {
            let took = link.send(sent, vec![0])[0].0 - sent;
            assert!([MS, 36 * MS].contains(&took), "{took:?}");
        }
    }

    #[test]
    fn a_link_that_is_down_loses_everything_until_it_is_up() {
        let mut link = Link::new(LinkProfile::clean(MS), 3);
        link.change(Change::Down);
        assert!(link.send(Time::ZERO, vec![0]).is_empty());
        link.change(Change::Up);
        assert_eq!(link.send(Time::ZERO, vec![0]).len(), 1);
    }
}
