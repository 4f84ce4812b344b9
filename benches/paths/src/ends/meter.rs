//! Counts what the sinks say that they have.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// A sink tells its client whenever so much more has come,
const QUANTUM: u64 = 256 * 1024;
/// or at the first bytes after so long.
const SILENCE: Duration = Duration::from_millis(20);

/// The sums of all streams of a client.
#[derive(Debug)]
pub(super) struct Meter {
    totals: Vec<AtomicU64>,
    errors: AtomicU64,
    started: Instant,
}

/// What had arrived at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    at: Instant,
    bytes: u64,
}

impl Meter {
    pub(super) fn new(streams: usize) -> Self {
        Self {
            totals: (0..streams).map(|_| AtomicU64::new(0)).collect(),
            errors: AtomicU64::new(0),
            started: Instant::now(),
        }
    }

    pub(super) fn set(&self, stream: usize, total: u64) {
        self.totals[stream].store(total, Ordering::Relaxed);
    }

    pub(super) fn get(&self, stream: usize) -> u64 {
        self.totals[stream].load(Ordering::Relaxed)
    }

    pub(super) fn fail(&self, error: &dyn std::error::Error) {
        eprintln!("{error}");
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn mark(&self) -> Mark {
        let totals = self.totals.iter();
        Mark {
            at: Instant::now(),
            bytes: totals.map(|total| total.load(Ordering::Relaxed)).sum(),
        }
    }

    /// What a client tells in the end, with the goodput between two marks.
    pub(super) fn to_json(&self, from: Mark, to: Mark) -> Value {
        let totals = self.totals.iter();
        let each: Vec<_> = totals.map(|total| total.load(Ordering::Relaxed)).collect();
        let time = (to.at - from.at).as_secs_f64();
        json!({
            "bytes": to.bytes,
            "seconds": (to.at - self.started).as_secs_f64(),
            "goodput_mb_s": (to.bytes - from.bytes) as f64 / 1e6 / time,
            "per_stream": each,
            "errors": self.errors.load(Ordering::Relaxed),
        })
    }
}

/// What one sink has, and when it is to tell.
#[derive(Debug)]
pub(super) struct Tally {
    total: u64,
    told: u64,
    at: Instant,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            total: 0,
            told: 0,
            at: Instant::now(),
        }
    }

    /// Counts, and gives what is to be told now, if anything.
    pub(super) fn add(&mut self, bytes: usize) -> Option<[u8; 8]> {
        self.total += bytes as u64;
        let due = self.total - self.told >= QUANTUM || self.at.elapsed() >= SILENCE;
        due.then(|| {
            (self.told, self.at) = (self.total, Instant::now());
            self.total.to_be_bytes()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_tells_its_total_after_every_quantum() {
        let mut tally = Tally::new();
        let piece = QUANTUM as usize;
        assert_eq!(tally.add(piece), Some(QUANTUM.to_be_bytes()));
        assert_eq!(tally.add(piece), Some((2 * QUANTUM).to_be_bytes()));
    }

    #[test]
    fn goodput_is_what_came_between_the_marks() {
        let meter = Meter::new(2);
        meter.set(0, 1_000_000);
        let from = meter.mark();
        meter.set(1, 3_000_000);
        let mut to = meter.mark();
        to.at = from.at + Duration::from_secs(2);
        let object = meter.to_json(from, to);
        assert_eq!(object["goodput_mb_s"], 1.5);
        assert_eq!(object["bytes"], 4_000_000);
        assert_eq!(object["per_stream"], json!([1_000_000, 3_000_000]));
    }
}
