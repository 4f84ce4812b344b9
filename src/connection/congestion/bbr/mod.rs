//! The default: a model of the path (BBR, draft-ietf-ccwg-bbr).
//!
//! It estimates the bottleneck's bandwidth and the path's least round-trip time, sends at that
//! bandwidth and keeps about the bandwidth-delay product in flight. In three things it differs
//! from the draft, because mKCP is used where datagrams get lost at random:
//!
//! - Loss by itself does not slow it down, but on paths so short that a full queue cannot be seen
//!   otherwise. What is lost while no queue delays anything, and is lost as well when less is sent,
//!   is taken for a property of the path, and that much more is sent.
//! - A queue does: it ends the search for more bandwidth, and slows what feeds it. A delay that
//!   varies within each round trip is none: radio links keep the order of what they delay.
//! - The least round-trip time is measured whenever the queue is empty, which that makes common;
//!   sending pauses for it only if that has not happened for long.

mod aggregation;
mod path;
mod span;
#[cfg(test)]
mod tests;
mod variation;

use std::time::Duration;

use super::{
    super::{
        amount::scale,
        pacing::{Bursts, WHOLE},
    },
    AckEvent, Common, Controller, LossEvent,
};
use crate::{
    moment::{Micros, Moment},
    prefetch::prefetch,
};
use aggregation::Aggregation;
use path::PathModel;
use span::{Past, Span};

const INITIAL_SEGMENTS: u64 = 32;
/// What would have been sent in two rounds from there on: after a first round that went by with a
/// proof of the peer's address, this may be sent at once.
const LATE_SEGMENTS: u64 = 3 * INITIAL_SEGMENTS;
/// mKCP peers acknowledge at ticks; a smaller window would stall between them.
const MIN_SEGMENTS: u64 = 16;
/// What may be in flight on a path that does not answer.
const SILENT_SEGMENTS: u64 = 4;
/// A segment may leave in a round trip as the latest one was, or in this time if that is longer,
/// whatever the model says: one that says nearly nothing would never learn better.
const LEAST_PACE: Duration = Duration::from_millis(100);
/// The first flight is spread over this time, for nothing is known of the path.
const INITIAL_SPREAD: u64 = 32;
/// Gains in percent. The first is 4 ln 2, which doubles the delivery in every round.
const STARTUP_GAIN: u64 = 277;
const DRAIN_GAIN: u64 = 35;
const UP_GAIN: u64 = 125;
const DOWN_GAIN: u64 = 75;
/// A little less than was measured: the largest of several samples is a little too large.
const CRUISE_GAIN: u64 = 99;
/// While a queue stands: others who do the same let it go together.
const YIELD_GAIN: u64 = 92;
/// While it stands for all that. Those who feed it do not yield, and would take everything.
const HOLD_GAIN: u64 = 97;
/// For how long a peer that does not tick may hold back its acknowledgements.
const UNEVEN: Duration = Duration::from_millis(10);
const WINDOW_GAIN: u64 = 200;
/// Of a larger burst, no more is taken into the window: on fast short paths the kernel's buffers
/// are the bottleneck, and they would overflow.
const LARGEST_BURST: u64 = 256 * 1024;
const PROBE_RTT_GAIN: u64 = 50;
const PROBE_RTT_TIME: Duration = Duration::from_millis(200);
/// The pipe is full when the bandwidth has not grown by a quarter in three rounds.
const FULL_ROUNDS: u8 = 3;
/// So many segments lost in a span, and a quarter of those that arrive, are no accident.
const OVERFLOW: u16 = 8;
/// After so many spans without overflow, the share of a burst grows by one of `WHOLE`.
const CALM_SPANS: u8 = 2;
/// More or less is sent for a round trip, or so long if that is longer: bursts, and what threads are
/// late by, are to be short against it.
const LEAST_TURN: Duration = Duration::from_millis(1);
/// How many such turns lie between two searches for more bandwidth: this, or up to three more.
const CRUISE_TURNS: u32 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Doubling, until the bandwidth has not grown from this for some rounds.
    Startup { bandwidth: u64, rounds: u8 },
    /// Letting the queue go that this has made.
    Drain,
    /// Sending more, to see whether more arrives.
    Up { since: Moment, before: u64 },
    /// Sending as much as before, until it can be seen.
    Watch { since: Moment, before: u64 },
    /// Sending less, to let the queue go that this may have made.
    Down { since: Moment },
    /// Sending what arrives.
    Cruise { until: Moment },
    /// Sending little, to see the round-trip time without a queue.
    ProbeRtt { until: Moment, pause: bool },
}

