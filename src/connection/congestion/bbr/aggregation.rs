//! How unevenly a path acknowledges.

use super::super::AckEvent;
use crate::{connection::amount::bytes_in, moment::Moment};

/// Rounds over which the largest excess counts.
const ROUNDS: u32 = 10;

/// How much more is acknowledged at once than the bandwidth explains: peers that acknowledge at
/// ticks need that much more in flight.
#[derive(Debug, Default)]
pub(super) struct Aggregation {
    epoch: Option<Moment>,
    acked: u64,
    extra: MaxOverRounds,
}

impl Aggregation {
    /// Bytes to have in flight beyond what bandwidth and round-trip time ask for.
    pub(super) fn extra(&self) -> u64 {
        self.extra.get().into()
    }

    pub(super) fn update(&mut self, round: u32, event: &AckEvent, bandwidth: u64, window: u64) {
        let epoch = *self.epoch.get_or_insert(event.now);
        let elapsed = event.now.saturating_duration_since(epoch);
        let expected = bytes_in(elapsed, bandwidth);
        if self.acked <= expected {
            self.epoch = Some(event.now);
            self.acked = event.acked;
            self.extra.update(round, brief(event.acked.min(window)));
            return;
        }
        self.acked += event.acked;
        let extra = self.acked.saturating_sub(expected).min(window);
        self.extra.update(round, brief(extra));
    }
}

/// No window is larger.
fn brief(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// The largest of the samples of the last rounds, by keeping the best of each third of them.
#[derive(Clone, Copy, Debug, Default)]
struct MaxOverRounds {
    best: [(u32, u32); 3],
}

impl MaxOverRounds {
    fn get(&self) -> u32 {
        self.best[0].1
    }

    fn update(&mut self, round: u32, value: u32) {
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

    fn expire(&mut self, sample: (u32, u32)) {
        let age = |(round, _): (u32, u32)| sample.0.wrapping_sub(round);
        if age(self.best[0]) > ROUNDS {
            self.best = [self.best[1], self.best[2], sample];
            if age(self.best[0]) > ROUNDS {
                self.best = [self.best[1], self.best[2], sample];
            }
        } else if self.best[1] == self.best[0] && age(self.best[1]) > ROUNDS / 4 {
            (self.best[1], self.best[2]) = (sample, sample);
        } else if self.best[2] == self.best[1] && age(self.best[2]) > ROUNDS / 2 {
            self.best[2] = sample;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
