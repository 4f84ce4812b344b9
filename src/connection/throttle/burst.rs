//! What is seen of the segments that a peer sends in one tick.

use super::FLOOD;
use crate::{
    moment::Moment,
    wire::{Data, SeqNum, Timestamp},
};

/// Less says nothing about a path: a busy receiver finds many segments waiting at once.
const LEAST_BURST: u32 = 8;
const LEAST_ARRIVALS: u32 = 3;
/// The share that must arrive if the path's queue is not to be taken for full.
const WHOLE: f64 = 0.75;

/// The segments of one tick.
#[derive(Clone, Copy, Debug)]
pub(super) struct Burst {
    pub(super) timestamp: Timestamp,
    /// What the peer had been told when the first of them came: it knew of no more.
    pub(super) limit: SeqNum,
    /// The numbers that were sent for the first time: the loss of some does not hide them.
    start: SeqNum,
    pub(super) end: SeqNum,
    /// Segments sent before.
    repeats: u32,
    /// All that arrived, at how many different times, and those far beyond the window.
    pub(super) segments: u32,
    arrivals: u32,
    pub(super) far: u32,
    first: Moment,
    pub(super) last: Moment,
    /// The most that the peer had unacknowledged.
    pub(super) in_flight: u32,
}

impl Burst {
    pub(super) fn new(now: Moment, timestamp: Timestamp, start: SeqNum, limit: SeqNum) -> Self {
        Self {
            timestamp,
            limit,
            start,
            end: start,
            repeats: 0,
            segments: 0,
            arrivals: 1,
            far: 0,
            first: now,
            last: now,
            in_flight: 0,
        }
    }

    pub(super) fn add(&mut self, now: Moment, data: &Data<'_>, window: u32) {
        let ahead = data.number.since(self.start);
        self.repeats = self.repeats.saturating_add(u32::from(ahead.is_none()));
        self.end = self.end.latest(data.number.next());
        self.segments = self.segments.saturating_add(1);
        self.arrivals = self.arrivals.saturating_add(u32::from(now != self.last));
        self.last = now;
        let place = ahead.unwrap_or(0).saturating_add(self.repeats);
        let is_far = place > window.saturating_mul(FLOOD);
        self.far = self.far.saturating_add(u32::from(is_far));
        let in_flight = data.number.next().since(data.sending_next);
        self.in_flight = self.in_flight.max(in_flight.unwrap_or(0));
    }

    /// What the peer sent, as far as can be seen.
    pub(super) fn sent(&self) -> u32 {
        let fresh = self.end.since(self.start).unwrap_or(0);
        fresh.saturating_add(self.repeats)
    }

    pub(super) fn is_whole(&self) -> bool {
        f64::from(self.segments) >= WHOLE * f64::from(self.sent())
    }

    /// How many milliseconds the path took for it.
    pub(super) fn span(&self) -> Option<f64> {
        if self.segments < LEAST_BURST || self.arrivals < LEAST_ARRIVALS {
            return None;
        }
        let between = self.last.saturating_duration_since(self.first);
        let arrivals = f64::from(self.arrivals);
        Some(between.as_secs_f64() * 1000.0 * arrivals / (arrivals - 1.0))
    }
}

/// Whether so many segments are what a window allows, nearly.
pub(super) fn is_filled(segments: u32, window: u32) -> bool {
    segments >= window - window / 4
}
