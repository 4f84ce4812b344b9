//! What became of the segments of a short time.

use std::{mem, time::Duration};

use super::super::AckEvent;
use crate::{connection::amount::per_second, moment::Moment};

/// A span ends with the first round trip that ends after so long: whole bursts, and what the threads
/// at both ends are late by, are short against it.
const LEAST: Duration = Duration::from_millis(4);
/// Losses that are no accident: so many segments, and so much more than the path loses by itself,
/// in thousandths.
const MANY: u16 = 2;
const EXCESS: u64 = 125;

/// The present span.
#[derive(Debug, Default)]
pub(super) struct Span {
    since: Option<Moment>,
    /// Segments.
    acked: u16,
    lost: u16,
    /// The program was the limit.
    limited: bool,
}

/// One that is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Past {
    time: Duration,
    acked: u64,
    lost: u64,
    limited: bool,
}

impl Span {
    /// Counts what has been acknowledged.
    pub(super) fn on_ack(&mut self, event: &AckEvent) {
        self.acked = self.acked.saturating_add(few(event.acked_segments));
        self.limited |= event.rate.is_none_or(|sample| sample.app_limited);
    }

    pub(super) fn on_loss(&mut self, segments: u64) {
        self.lost = self.lost.saturating_add(few(segments));
    }

    /// Whether at least so many were lost, and a quarter of those that arrived.
    pub(super) fn has_lost(&self, least: u16) -> bool {
        self.lost >= least && self.lost >= self.acked / 4
    }

    /// A round trip is over. Begins anew if that was long enough.
    pub(super) fn end_round(&mut self, now: Moment) -> Option<Past> {
        let since = *self.since.get_or_insert(now);
        let time = now.saturating_duration_since(since);
        if time < LEAST {
            return None;
        }
        let span = mem::take(self);
        self.since = Some(now);
        Some(Past {
            time,
            acked: span.acked.into(),
            lost: span.lost.into(),
            limited: span.limited,
        })
    }
}

impl Past {
    /// Whether a queue must have overflowed on a path that loses so much by itself, in thousandths.
    pub(super) fn overflowed(self, ambient: u64) -> bool {
        let share = self.lost * 1000 / (self.lost + self.acked).max(1);
        self.lost >= MANY.into() && share >= ambient + EXCESS
    }

    /// Payload bytes per second that passed, if they were full segments. What a program sends that
    /// rests in between says nothing.
    pub(super) fn bandwidth(self, max_payload: u64) -> Option<u64> {
        let bytes = self.acked * max_payload;
        let passed = || per_second(bytes, self.time);
        (!self.limited).then(passed)
    }
}

/// Segments of a span; of more than these it does not matter how many they are.
fn few(segments: u64) -> u16 {
    u16::try_from(segments).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::congestion::rate::RateSample;

    /// A span of 10 ms.
    fn past(acked: u64, lost: u64, app_limited: bool) -> Past {
        let mut span = Span::default();
        assert!(span.end_round(Moment::START).is_none(), "it has just begun");
        span.on_ack(&AckEvent {
            now: Moment::START,
            acked: 0,
            acked_segments: acked,
            delivered: 0,
            in_flight: 0,
            rtt: None,
            tick: Duration::ZERO,
            rate: Some(RateSample {
                bytes_per_second: 0,
                app_limited,
                prior_delivered: 0,
            }),
        });
        span.on_loss(lost);
        assert!(span.end_round(Moment::START + LEAST / 2).is_none(), "short");
        let past = span.end_round(Moment::START + Duration::from_millis(10));
        past.expect("long enough")
    }

    #[test]
    fn an_overflow_loses_clearly_more_than_the_path() {
        assert!(past(80, 20, false).overflowed(50));
        assert!(!past(80, 20, false).overflowed(100));
        assert!(!past(3, 1, false).overflowed(0), "one may be an accident");
        assert!(!past(0, 0, false).overflowed(0));
    }

    #[test]
    fn what_passed_is_a_bandwidth_unless_the_program_rested() {
        assert_eq!(past(80, 20, false).bandwidth(1000), Some(8_000_000));
        assert_eq!(past(80, 20, true).bandwidth(1000), None);
    }
}
