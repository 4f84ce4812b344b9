//! The default: a model of the path (BBR, draft-cardwell-iccrg-bbr-congestion-control).
//!
//! It estimates the bottleneck's bandwidth and the path's least round-trip time, sends at that
//! bandwidth and keeps about twice the bandwidth-delay product in flight. Loss by itself does not
//! slow it down; silence does.

use std::time::{Duration, Instant};

use super::{AckEvent, Controller, LossEvent};

const INITIAL_SEGMENTS: u64 = 32;
/// mKCP peers acknowledge at ticks; a smaller window would stall between them.
const MIN_SEGMENTS: u64 = 16;
const PROBE_RTT_SEGMENTS: u64 = 4;
/// Percent: 2/ln 2, which doubles the delivery every round, and its inverse.
const STARTUP_GAIN: u64 = 289;
const DRAIN_GAIN: u64 = 35;
const WINDOW_GAIN: u64 = 200;
const CYCLE: [u64; 8] = [125, 75, 100, 100, 100, 100, 100, 100];
/// Rounds over which the largest sample counts.
const BANDWIDTH_ROUNDS: u64 = 10;
const MIN_RTT_LIFETIME: Duration = Duration::from_secs(10);
const PROBE_RTT_TIME: Duration = Duration::from_millis(200);
/// The pipe is full when the bandwidth has not grown by a quarter in three rounds.
const FULL_ROUNDS: u32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Startup,
    Drain,
    ProbeBandwidth { phase: usize, since: Instant },
    ProbeRtt { until: Instant },
}

#[derive(Debug)]
pub(super) struct Bbr {
    max_payload: u64,
    mode: Mode,
    window: u64,
    bandwidth: MaxOverRounds,
    min_rtt: Option<(Duration, Instant)>,
    round: u64,
    round_end: u64,
    full_bandwidth: u64,
    full_rounds: u32,
    aggregation: Aggregation,
}

impl Bbr {
    pub(super) fn new(max_payload: u64) -> Self {
        Self {
            max_payload,
            mode: Mode::Startup,
            window: INITIAL_SEGMENTS * max_payload,
            bandwidth: MaxOverRounds::default(),
            min_rtt: None,
            round: 0,
            round_end: 0,
            full_bandwidth: 0,
            full_rounds: 0,
            aggregation: Aggregation::default(),
        }
    }

    /// Updates the model. Returns whether a round trip has passed.
    fn update_model(&mut self, event: &AckEvent) -> bool {
        let Some(sample) = event.rate else {
            return false;
        };
        let round_passed = sample.prior_delivered >= self.round_end;
        if round_passed {
            self.round += 1;
            self.round_end = event.delivered;
        }
        let bandwidth = self.bandwidth.get();
        if !sample.app_limited || sample.bytes_per_second >= bandwidth {
            self.bandwidth.update(self.round, sample.bytes_per_second);
        }
        let bandwidth = self.bandwidth.get();
        self.aggregation
            .update(self.round, event, bandwidth, self.window);
        if round_passed && !sample.app_limited {
            self.look_for_full_pipe();
        }
        round_passed
    }

    fn look_for_full_pipe(&mut self) {
        let bandwidth = self.bandwidth.get();
        if bandwidth >= self.full_bandwidth.saturating_mul(5) / 4 {
            self.full_bandwidth = bandwidth;
            self.full_rounds = 0;
        } else {
            self.full_rounds += 1;
        }
    }

    fn is_pipe_full(&self) -> bool {
        self.full_rounds >= FULL_ROUNDS
    }

    /// Takes the sample; returns whether the least round-trip time is out of date.
    fn update_min_rtt(&mut self, event: &AckEvent) -> bool {
        let Some(rtt) = event.rtt else { return false };
        match self.min_rtt {
            Some((min, at)) if rtt > min => event.now.duration_since(at) > MIN_RTT_LIFETIME,
            _ => {
                self.min_rtt = Some((rtt, event.now));
                false
            }
        }
    }

    fn update_mode(&mut self, event: &AckEvent, min_rtt_expired: bool) {
        let drained = event.in_flight <= self.bandwidth_delay(100);
        self.mode = match self.mode {
            Mode::ProbeRtt { until } if event.now >= until => {
                self.min_rtt = event
                    .rtt
                    .or_else(|| self.min_rtt.map(|(min, _)| min))
                    .map(|r| (r, event.now));
                self.cruise_or_start(event.now)
            }
            probing @ Mode::ProbeRtt { .. } => probing,
            _ if min_rtt_expired => Mode::ProbeRtt {
                until: event.now + PROBE_RTT_TIME,
            },
            Mode::Startup if self.is_pipe_full() => Mode::Drain,
            Mode::Drain if drained => self.cruise_or_start(event.now),
            Mode::ProbeBandwidth { phase, since } => {
                self.next_phase(event.now, phase, since, drained)
            }
            same => same,
        };
    }

