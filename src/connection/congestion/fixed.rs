//! Upstream's contract: the configured capacity, whatever is lost. Paced.

use std::time::Duration;

use super::{AckEvent, Controller, LossEvent};

/// Enough in flight for the configured rate over this round trip.
const LONGEST_RTT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Fixed {
    rate: u64,
    window: u64,
    full_window: u64,
    max_payload: u64,
}

impl Fixed {
    pub(super) fn new(max_payload: u64, segments_per_interval: u64, tti: Duration) -> Self {
        let per_interval = segments_per_interval.saturating_mul(max_payload);
        let intervals = |time: Duration| (time.as_nanos() / tti.as_nanos().max(1)).max(1) as u64;
        let rate = per_interval.saturating_mul(intervals(Duration::from_secs(1)));
        let full_window = per_interval.saturating_mul(intervals(LONGEST_RTT));
        Self {
            rate,
            window: full_window,
            full_window,
            max_payload,
        }
    }
}

impl Controller for Fixed {
    fn on_ack(&mut self, _: &AckEvent) {
        self.window = self.full_window;
    }

    fn on_loss(&mut self, _: &LossEvent) {}

    /// A silent path gets probes, not the configured rate.
    fn on_timeout(&mut self) {
        self.window = self.max_payload;
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn pacing_rate(&self) -> Option<u64> {
        Some(self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moment::Moment;

    #[test]
    fn the_rate_is_the_configured_capacity() {
        let fixed = Fixed::new(1326, 194, Duration::from_millis(50));
        assert_eq!(fixed.pacing_rate(), Some(1326 * 194 * 20));
        assert_eq!(fixed.window(), 1326 * 194 * 20);
    }

    #[test]
    fn loss_changes_nothing_and_silence_stops_it() {
        let mut fixed = Fixed::new(1000, 8, Duration::from_millis(50));
        let before = fixed.window();
        fixed.on_loss(&LossEvent {
            segments: 100,
            sent_at: Moment::START,
        });
        assert_eq!(fixed.window(), before);
        fixed.on_timeout();
        assert_eq!(fixed.window(), 1000);
    }
}
