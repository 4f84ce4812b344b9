//! Round-trip time and retransmission timeout (RFC 6298).

use std::{mem, time::Duration};

use crate::moment::{Micros, Span};

/// RFC 6298 says 1 s; upstream says 100 ms, which repeats needlessly on every longer path.
const INITIAL_RTO: Duration = Duration::from_millis(300);
const MIN_RTO: Duration = Duration::from_millis(20);
/// The limit of the Go peers: 10 s and a quarter.
const MAX_RTO: Duration = Duration::from_millis(12_500);
/// The clock granularity G of RFC 6298.
const GRANULARITY: Duration = Duration::from_millis(1);
/// The variation that RFC 6298 takes from the first sample is a guess, which triples the timeout;
/// so many further samples outweigh it, since a short connection is over before it would fade.
const WEIGHTY_SAMPLES: u8 = 3;

/// Estimates from samples of our own send records; never from a repeated segment whose copies
/// cannot be told apart (Karn's rule is the caller's).
#[derive(Clone, Debug)]
pub(super) struct RttEstimator {
    smoothed: Option<Span>,
    variation: Micros,
    /// How many samples followed the first, as far as they weigh more than later ones.
    followed: u8,
    min: Option<Span>,
    latest: Option<Span>,
    has_news: bool,
}

impl Default for RttEstimator {
    fn default() -> Self {
        Self {
            smoothed: None,
            variation: Micros::default(),
            followed: 0,
            min: None,
            latest: None,
            has_news: true,
        }
    }
}

impl RttEstimator {
    pub(super) fn sample(&mut self, rtt: Duration) {
        self.has_news = true;
        let sample = Span::from(rtt);
        self.latest = Some(sample);
        self.min = Some(self.min.map_or(sample, |min| min.min(sample)));
        let Some(smoothed) = self.smoothed() else {
            self.smoothed = Some(sample);
            self.variation = (rtt / 2).into();
            return;
        };
        let quarters = if self.followed < WEIGHTY_SAMPLES {
            3
        } else {
            1
        };
        self.followed = (self.followed + 1).min(WEIGHTY_SAMPLES);
        let deviation = smoothed.abs_diff(rtt);
        self.variation = ((self.variation() * (4 - quarters) + deviation * quarters) / 4).into();
        self.smoothed = Some(((smoothed * 7 + rtt) / 8).into());
    }

    pub(super) fn smoothed(&self) -> Option<Duration> {
        self.smoothed.map(Span::get)
    }

    pub(super) fn latest(&self) -> Option<Duration> {
        self.latest.map(Span::get)
    }

    pub(super) fn min(&self) -> Option<Duration> {
        self.min.map(Span::get)
    }

    pub(super) fn variation(&self) -> Duration {
        self.variation.get()
    }

    /// Whether any of it may have changed since this was asked last.
    #[inline]
    pub(super) fn take_news(&mut self) -> bool {
        mem::take(&mut self.has_news)
    }

    /// The smoothed one, the least and the variation, as they are shown.
    #[inline]
    pub(super) fn shown(&self) -> [Micros; 3] {
        let span = |span: Option<Span>| span.map(Micros::from).unwrap_or_default();
        [span(self.smoothed), span(self.min), self.variation]
    }

    /// Without back-off.
    pub(super) fn rto(&self) -> Duration {
        let Some(smoothed) = self.smoothed() else {
            return INITIAL_RTO;
        };
        (smoothed + (self.variation() * 4).max(GRANULARITY)).clamp(MIN_RTO, MAX_RTO)
    }

    /// The field of a Command. A Go peer without samples of its own believes it, and 0 would make
    /// it repeat everything at every tick.
    pub(super) fn peer_rto(&self) -> u32 {
        self.rto().as_millis() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_first_sample_sets_everything_as_rfc_6298_says() {
        let mut rtt = RttEstimator::default();
        assert_eq!((rtt.rto(), rtt.smoothed()), (INITIAL_RTO, None));
        rtt.sample(100 * MS);
        assert_eq!(rtt.smoothed(), Some(100 * MS));
        assert_eq!(rtt.variation(), 50 * MS);
        assert_eq!(rtt.rto(), 300 * MS);
    }

    #[test]
    fn later_samples_are_smoothed() {
        let mut rtt = RttEstimator::default();
        rtt.sample(100 * MS);
        rtt.sample(180 * MS);
        assert_eq!(rtt.variation(), Duration::from_micros(72_500));
        assert_eq!(rtt.smoothed(), Some(110 * MS));
        assert_eq!(rtt.min(), Some(100 * MS));
    }

    #[test]
    fn the_guess_from_the_first_sample_fades_in_a_few_rounds() {
        let mut rtt = RttEstimator::default();
        let timeouts = [(); 4].map(|()| {
            rtt.sample(64 * MS);
            rtt.rto()
        });
        assert_eq!(timeouts, [192 * MS, 96 * MS, 72 * MS, 66 * MS]);
    }

    #[test]
    fn the_timeout_stays_within_sane_bounds() {
        let mut fast = RttEstimator::default();
        fast.sample(Duration::ZERO);
        assert_eq!(fast.peer_rto(), 20);
        let mut slow = RttEstimator::default();
        slow.sample(Duration::from_secs(9));
        assert_eq!(slow.peer_rto(), 12_500);
    }
}
