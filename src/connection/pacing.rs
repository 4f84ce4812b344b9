//! Spacing datagrams: a token bucket.

use std::{mem, num::NonZeroU64, time::Duration};

use super::amount::bytes_in;
use crate::moment::Moment;

/// The least burst, in segments: with one, every segment would need a wake-up of its own.
const LEAST_BURST: u64 = 2;
/// The same on a path shorter than `BURST_TIME`, as long as its queues take it: two trains.
const LEAST_SHORT_BURST: u64 = 2 * SHORT_TRAIN;
/// Where bursts are at least twice as long, nothing leaves after one until so many segments may:
/// what wakes the connection meanwhile would send them one by one.
const TRAIN: u64 = 16;
/// The same on such a short path: what one system call sends, 64 KiB.
const SHORT_TRAIN: u64 = 48;
/// Bursts in time: timers and threads are not more exact than this.
const BURST_TIME: Duration = Duration::from_millis(2);
const BURSTS_A_SECOND: u64 =
    Duration::from_secs(1).as_millis() as u64 / BURST_TIME.as_millis() as u64;
/// The longest time that the least burst of a short path takes: the pauses between two of them are
/// half of it.
const SHORT_BURSTS_A_SECOND: u64 = 64;
/// What may leave at once of what a late thread has kept waiting: at most as much as on a short path,
/// and what the rate allows in this part of a second.
const LATE_BURST: u64 = LEAST_SHORT_BURST;
const LATE_BURSTS_A_SECOND: u64 = 32;
/// What a connection may start with.
const FIRST_BURST: u64 = 10;

/// What leaves at once, by the path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bursts {
    /// Its least round-trip time is shorter than `BURST_TIME`.
    pub(super) short: bool,
    /// Of the usual burst, so much is allowed, of `WHOLE`.
    pub(super) share: u8,
    /// The same of what has waited for a late thread.
    pub(super) late: u8,
}

/// All of a burst.
pub(super) const WHOLE: u8 = 32;

impl Default for Bursts {
    fn default() -> Self {
        Self::new(None, WHOLE)
    }
}

impl Bursts {
    pub(super) fn new(min_rtt: Option<Duration>, share: u8) -> Self {
        let short = min_rtt.is_some_and(|short| short < BURST_TIME);
        Self {
            short,
            share,
            late: WHOLE,
        }
    }

    /// The most payload that leaves at once at this rate.
    pub(super) fn payload(self, rate: u64, max_payload: u64) -> u64 {
        let least = LEAST_BURST * max_payload;
        let mut burst = least.max(rate / BURSTS_A_SECOND);
        if self.short {
            let long = LEAST_SHORT_BURST * max_payload;
            burst = burst.max(long.min(rate / SHORT_BURSTS_A_SECOND));
        }
        self.share_of(burst).max(least)
    }

    /// The most that leaves at once when it had to wait for a late thread.
    fn late_payload(self, rate: u64, max_payload: u64) -> u64 {
        let most = self.share_of((LATE_BURST * max_payload).min(rate / LATE_BURSTS_A_SECOND));
        most * u64::from(self.late) / u64::from(WHOLE)
    }

    fn share_of(self, burst: u64) -> u64 {
        burst * u64::from(self.share) / u64::from(WHOLE)
    }

    /// Of such a burst, what is waited for once all of it has left. On a short path whose queue has
    /// overflowed nothing is: what leaves piece by piece finds room in it more often.
    fn train(self, burst: u64, max_payload: u64) -> u64 {
        let half = burst / 2;
        match self.short {
            true if self.share == WHOLE => half.min(SHORT_TRAIN * max_payload),
            true => 0,
            false if half >= TRAIN * max_payload => TRAIN * max_payload,
            false => 0,
        }
    }
}

/// What keeps segments from leaving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    /// Anything but the pacer.
    Other,
    Pacing,
    /// The same, and more has been earned than a burst, for it was asked late.
    Late,
}

/// Lets payload pass at a rate, with bursts up to its capacity.
#[derive(Clone, Debug)]
pub(super) struct Pacer {
    max_payload: u32,
    /// Bytes per second, or `None` while sending is not paced.
    rate: Option<NonZeroU64>,
    bursts: Bursts,
    tokens: u64,
    /// The tokens were used up.
    resting: bool,
    limit: Limit,
    refilled_at: Moment,
}

