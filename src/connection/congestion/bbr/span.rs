//! What became of the segments of a short time.

use std::{mem, time::Duration};

use super::{super::AckEvent, path::scale};
use crate::moment::Moment;

/// A span ends with the first round trip that ends after so long: whole bursts, and what the threads
/// at both ends are late by, are short against it. It goes on while the program is idle.
const LEAST: Duration = Duration::from_millis(4);
/// Losses that are no accident: so many segments, and so much more than the path loses by itself,
/// in thousandths.
const MANY: u16 = 2;
const EXCESS: u64 = 125;

/// The present span.
#[derive(Debug, Default)]
pub(super) struct Span {
    since: Option<Moment>,
    /// Payload bytes acknowledged, and segments.
    bytes: u32,
    acked: u16,
    lost: u16,
}

/// One that is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Past {
    /// Payload bytes per second that were acknowledged.
    pub(super) bandwidth: u64,
    acked: u64,
    lost: u64,
}

impl Span {
    /// Counts what has been acknowledged.
    pub(super) fn on_ack(&mut self, event: &AckEvent) {
        self.bytes = self
            .bytes
            .saturating_add(u32::try_from(event.acked).unwrap_or(u32::MAX));
        self.acked = self.acked.saturating_add(few(event.acked_segments));
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
            bandwidth: scale(span.bytes.into(), 1_000_000, time.as_micros() as u64),
            acked: span.acked.into(),
            lost: span.lost.into(),
        })
    }
}

impl Past {
    /// Whether a queue must have overflowed on a path that loses so much by itself, in thousandths.
    pub(super) fn overflowed(self, ambient: u64) -> bool {
        let share = self.lost * 1000 / (self.lost + self.acked).max(1);
        self.lost >= MANY.into() && share >= ambient + EXCESS
    }
}

/// Segments of a span; of more than these it does not matter how many they are.
fn few(segments: u64) -> u16 {
    u16::try_from(segments).unwrap_or(u16::MAX)
}