const STARTUP: Mode = Mode::Startup {
    bandwidth: 0,
    rounds: 0,
};

/// The controller.
#[derive(Debug)]
pub(super) struct Bbr {
    max_payload: u32,
    mode: Mode,
    path: PathModel,
    /// No buffer is as large as this can become.
    window: u32,
    /// The path has been filled once.
    was_full: bool,
    aggregation: Aggregation,
    silent: bool,
    /// What may leave at once, of `WHOLE`, and how many spans passed without an overflow since that
    /// changed.
    burst_share: u8,
    calm_spans: u8,
    /// The same of what leaves at once because a late thread has kept it waiting.
    late_share: u8,
    span: Span,
    latest_rtt: Micros,
    /// Spreads the searches of connections that share a path.
    dice: u32,
}

impl Bbr {
    pub(super) fn new(max_payload: u32, seed: u64) -> Self {
        let mut bbr = Self {
            max_payload,
            mode: STARTUP,
            path: PathModel::default(),
            window: 0,
            was_full: false,
            aggregation: Aggregation::default(),
            silent: false,
            burst_share: WHOLE,
            calm_spans: 0,
            late_share: WHOLE,
            span: Span::default(),
            latest_rtt: Micros::default(),
            dice: seed as u32,
        };
        bbr.set_window(bbr.bytes(INITIAL_SEGMENTS));
        bbr
    }

    fn set_window(&mut self, bytes: u64) {
        self.window = u32::try_from(bytes).unwrap_or(u32::MAX);
    }

    fn bytes(&self, segments: u64) -> u64 {
        segments * u64::from(self.max_payload)
    }

    fn look_for_full_pipe(&mut self) {
        let present = self.path.bandwidth();
        if let Mode::Startup { bandwidth, rounds } = &mut self.mode {
            if present >= scale(*bandwidth, 5, 4) {
                (*bandwidth, *rounds) = (present, 0);
            } else {
                *rounds = rounds.saturating_add(1);
            }
        }
    }

    /// Samples of a program that sends little say nothing about the path, unless what it sends at
    /// once is more than the queue takes.
    fn is_pipe_full(&self, rounds: u8, event: &AckEvent) -> bool {
        let limited = event.rate.is_none_or(|sample| sample.app_limited);
        let has_queue = self.path.has_queue() && (!limited || self.span.has_lost(OVERFLOW));
        rounds >= FULL_ROUNDS || has_queue
    }

    fn update_mode(&mut self, event: &AckEvent) {
        let now = event.now;
        let drained = |gain| {
            let target = self.path.bandwidth_delay(gain);
            target.is_some_and(|target| event.in_flight <= target)
        };
        let limited = event.rate.is_none_or(|sample| sample.app_limited);
        let passed = |since: Moment| now.saturating_duration_since(since) > self.turn();
        let next = match self.mode {
            Mode::ProbeRtt { until, .. } if now >= until => {
                self.path.renew_min_rtt(now);
                self.cruise_or_start(now)
            }
            Mode::ProbeRtt { .. } => return,
            _ if self.path.is_min_rtt_old(now) => {
                self.path.forget_recent_rtt();
                let time = PROBE_RTT_TIME.max(2 * self.path.min_rtt());
                // A program that sends little makes no queue that has to go first.
                Mode::ProbeRtt {
                    until: now + time,
                    pause: !limited,
                }
            }
            Mode::Startup { rounds, .. } if self.is_pipe_full(rounds, event) => {
                self.was_full = true;
                Mode::Drain
            }
            Mode::Drain if drained(100) => self.cruise(now),
            Mode::Up { since, before } if passed(since) => Mode::Watch { since: now, before },
            Mode::Watch { since, before } if passed(since) => self.judge(now, before),
            Mode::Up { .. } | Mode::Watch { .. } if self.path.has_queue() => {
                Mode::Down { since: now }
            }
            Mode::Down { since } if passed(since) => self.cruise(now),
            Mode::Down { .. } if drained(100) && !self.path.loses_much() => self.cruise(now),
            Mode::Cruise { until } if now >= until => {
                self.path.begin_cycle();
                self.search(now)
            }
            _ => return,
        };
        self.enter(now, next);
    }