impl Pacer {
    pub(super) fn new(now: Moment, max_payload: usize, rate: Option<u64>) -> Self {
        let max_payload = u32::try_from(max_payload).unwrap_or(u32::MAX);
        Self {
            max_payload,
            rate: rate.map(at_least_one),
            bursts: Bursts::default(),
            tokens: FIRST_BURST * u64::from(max_payload),
            resting: false,
            limit: Limit::Other,
            refilled_at: now,
        }
    }

    pub(super) fn set_rate(&mut self, now: Moment, rate: Option<u64>) {
        self.refill(now);
        self.rate = rate.map(at_least_one);
    }

    pub(super) fn set_bursts(&mut self, bursts: Bursts) {
        self.bursts = bursts;
    }

    pub(super) fn rate(&self) -> Option<u64> {
        self.rate.map(NonZeroU64::get)
    }

    /// When a segment with so much payload may leave, or `None` if it may now.
    pub(super) fn blocked_until(&mut self, now: Moment, payload: usize) -> Option<Moment> {
        let rate = self.rate()?;
        let payload = payload as u64;
        let available = self.available(now, rate);
        // Waiting for half a burst makes few wake-ups and large system calls.
        let burst = self.capacity(rate);
        let half = burst / 2;
        let least = match self.resting {
            true => self
                .bursts
                .train(burst, self.max_payload.into())
                .max(payload),
            false => payload,
        };
        self.resting = available < least;
        if !self.resting {
            return None;
        }
        if self.limit == Limit::Other {
            self.limit = Limit::Pacing;
        }
        let enough = half.max(payload);
        let missing = u128::from(enough - available);
        let nanos = (missing * 1_000_000_000).div_ceil(u128::from(rate));
        Some(now + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// There is nothing to send, or something else keeps it from leaving: what is earned meanwhile
    /// nobody waits for.
    #[inline]
    pub(super) fn on_other_limit(&mut self) {
        let was = mem::replace(&mut self.limit, Limit::Other);
        if let (Limit::Late, Some(rate)) = (was, self.rate()) {
            self.tokens = self.tokens.min(self.capacity(rate));
        }
    }

    pub(super) fn on_sent(&mut self, now: Moment, payload: usize) {
        self.refill(now);
        self.tokens = self.tokens.saturating_sub(payload as u64);
    }

    fn refill(&mut self, now: Moment) {
        let Some(rate) = self.rate() else {
            self.refilled_at = now;
            return;
        };
        let available = self.available(now, rate);
        // Time that did not yet make a whole byte must not be lost.
        if available > self.tokens || available >= self.capacity(rate) {
            if self.limit == Limit::Pacing && available > self.usual(rate) {
                self.limit = Limit::Late;
            }
            self.tokens = available;
            self.refilled_at = now;
        }
    }

    fn available(&self, now: Moment, rate: u64) -> u64 {
        // What leaves in one go leaves at one time.
        if now <= self.refilled_at {
            return self.tokens;
        }
        let elapsed = now.saturating_duration_since(self.refilled_at);
        let earned = bytes_in(elapsed, rate);
        self.tokens.saturating_add(earned).min(self.most(rate))
    }

    /// The most that is there after a time.
    fn usual(&self, rate: u64) -> u64 {
        self.capacity(rate).max(self.tokens)
    }

    /// The same, or what has been earned until now if that is waited for: where threads are late,
    /// a burst for each time that they come would be all that leaves, whatever the rate.
    fn most(&self, rate: u64) -> u64 {
        let usual = self.usual(rate);
        match self.limit {
            Limit::Other => usual,
            Limit::Pacing | Limit::Late => {
                usual.max(self.bursts.late_payload(rate, self.max_payload.into()))
            }
        }
    }

    fn capacity(&self, rate: u64) -> u64 {
        self.bursts.payload(rate, self.max_payload.into())
    }
}

fn at_least_one(rate: u64) -> NonZeroU64 {
    NonZeroU64::new(rate).unwrap_or(NonZeroU64::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_after_the_first_burst() {
        let start = Moment::START;
        let mut pacer = Pacer::new(start, 1000, None);
        pacer.set_rate(start, Some(10_000_000));
        let mut now = start;
        let (mut sent, mut wakes) = (0, 0);
        while now < start + Duration::from_secs(1) {
            match pacer.blocked_until(now, 1000) {
                Some(at) => {
                    assert!(at > now);
                    now = at;
                    wakes += 1;
                }
                None => {
                    pacer.on_sent(now, 1000);
                    sent += 1000;
                }
            }
        }
        assert!((10_000_000..=10_021_000).contains(&sent), "{sent}");
        assert!(wakes <= 1000, "{wakes} wake-ups");
    }

    #[test]
    fn on_a_short_path_whole_trains_leave_whoever_asks_when() {
        let start = Moment::START;
        let mut pacer = Pacer::new(start, 1000, None);
        pacer.set_rate(start, Some(10_000_000));
        pacer.set_bursts(Bursts::new(Some(Duration::from_micros(50)), WHOLE));
        let mut trains = Vec::new();
        for asked in 0..1000 {
            let now = start + asked * Duration::from_micros(100);
            let mut train = 0;
            while pacer.blocked_until(now, 1000).is_none() {
                pacer.on_sent(now, 1000);
                train += 1;
            }
            trains.extend((train > 0).then_some(train));
        }
        let first = trains.remove(0);
        assert!(first >= FIRST_BURST, "{first}");
        assert!(
            trains.iter().all(|&train| train >= SHORT_TRAIN),
            "{trains:?}"
        );
    }

    #[test]
    fn pauses_on_a_short_path_are_short_however_slow_it_is() {
        let start = Moment::START;
        for rate in [125_000, 1_250_000, 12_500_000, 125_000_000] {
            let mut pacer = Pacer::new(start, 1000, None);
            pacer.set_rate(start, Some(rate));
            pacer.set_bursts(Bursts::new(Some(Duration::from_micros(200)), WHOLE));
            let mut now = start + Duration::from_secs(1);
            for _ in 0..1000 {
                if let Some(at) = pacer.blocked_until(now, 1000) {
                    assert!(
                        at - now <= Duration::from_millis(8),
                        "{rate}: {:?}",
                        at - now
                    );
                    now = at;
                }
                pacer.on_sent(now, 1000);
            }
        }
    }

    /// What leaves in a second if somebody comes every 10 ms only, and at those times something else
    /// is in the way until just before.
    fn sent_by_late_threads(rate: u64, other_limit: bool) -> u64 {
        let mut now = Moment::START;
        let mut pacer = Pacer::new(now, 1000, Some(rate));
        let mut sent = 0;
        for _ in 0..100 {
            now += Duration::from_millis(10);
            pacer.set_rate(now, Some(rate));
            while pacer.blocked_until(now, 1000).is_none() {
                pacer.on_sent(now, 1000);
                sent += 1000;
            }
            if other_limit {
                pacer.on_other_limit();
            }
        }
        sent
    }

    #[test]
    fn what_waits_for_a_late_thread_makes_up_for_it() {
        let rate = 1_000_000;
        let sent = sent_by_late_threads(rate, false);
        assert!((rate * 98 / 100..=rate + 10_000).contains(&sent), "{sent}");
        let sent = sent_by_late_threads(rate, true);
        assert!(sent <= 100 * LEAST_BURST * 1000 + 10_000, "{sent}");
        let most = LATE_BURST * 1000;
        assert!(sent_by_late_threads(1_000_000_000, false) <= 100 * most.max(2_000_000));
    }

    #[test]
    fn what_was_made_up_for_is_not_kept() {
        let mut now = Moment::START;
        let mut pacer = Pacer::new(now, 1000, Some(1_000_000));
        while pacer.blocked_until(now, 1000).is_none() {
            pacer.on_sent(now, 1000);
        }
        now += Duration::from_millis(20);
        assert_eq!(pacer.blocked_until(now, 1000), None);
        pacer.on_sent(now, 1000);
        pacer.on_other_limit();
        let left = (0..100).find(|_| {
            let blocked = pacer.blocked_until(now, 1000).is_some();
            pacer.on_sent(now, 1000);
            blocked
        });
        assert_eq!(left, Some(LEAST_BURST));
    }

    #[test]
    fn a_smaller_share_leaves_in_smaller_parts() {
        let rate = 100_000_000;
        for min_rtt in [50, 50_000].map(Duration::from_micros) {
            let bursts = |share| Bursts::new(Some(min_rtt), share);
            let whole = bursts(WHOLE).payload(rate, 1000);
            assert_eq!(bursts(WHOLE / 4).payload(rate, 1000), whole / 4);
            assert_eq!(bursts(1).payload(1000, 1000), LEAST_BURST * 1000);
        }
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let now = Moment::START;
        let mut pacer = Pacer::new(now, 1000, None);
        for _ in 0..1000 {
            assert_eq!(pacer.blocked_until(now, 1000), None);
            pacer.on_sent(now, 1000);
        }
    }
}
