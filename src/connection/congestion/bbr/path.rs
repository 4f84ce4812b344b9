//! What is known of the path: its bandwidth, its least round-trip time, the queue that stands on
//! it, and the share of datagrams that get lost without one.

use std::time::Duration;

use super::{
    super::{AckEvent, Common, rate::RateSample},
    variation::Variation,
};
use crate::{
    connection::{
        amount::{bytes_in, scale},
        most::MaxOverCycles,
    },
    moment::{Micros, Moment, Span},
};

/// A smaller sample replaces the least round-trip time at any age; another one after this.
const MIN_RTT_LIFETIME: Duration = Duration::from_secs(10);
/// A queue is seen when it delays by an eighth of the round trip, within these bounds.
const LEAST_QUEUE: Duration = Duration::from_millis(2);
const MOST_QUEUE: Duration = Duration::from_millis(16);
/// Below this round trip a queue that is seen too late may be full; it is not taken for empty if it
/// delays by this.
const SHORT: Duration = Duration::from_millis(5);
const LEAST_SHORT_QUEUE: Duration = Duration::from_micros(250);
/// The least of so many samples in a row is the delay that they have in common.
const QUEUE_SAMPLES: u8 = 8;
/// A slower path shows in all samples of this time at least.
const LEAST_SPAN: Duration = Duration::from_millis(50);
/// Round trips in which a queue goes if those who feed it yield.
const OLD_QUEUE: u32 = 12;
/// Segments over which a share of losses is averaged, and with which it begins to count.
const LOSS_MEMORY: u32 = 1024;
const LOSS_LEAST: u32 = 128;
/// Of a path that loses so much it is worth seeing if it does when less is sent: in thousandths.
const MUCH_LOSS: u64 = 30;
/// A path that loses more is treated as if it lost so much: in thousandths.
const MOST_LOSS: u64 = 500;
/// The same on a short path, where what several senders' bursts do to each other looks like chance.
const MOST_SHORT_LOSS: u64 = 300;

/// The model of the path.
#[derive(Debug, Default)]
pub(super) struct PathModel {
    bandwidth: MaxOverCycles,
    /// The same over a shorter time.
    recent: MaxOverCycles,
    recent_since: Option<Moment>,
    min_rtt: Option<MinRtt>,
    recent_min_rtt: Option<Span>,
    queue: Queue,
    variation: Variation,
    queue_since: Option<Moment>,
    tick: Micros,
    loss: AmbientLoss,
    /// What several connections on it know together, if it is short.
    common: Bounds,
    /// Round trips, which may begin anew, by what was delivered when one ended.
    round: u32,
    round_end: u64,
}

impl PathModel {
    /// Takes what an acknowledgement says; `steady` is whether as much is sent as arrives. Returns
    /// whether a round trip has passed.
    pub(super) fn update(&mut self, event: &AckEvent, steady: bool) -> bool {
        self.tick = event.tick.into();
        if let Some(rtt) = event.rtt {
            self.recent_min_rtt = Some(least(self.recent_min_rtt, rtt));
            self.min_rtt = Some(MinRtt::with_sample(self.min_rtt, event.now, rtt));
            self.queue.sample(event.now, rtt, self.min_rtt());
            self.variation.sample(self.queue.delay);
            self.look_for_old_queue(event.now);
        }
        let Some(sample) = event.rate else {
            return false;
        };
        self.take_rate(&sample);
        if sample.app_limited && self.common.rate < u64::MAX {
            // It is compared no more, and what it knows of the others becomes old.
            self.set_common(None);
        }
        let round_passed = sample.prior_delivered >= self.round_end;
        if round_passed {
            self.round = self.round.wrapping_add(1);
            self.round_end = event.delivered;
            self.end_round(steady);
        }
        self.look_for_slower_path(event.now);
        round_passed
    }

    fn end_round(&mut self, steady: bool) {
        // On a short path, threads that are late are more than that.
        if !self.is_short() {
            self.variation.end_round(steady, self.min_rtt());
        }
    }

    fn look_for_old_queue(&mut self, now: Moment) {
        let since = match self.queue_since {
            Some(since) if self.has_queue() => since,
            _ => now,
        };
        self.queue_since = Some(since);
        self.queue.is_old = now - since > OLD_QUEUE * self.min_rtt();
    }

    /// Less arrives than before although a queue stands: the path has become slower, or others
    /// take their share.
    fn look_for_slower_path(&mut self, now: Moment) {
        // Round trips are no measure here: a queue that grows makes them long.
        let span = self.min_rtt().max(LEAST_SPAN);
        let since = *self.recent_since.get_or_insert(now);
        if now.saturating_duration_since(since) < span {
            return;
        }
        self.recent_since = Some(now);
        let recent = self.recent.get();
        if self.has_queue() && self.recent.before() > 0 && recent < scale(self.bandwidth(), 3, 4) {
            self.bandwidth = MaxOverCycles::only(recent);
        }
        self.recent.advance();
    }