    fn enter(&mut self, now: Moment, mode: Mode) {
        self.mode = mode;
        self.path
            .set_slow(now, matches!(mode, Mode::Drain | Mode::Down { .. }));
    }

    fn cruise_or_start(&mut self, now: Moment) -> Mode {
        if self.was_full {
            self.cruise(now)
        } else {
            STARTUP
        }
    }

    fn search(&self, now: Moment) -> Mode {
        Mode::Up {
            since: now,
            before: self.path.bandwidth(),
        }
    }

    /// More has been sent for a round trip, and another has passed to see what became of it.
    fn judge(&self, now: Moment, before: u64) -> Mode {
        if self.path.bandwidth() > scale(before, 110, 100) && !self.path.has_queue() {
            self.search(now)
        } else {
            Mode::Down { since: now }
        }
    }

    fn cruise(&mut self, now: Moment) -> Mode {
        // Numerical Recipes' linear congruence; its high bits are the random ones.
        self.dice = self
            .dice
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        let quarters = 4 * CRUISE_TURNS + (self.dice >> 16) % 13;
        Mode::Cruise {
            until: now + self.turn() * quarters / 4,
        }
    }

    /// How long more or less is sent to see what becomes of it.
    fn turn(&self) -> Duration {
        self.path.min_rtt().max(LEAST_TURN)
    }

    fn update_window(&mut self, acked: u64) {
        let Some(product) = self.path.bandwidth_delay(WINDOW_GAIN) else {
            return;
        };
        let bursts = self.bursts();
        let burst = bursts.payload(self.paced(), self.max_payload.into());
        // The long bursts of a short path are one for the way, the queue and the acknowledgements.
        let count = if bursts.short { 1 } else { 3 };
        let target = product + self.extra() + count * burst.min(LARGEST_BURST);
        let window = u64::from(self.window);
        let window = match self.mode {
            Mode::Startup { .. } if window >= target => window,
            _ => (window + acked).min(target),
        };
        let least = MIN_SEGMENTS * u64::from(self.burst_share) / u64::from(WHOLE);
        self.set_window(window.max(self.bytes(least.max(SILENT_SEGMENTS))));
    }

    /// On a short path, a queue that overflows is told by what it loses: it delays no more than
    /// threads that are late, and every sender's bursts seem to pass at the rate of the whole path.
    /// On a long path, a shallow one may overflow by what late threads send at once.
    fn judge_span(&mut self, now: Moment, past: Past) {
        if !past.overflowed(self.path.ambient_loss()) {
            self.on_calm_span();
        } else if self.path.is_short() {
            self.on_overflow(now, past.bandwidth(self.max_payload.into()));
        } else {
            self.late_share = (self.late_share * 3 / 4).max(1);
        }
    }

    fn on_calm_span(&mut self) {
        self.late_share = (self.late_share + 1).min(WHOLE);
        if self.burst_share == WHOLE {
            return;
        }
        self.calm_spans += 1;
        if self.calm_spans >= CALM_SPANS {
            self.burst_share += 1;
            self.calm_spans = 0;
        }
    }

    fn on_overflow(&mut self, now: Moment, passed: Option<u64>) {
        if let Some(passed) = passed {
            self.path.settle(passed);
        }
        self.burst_share = (self.burst_share * 7 / 8).max(1);
        self.calm_spans = 0;
        match self.mode {
            Mode::Startup { .. } => {
                self.was_full = true;
                self.enter(now, Mode::Drain);
            }
            Mode::Up { .. } | Mode::Watch { .. } => self.enter(now, Mode::Down { since: now }),
            _ => {}
        }
    }

    /// What is in flight beyond the product, for a peer that acknowledges unevenly. Its ticks are
    /// a reason; that its program was busy for a while is none, and would only fill a queue.
    fn extra(&self) -> u64 {
        let longest = (self.path.tick() + UNEVEN).as_micros() as u64;
        let most = scale(self.path.bandwidth(), longest, 1_000_000);
        self.aggregation.extra().min(most)
    }

