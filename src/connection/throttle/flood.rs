//! The window of a peer that floods.

use super::FLOOD;
use super::burst::{Burst, is_filled};

/// After so many bursts that filled the window and kept to it, a peer does not flood.
const KEPT_BURSTS: u32 = 16;
/// How many segments a peer that floods sends for each of its window: what V2Ray does, and how
/// that is corrected from tick to tick if the path turns out to be busier, or less busy, than it
/// should be.
const FACTOR: f64 = 20.0;
const LESS: f64 = 0.97;
const MORE: f64 = 1.05;
/// How much of the time between ticks the path is to be busy, and what is out of bounds.
const BUSY: f64 = 0.9;
const TOO_BUSY: f64 = 0.97;
const TOO_IDLE: f64 = 0.8;
/// Windows of such a peer, in segments, and how fast they grow at most.
const START_WINDOW: f64 = 8.0;
const MOST_WINDOW: f64 = 256.0;
const GROWTH: f64 = 1.5;
/// The same while nothing can be measured, and how fast they then shrink by losses.
const BLIND_GROWTH: f64 = 1.1;
const BLIND_SHRINKING: f64 = 0.9;

/// What is known of a peer that floods.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Flood {
    pub(super) window: f64,
    factor: f64,
    /// Bursts in a row that filled the window and were no flood.
    kept: u32,
}

impl Flood {
    pub(super) const START: Self = Self {
        window: START_WINDOW,
        factor: FACTOR,
        kept: 0,
    };

    pub(super) fn on_burst(&mut self, burst: &Burst, tick: f64) {
        let per_window = f64::from(burst.sent()) / self.window;
        if per_window > f64::from(FLOOD) {
            self.kept = 0;
            self.correct_factor(per_window);
            self.fit(burst, tick);
        } else if is_filled(burst.sent(), self.window as u32) {
            self.kept += 1;
        }
    }

    /// Whether the peer was wrongly taken for one that floods.
    pub(super) fn is_over(&self) -> bool {
        self.kept >= KEPT_BURSTS
    }

    /// A peer that had little to send seemed to multiply by less than it does.
    fn correct_factor(&mut self, per_window: f64) {
        if per_window > 2.0 * self.factor && self.factor < FACTOR {
            self.window = (self.window * self.factor / FACTOR).max(1.0);
            self.factor = FACTOR;
        }
    }

    /// Fits the window so that a burst arrives within the time between two.
    fn fit(&mut self, burst: &Burst, tick: f64) {
        let wanted = match burst.span() {
            Some(span) => self.measure(burst, span / tick),
            None if burst.is_whole() => self.window * BLIND_GROWTH,
            None => self.window * BLIND_SHRINKING,
        };
        self.window = wanted.min(self.window * GROWTH).clamp(1.0, MOST_WINDOW);
    }

    fn measure(&mut self, burst: &Burst, busy: f64) -> f64 {
        if busy > TOO_BUSY {
            self.factor *= MORE;
        } else if busy < TOO_IDLE && burst.is_whole() {
            // Were some dropped, it would be idle for that.
            self.factor *= LESS;
        }
        self.factor = self.factor.clamp(f64::from(FLOOD), 2.0 * FACTOR);
        let capacity = f64::from(burst.segments) / busy.max(0.01);
        BUSY * capacity / self.factor
    }
}