    fn take_rate(&mut self, sample: &RateSample) {
        if !sample.app_limited || sample.bytes_per_second >= self.bandwidth() {
            self.bandwidth.update(sample.bytes_per_second);
            self.recent.update(sample.bytes_per_second);
        }
    }

    /// A cycle of probing begins: what was measured two cycles ago counts no more.
    pub(super) fn begin_cycle(&mut self) {
        self.bandwidth.advance();
        if self.has_queue() {
            // Too much may be sent because too much was taken for lost at random.
            self.loss.down.lost -= self.loss.down.lost / 8;
        }
    }

    /// No more arrives than this. Of several senders, the one whose burst found the queue full has
    /// lost most of it, and is not to be sent to the bottom by that.
    pub(super) fn settle(&mut self, bandwidth: u64) {
        let bandwidth = bandwidth.max(scale(self.bandwidth(), 3, 4));
        if bandwidth < self.bandwidth() {
            self.bandwidth = MaxOverCycles::only(bandwidth);
        }
    }

    /// The share that gets lost by itself, in thousandths.
    pub(super) fn ambient_loss(&self) -> u64 {
        let most = match self.is_short() {
            true => MOST_SHORT_LOSS,
            false => MOST_LOSS,
        };
        self.loss.share().min(most)
    }

    /// Whether it is worth seeing if as much is lost when less is sent.
    pub(super) fn loses_much(&self) -> bool {
        self.ambient_loss() >= MUCH_LOSS
    }

    /// Payload bytes per second that arrive.
    pub(super) fn bandwidth(&self) -> u64 {
        self.bandwidth.get().min(self.common.rate)
    }

    /// What several connections on the path know together. On a long one, where bursts are short
    /// against the round trip, each goes by itself.
    pub(super) fn set_common(&mut self, common: Option<Common>) {
        let common = common.filter(|common| common.least_rtt < SHORT);
        self.common = common.map_or_else(Bounds::default, |common| Bounds {
            rate: common.rate,
            rtt: common.least_rtt.into(),
        });
    }

    /// Payload bytes per second that have to leave for that.
    pub(super) fn sending_rate(&self) -> u64 {
        scale(self.bandwidth(), 1000, 1000 - self.ambient_loss())
    }

    /// The bandwidth-delay product in payload bytes, times a gain in percent.
    pub(super) fn bandwidth_delay(&self, gain: u64) -> Option<u64> {
        let product = bytes_in(self.known_min_rtt()?, self.sending_rate());
        Some(scale(product, gain, 100).min(u64::MAX / 4))
    }

    /// The interval at which the peer acknowledges, if it does.
    pub(super) fn tick(&self) -> Duration {
        self.tick.get()
    }

    /// Zero as long as it is not known.
    pub(super) fn min_rtt(&self) -> Duration {
        self.known_min_rtt().unwrap_or(Duration::ZERO)
    }

    /// Whoever came when a queue stood has never seen the path without it, but others have.
    pub(super) fn known_min_rtt(&self) -> Option<Duration> {
        Some(self.min_rtt?.rtt.min(self.common.rtt).get())
    }

    pub(super) fn own_min_rtt(&self) -> Option<Duration> {
        self.min_rtt.map(|min| min.rtt.get())
    }

    /// Whether the least round-trip time is too old to be believed.
    pub(super) fn is_min_rtt_old(&self, now: Moment) -> bool {
        self.queue
            .base
            .is_some_and(|min| now.saturating_duration_since(min.seen) > MIN_RTT_LIFETIME)
    }

    /// From now on, what is sent meets no queue of this side's making.
    pub(super) fn forget_recent_rtt(&mut self) {
        self.recent_min_rtt = None;
    }

    /// Believes what has been measured since then.
    pub(super) fn renew_min_rtt(&mut self, now: Moment) {
        if let Some(rtt) = self.recent_min_rtt {
            self.min_rtt = Some(MinRtt { rtt, seen: now });
            self.queue = Queue::default();
        }
    }

    /// Whether datagrams surely wait in a queue, by what their acknowledgements tell.
    pub(super) fn has_queue(&self) -> bool {
        self.queue_delay() > self.least_queue() + self.tick() / 2
    }

    /// The delay beyond the least one.
    fn queue_delay(&self) -> Duration {
        self.queue.delay.get()
    }

    /// The longest delay that is no queue.
    fn least_queue(&self) -> Duration {
        let min_rtt = self.min_rtt();
        let least = queue_threshold(min_rtt);
        least + self.variation.delay(least, min_rtt)
    }

    /// Whether they have done so for long without a break.
    pub(super) fn has_old_queue(&self) -> bool {
        self.has_queue() && self.queue.is_old
    }

    /// Whether datagrams surely do not.
    fn is_queue_empty(&self) -> bool {
        let threshold = match self.is_short() {
            true => (self.min_rtt() / 8).max(LEAST_SHORT_QUEUE),
            false => self.least_queue(),
        };
        self.queue_delay() <= threshold
    }