    fn gain(&self) -> u64 {
        match self.mode {
            Mode::Startup { .. } => STARTUP_GAIN,
            Mode::Drain => DRAIN_GAIN,
            Mode::Up { .. } => UP_GAIN,
            Mode::Down { .. } => DOWN_GAIN,
            Mode::Cruise { .. } if self.path.has_old_queue() => HOLD_GAIN,
            Mode::Cruise { .. } if self.path.has_queue() => YIELD_GAIN,
            Mode::Watch { .. } | Mode::Cruise { .. } | Mode::ProbeRtt { .. } => CRUISE_GAIN,
        }
    }

    /// Payload bytes per second that leave.
    fn paced(&self) -> u64 {
        let rate = scale(self.path.sending_rate(), self.gain(), 100);
        rate.max(self.least_rate())
    }

    /// What leaves whatever the model says.
    fn least_rate(&self) -> u64 {
        if self.was_full {
            // With a queue of its own, this goes down by itself.
            let pace = self.latest_rtt.get().max(LEAST_PACE);
            scale(self.bytes(1), 1_000_000, pace.as_micros() as u64)
        } else {
            self.bytes(INITIAL_SEGMENTS) * 1000 / INITIAL_SPREAD
        }
    }

    /// Whether losses and deliveries now are those of a path that is not overfilled.
    fn is_steady(&self) -> bool {
        matches!(self.mode, Mode::Down { .. } | Mode::Cruise { .. })
    }
}

impl Controller for Bbr {
    fn on_ack(&mut self, event: &AckEvent) {
        self.silent = false;
        let round_passed = self
            .path
            .update(event, matches!(self.mode, Mode::Cruise { .. }));
        self.span.on_ack(event);
        if let Some(rtt) = event.rtt {
            self.latest_rtt = rtt.into();
        }
        if self.is_steady()
            && let Some(sent_at) = event.rtt.and_then(|rtt| event.now.checked_sub(rtt))
        {
            self.path.count_fates(sent_at, event.acked_segments, 0);
        }
        self.aggregation.update(
            self.path.round(),
            event,
            self.path.bandwidth(),
            self.window.into(),
        );
        if round_passed && event.rate.is_some_and(|sample| !sample.app_limited) {
            self.look_for_full_pipe();
        }
        self.update_mode(event);
        if round_passed && let Some(past) = self.span.end_round(event.now) {
            self.judge_span(event.now, past);
        }
        self.update_window(event.acked);
    }

    fn on_loss(&mut self, event: &LossEvent) {
        self.span.on_loss(event.segments);
        if self.is_steady() {
            self.path.count_fates(event.sent_at, 0, event.segments);
        }
    }

    fn on_timeout(&mut self) {
        self.silent = true;
    }

    fn on_late_proof(&mut self) {
        let initial = self.bytes(INITIAL_SEGMENTS);
        if matches!(self.mode, Mode::Startup { .. }) && u64::from(self.window) == initial {
            self.set_window(self.bytes(LATE_SEGMENTS));
        }
    }

    /// Before it has filled the path once, and while it sends little to measure it, it does not take
    /// its share.
    fn own_least_rtt(&self) -> Option<Duration> {
        let is_measuring = matches!(self.mode, Mode::ProbeRtt { .. });
        let takes_its_share = self.was_full && !is_measuring;
        self.path.own_min_rtt().filter(|_| takes_its_share)
    }

    fn set_common(&mut self, common: Option<Common>) {
        self.path.set_common(common);
    }

    fn window(&self) -> u64 {
        if self.silent {
            return self.bytes(SILENT_SEGMENTS);
        }
        match self.mode {
            Mode::ProbeRtt { pause: true, .. } => {
                let half = self.path.bandwidth_delay(PROBE_RTT_GAIN).unwrap_or(0);
                u64::from(self.window).min(half.max(self.bytes(SILENT_SEGMENTS)))
            }
            _ => self.window.into(),
        }
    }

    fn prefetch(&self) {
        prefetch(self);
        prefetch(&self.path);
        prefetch(&self.span);
        prefetch(&self.aggregation);
        prefetch(&self.burst_share);
    }

    fn pacing_rate(&self) -> Option<u64> {
        Some(self.paced())
    }

    fn bursts(&self) -> Bursts {
        let usual = Bursts::new(self.path.known_min_rtt(), self.burst_share);
        Bursts {
            late: self.late_share,
            ..usual
        }
    }
}