    fn cruise_or_start(&self, now: Instant) -> Mode {
        if self.is_pipe_full() {
            Mode::ProbeBandwidth {
                phase: 2,
                since: now,
            }
        } else {
            Mode::Startup
        }
    }

    fn next_phase(&self, now: Instant, phase: usize, since: Instant, drained: bool) -> Mode {
        let min_rtt = self.min_rtt.map_or(Duration::ZERO, |(rtt, _)| rtt);
        let passed = now.duration_since(since) > min_rtt;
        // The draining phase ends as soon as the queue is gone.
        if passed || (CYCLE[phase] < 100 && drained) {
            return Mode::ProbeBandwidth {
                phase: (phase + 1) % CYCLE.len(),
                since: now,
            };
        }
        Mode::ProbeBandwidth { phase, since }
    }

    fn update_window(&mut self, acked: u64) {
        let gain = if self.is_pipe_full() {
            WINDOW_GAIN
        } else {
            STARTUP_GAIN
        };
        let burst = 3 * INITIAL_SEGMENTS / 2 * self.max_payload;
        let target = self.bandwidth_delay(gain) + self.aggregation.extra() + burst;
        self.window = match self.is_pipe_full() {
            true => (self.window + acked).min(target),
            false if self.window < target => self.window + acked,
            false => self.window,
        };
        self.window = self.window.max(MIN_SEGMENTS * self.max_payload);
    }

    /// The bandwidth-delay product times a gain in percent.
    fn bandwidth_delay(&self, gain: u64) -> u64 {
        let Some((min_rtt, _)) = self.min_rtt else {
            return INITIAL_SEGMENTS * self.max_payload;
        };
        let product = u128::from(self.bandwidth.get()) * min_rtt.as_nanos() / 1_000_000_000;
        u64::try_from(product * u128::from(gain) / 100).unwrap_or(u64::MAX / 4)
    }
}

impl Controller for Bbr {
    fn on_ack(&mut self, event: &AckEvent) {
        self.update_model(event);
        let min_rtt_expired = self.update_min_rtt(event);
        self.update_mode(event, min_rtt_expired);
        self.update_window(event.acked);
    }

    fn on_loss(&mut self, _: &LossEvent) {}

    fn on_timeout(&mut self) {
        self.window = PROBE_RTT_SEGMENTS * self.max_payload;
    }

    fn window(&self) -> u64 {
        match self.mode {
            Mode::ProbeRtt { .. } => self.window.min(PROBE_RTT_SEGMENTS * self.max_payload),
            _ => self.window,
        }
    }

    fn pacing_rate(&self) -> Option<u64> {
        self.min_rtt?;
        let gain = match self.mode {
            Mode::Startup => STARTUP_GAIN,
            Mode::Drain => DRAIN_GAIN,
            Mode::ProbeBandwidth { phase, .. } => CYCLE[phase],
            Mode::ProbeRtt { .. } => 100,
        };
        match self.bandwidth.get() {
            0 => None,
            bandwidth => Some((u128::from(bandwidth) * u128::from(gain) / 100) as u64),
        }
    }
}

/// The largest of the samples of the last rounds, by keeping the best of each third of them.
#[derive(Clone, Copy, Debug, Default)]
struct MaxOverRounds {
    best: [(u64, u64); 3],
}

impl MaxOverRounds {
    fn get(&self) -> u64 {
        self.best[0].1
    }

    fn update(&mut self, round: u64, value: u64) {
        let sample = (round, value);
        let [first, second, third] = &mut self.best;
        if value >= first.1 {
            self.best = [sample; 3];
            return;
        }
        if value >= second.1 {
            (*second, *third) = (sample, sample);
        } else if value >= third.1 {
            *third = sample;
        }
        self.expire(sample);
    }

    fn expire(&mut self, sample: (u64, u64)) {
        let age = |(round, _): (u64, u64)| sample.0 - round;
        if age(self.best[0]) > BANDWIDTH_ROUNDS {
            self.best = [self.best[1], self.best[2], sample];
            if age(self.best[0]) > BANDWIDTH_ROUNDS {
                self.best = [self.best[1], self.best[2], sample];
            }
        } else if self.best[1] == self.best[0] && age(self.best[1]) > BANDWIDTH_ROUNDS / 4 {
            (self.best[1], self.best[2]) = (sample, sample);
        } else if self.best[2] == self.best[1] && age(self.best[2]) > BANDWIDTH_ROUNDS / 2 {
            self.best[2] = sample;
        }
    }
}

