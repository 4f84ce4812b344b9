//! How much the delay of a path varies by itself, which is no queue of this side's making.
//!
//! Radio links keep the order of datagrams and yet delay them by some milliseconds more or less:
//! datagrams wait for their turn, or for others that are sent again. The delay of a queue changes
//! only as fast as more is sent than the bottleneck takes, so hardly at all while as much is sent as
//! arrives. That of such a link changes within every round trip.

use std::time::Duration;

use crate::moment::Micros;

/// So many times the variation is taken for delay of the path, as for a retransmission timeout
/// (RFC 6298).
const WEIGHT: u32 = 4;
/// Less than this part of the least delay that counts as a queue is none: where many share a queue,
/// it varies by so much.
const SHARED: u32 = 2;
/// In a round trip, the estimate grows by this part of it, or shrinks by half of that: it comes to
/// rest where two rounds of three vary less.
const STEP: u32 = 128;
/// Round trips until what was sent before has gone.
const SETTLING: u8 = 2;

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Variation {
    /// Delays of the present round trip.
    lowest: Micros,
    highest: Micros,
    is_known: bool,
    /// By how much they usually differ.
    usual: Micros,
    /// Round trips in which as much was sent as arrives.
    steady: u8,
}

impl Variation {
    /// Takes a delay beyond the least one.
    pub(super) fn sample(&mut self, delay: Micros) {
        if !self.is_known {
            (self.lowest, self.highest, self.is_known) = (delay, delay, true);
        }
        self.lowest = self.lowest.min(delay);
        self.highest = self.highest.max(delay);
    }

    /// A round trip is over; `steady` is whether as much was sent in it as arrives.
    pub(super) fn end_round(&mut self, steady: bool, min_rtt: Duration) {
        if !std::mem::take(&mut self.is_known) {
            return;
        }
        self.steady = if steady {
            self.steady.saturating_add(1)
        } else {
            0
        };
        if self.steady > SETTLING {
            self.learn(min_rtt / STEP);
        }
    }

    fn learn(&mut self, step: Duration) {
        let usual = self.usual.get();
        let differ = self.highest.get().saturating_sub(self.lowest.get());
        let next = match differ > usual {
            true => usual + step,
            false => usual.saturating_sub(step / 2),
        };
        self.usual = next.into();
    }

    /// The delay that it explains: never more than makes half of a round trip a queue.
    pub(super) fn delay(&self, least: Duration, min_rtt: Duration) -> Duration {
        let beyond = self.usual.get().saturating_sub(least / SHARED);
        let most = (min_rtt / 2).saturating_sub(least);
        (WEIGHT * beyond).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const RTT: Duration = Duration::from_millis(48);
    const LEAST: Duration = Duration::from_millis(6);

    /// What explains a delay that is one of these in every round trip, after so many of them.
    fn explained(rounds: u32, steady: bool, delays: [u32; 2]) -> Duration {
        let mut variation = Variation::default();
        for _ in 0..rounds {
            for delay in delays {
                variation.sample((delay * MS).into());
            }
            variation.end_round(steady, RTT);
        }
        variation.delay(LEAST, RTT)
    }

    #[test]
    fn a_delay_that_changes_within_a_round_trip_is_the_paths_own() {
        let learnt = explained(100, true, [0, 8]);
        assert!((16 * MS..=RTT / 2).contains(&learnt), "{learnt:?}");
        assert_eq!(explained(100, true, [0, 2]), Duration::ZERO, "shared");
        assert_eq!(explained(100, false, [0, 8]), Duration::ZERO, "ours");
        assert_eq!(explained(500, true, [0, 100]), RTT / 2 - LEAST, "too much");
    }
}