    /// Whether a whole queue may delay less than threads that are late.
    pub(super) fn is_short(&self) -> bool {
        self.known_min_rtt().is_some_and(|min| min < SHORT)
    }

    pub(super) fn round(&self) -> u32 {
        self.round
    }

    /// Counts segments that have had their fate at a steady rate. A queue that overflows is no
    /// property of the path; its losses do not count.
    pub(super) fn count_fates(&mut self, sent_at: Moment, acked: u64, lost: u64) {
        if self.is_queue_empty() {
            self.loss.count(sent_at, acked, lost);
        }
    }

    /// From now on less is sent than the path carries, or no longer.
    pub(super) fn set_slow(&mut self, now: Moment, slow: bool) {
        match &mut self.loss.slow {
            Some((_, until @ None)) if !slow => *until = Some(now),
            open @ (None | Some((_, Some(_)))) if slow => *open = Some((now, None)),
            _ => {}
        }
    }
}

/// What neither a bandwidth nor a least round-trip time exceeds.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    rate: u64,
    rtt: Span,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            rate: u64::MAX,
            rtt: Duration::MAX.into(),
        }
    }
}

/// The least so far, and of this sample.
fn least(before: Option<Span>, sample: Duration) -> Span {
    let sample = Span::from(sample);
    before.map_or(sample, |before| before.min(sample))
}

fn queue_threshold(min_rtt: Duration) -> Duration {
    (min_rtt / 8).clamp(LEAST_QUEUE, MOST_QUEUE)
}

#[derive(Clone, Copy, Debug)]
struct MinRtt {
    rtt: Span,
    /// When a sample last came close to it.
    seen: Moment,
}

impl MinRtt {
    fn with_sample(before: Option<Self>, now: Moment, rtt: Duration) -> Self {
        match before {
            Some(min) if rtt >= min.rtt.get() => {
                let least = min.rtt.get();
                let close = least + (least / 16).min(LEAST_QUEUE / 2);
                let seen = if rtt <= close { now } else { min.seen };
                Self { seen, ..min }
            }
            _ => Self {
                rtt: rtt.into(),
                seen: now,
            },
        }
    }
}

/// The delay that several samples in a row have in common, beyond what they had in common when it
/// was least. Jitter delays some of them, a queue delays all.
#[derive(Debug, Default)]
struct Queue {
    delay: Micros,
    /// The least that a whole batch had in common.
    base: Option<MinRtt>,
    least: Option<Span>,
    samples: u8,
    /// It has been seen for long without a break.
    is_old: bool,
    since: Option<Moment>,
}

impl Queue {
    fn sample(&mut self, now: Moment, rtt: Duration, min_rtt: Duration) {
        let since = *self.since.get_or_insert(now);
        let least = least(self.least, rtt);
        self.least = Some(least);
        let least = least.get();
        self.samples += 1;
        let complete =
            self.samples >= QUEUE_SAMPLES || now.saturating_duration_since(since) >= min_rtt;
        if complete {
            self.base = Some(MinRtt::with_sample(self.base, now, least));
            (self.least, self.samples, self.since) = (None, 0, None);
        }
        let base = self.base.map_or(least, |base| base.rtt.get());
        let delay = Micros::from(least.saturating_sub(base));
        // One sample without a delay is enough to tell that there is no queue.
        if complete || delay < self.delay {
            self.delay = delay;
        }
    }
}

/// The share of segments lost that were sent without overfilling the path.
///
/// It is counted apart for those that were sent at less than the path's rate. A path that gives
/// every sender a fixed rate and drops the rest loses less of them, and is not to be sent more. What
/// was sent before that is not counted: it was more than the path's rate.
#[derive(Debug, Default)]
struct AmbientLoss {
    cruise: Share,
    down: Share,
    /// When less was sent the last time, from and until.
    slow: Option<(Moment, Option<Moment>)>,
}

impl AmbientLoss {
    fn count(&mut self, sent_at: Moment, acked: u64, lost: u64) {
        let Some((from, until)) = self.slow else {
            return;
        };
        if sent_at < from {
            return;
        }
        let share = if until.is_none_or(|until| sent_at <= until) {
            &mut self.down
        } else {
            &mut self.cruise
        };
        share.count(acked, lost);
    }

    /// In thousandths.
    fn share(&self) -> u64 {
        let cruise = self.cruise.get().unwrap_or(0);
        self.down.get().unwrap_or(cruise).min(cruise)
    }
}

#[derive(Debug, Default)]
struct Share {
    total: u32,
    lost: u32,
}

impl Share {
    fn count(&mut self, acked: u64, lost: u64) {
        // No window holds more than that.
        self.total += (acked + lost) as u32;
        self.lost += lost as u32;
        if self.total > LOSS_MEMORY {
            (self.total, self.lost) = (self.total / 2, self.lost / 2);
        }
    }

    /// In thousandths, once enough is known.
    fn get(&self) -> Option<u64> {
        let known = self.total >= LOSS_LEAST;
        known.then(|| u64::from(self.lost) * 1000 / u64::from(self.total))
    }
}
