//! V2Ray's control window: three quarters when 15 % or more is lost, five quarters when 5 % or
//! less is. Counted per window of segments instead of per tick, and paced over the round trip.

use std::time::Duration;

use super::{AckEvent, Controller, LossEvent};
use crate::connection::amount::per_second;

/// mKCP: the control window never falls below 16 segments.
const MIN_SEGMENTS: u64 = 16;

#[derive(Debug)]
pub(super) struct LossRate {
    max_payload: u64,
    segments: u64,
    max_segments: u64,
    tti: Duration,
    rtt: Option<Duration>,
    acked: u64,
    lost: u64,
}

impl LossRate {
    pub(super) fn new(max_payload: u64, segments_per_interval: u64, tti: Duration) -> Self {
        Self {
            max_payload,
            segments: segments_per_interval.max(MIN_SEGMENTS),
            max_segments: segments_per_interval.max(MIN_SEGMENTS),
            tti,
            rtt: None,
            acked: 0,
            lost: 0,
        }
    }

    /// Judges once a window of segments has had its fate.
    fn adjust(&mut self) {
        let judged = self.acked + self.lost;
        if judged < self.segments {
            return;
        }
        match self.lost * 100 / judged {
            0..=5 => self.segments = self.segments * 5 / 4,
            15.. => self.segments = self.segments * 3 / 4,
            _ => {}
        }
        self.segments = self.segments.clamp(MIN_SEGMENTS, self.max_segments);
        (self.acked, self.lost) = (0, 0);
    }

    fn interval(&self) -> Duration {
        self.rtt.unwrap_or(self.tti).max(self.tti)
    }
}

impl Controller for LossRate {
    fn on_ack(&mut self, event: &AckEvent) {
        self.rtt = event.rtt.or(self.rtt);
        self.acked += event.acked_segments;
        self.adjust();
    }

    fn on_loss(&mut self, event: &LossEvent) {
        self.lost += event.segments;
        self.adjust();
    }

    fn on_timeout(&mut self) {
        self.segments = MIN_SEGMENTS;
        (self.acked, self.lost) = (0, 0);
    }

    /// As upstream, the window is what may leave in one interval; a longer round trip holds
    /// several.
    fn window(&self) -> u64 {
        let intervals = self
            .interval()
            .as_nanos()
            .div_ceil(self.tti.as_nanos().max(1));
        let window = self.segments.saturating_mul(self.max_payload);
        window.saturating_mul(u64::try_from(intervals).unwrap_or(u64::MAX).max(1))
    }

    fn pacing_rate(&self) -> Option<u64> {
        let per_interval = self.segments.saturating_mul(self.max_payload);
        Some(per_second(per_interval, self.tti))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moment::Moment;

    fn acked(segments: u64) -> AckEvent {
        AckEvent {
            now: Moment::START,
            acked: segments * 1000,
            acked_segments: segments,
            delivered: 0,
            in_flight: 0,
            rtt: None,
            tick: Duration::ZERO,
            rate: None,
        }
    }

    #[test]
    fn the_window_follows_the_share_of_loss() {
        let mut window = LossRate::new(1000, 100, Duration::from_millis(50));
        assert_eq!(window.window(), 100_000);
        window.on_loss(&LossEvent {
            segments: 20,
            sent_at: Moment::START,
        });
        window.on_ack(&acked(80));
        assert_eq!(window.window(), 75_000);
        window.on_loss(&LossEvent {
            segments: 10,
            sent_at: Moment::START,
        });
        window.on_ack(&acked(90));
        assert_eq!(window.window(), 75_000);
        window.on_ack(&acked(100));
        assert_eq!(window.window(), 93_000);
    }

    #[test]
    fn the_window_has_upstreams_bounds() {
        let mut window = LossRate::new(1000, 100, Duration::from_millis(50));
        for _ in 0..20 {
            window.on_ack(&acked(300));
        }
        assert_eq!(window.window(), 100_000);
        window.on_timeout();
        assert_eq!(window.window(), 16_000);
    }
}