/// How much more is acknowledged at once than the bandwidth explains: peers that acknowledge at
/// ticks need that much more in flight.
#[derive(Debug, Default)]
struct Aggregation {
    epoch: Option<Instant>,
    acked: u64,
    extra: MaxOverRounds,
}

impl Aggregation {
    fn extra(&self) -> u64 {
        self.extra.get()
    }

    fn update(&mut self, round: u64, event: &AckEvent, bandwidth: u64, window: u64) {
        let epoch = *self.epoch.get_or_insert(event.now);
        let elapsed = event.now.saturating_duration_since(epoch).as_nanos();
        let expected = u128::from(bandwidth) * elapsed / 1_000_000_000;
        if u128::from(self.acked) <= expected {
            self.epoch = Some(event.now);
            self.acked = event.acked;
            self.extra.update(round, event.acked.min(window));
            return;
        }
        self.acked += event.acked;
        let extra = u128::from(self.acked).saturating_sub(expected);
        self.extra
            .update(round, u64::try_from(extra).unwrap_or(u64::MAX).min(window));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::congestion::rate::RateSample;

    const RTT: Duration = Duration::from_millis(50);
    const RATE: u64 = 1_000_000;

    /// Feeds rounds in which the path delivers at `RATE`, or what the window allows if less.
    fn run(bbr: &mut Bbr, rounds: u64) {
        let start = Instant::now();
        let mut delivered = 0;
        for round in 1..=rounds {
            let now = start + RTT * round as u32;
            let allowed = (bbr.window() * 20).min(RATE);
            let acked = allowed / 20;
            let prior_delivered = delivered;
            delivered += acked;
            bbr.on_ack(&AckEvent {
                now,
                acked,
                acked_segments: acked / 1000,
                delivered,
                in_flight: 0,
                rtt: Some(RTT),
                rate: Some(RateSample {
                    bytes_per_second: allowed,
                    app_limited: false,
                    prior_delivered,
                }),
            });
        }
    }

    #[test]
    fn it_finds_the_bandwidth_and_leaves_startup() {
        let mut bbr = Bbr::new(1000);
        run(&mut bbr, 30);
        assert!(
            matches!(bbr.mode, Mode::ProbeBandwidth { .. }),
            "{:?}",
            bbr.mode
        );
        assert_eq!(bbr.bandwidth.get(), RATE);
        let rate = bbr.pacing_rate().unwrap();
        assert!((RATE * 3 / 4..=RATE * 5 / 4).contains(&rate), "{rate}");
        assert!(bbr.window() >= 2 * RATE / 20, "{}", bbr.window());
    }

    #[test]
    fn an_old_round_trip_time_is_measured_again() {
        let mut bbr = Bbr::new(1000);
        run(&mut bbr, 20);
        let later = Instant::now() + Duration::from_secs(60);
        let event = AckEvent {
            now: later,
            acked: 1000,
            acked_segments: 1,
            delivered: 1,
            in_flight: 0,
            rtt: Some(2 * RTT),
            rate: None,
        };
        bbr.on_ack(&event);
        assert!(matches!(bbr.mode, Mode::ProbeRtt { .. }));
        assert_eq!(bbr.window(), 4000);
        bbr.on_ack(&AckEvent {
            now: later + PROBE_RTT_TIME,
            ..event
        });
        assert!(!matches!(bbr.mode, Mode::ProbeRtt { .. }));
        assert_eq!(bbr.min_rtt.map(|(rtt, _)| rtt), Some(2 * RTT));
    }

    #[test]
    fn silence_shrinks_the_window_and_acknowledgements_restore_it() {
        let mut bbr = Bbr::new(1000);
        run(&mut bbr, 20);
        bbr.on_timeout();
        assert_eq!(bbr.window(), 4000);
        run(&mut bbr, 5);
        assert!(bbr.window() > 16_000);
    }

    #[test]
    fn the_largest_sample_expires_after_ten_rounds() {
        let mut max = MaxOverRounds::default();
        max.update(1, 100);
        for round in 2..=11 {
            max.update(round, 50);
            assert_eq!(max.get(), 100);
        }
        max.update(12, 50);
        assert_eq!(max.get(), 50);
    }
}
