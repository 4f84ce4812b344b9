//! Holding back peers that flood.
//!
//! At every tick, Go peers send up to twenty times as many segments as their limits allow, all at
//! once, and again soon after whatever the path's queue has dropped of them. But the limits that
//! they multiply include the window that this side tells, so a small window slows them down. How
//! small it has to be is measured: all segments of a tick carry the same timestamp, so the time
//! over which they arrive, compared with the time to the next tick, says how busy the path is.

mod burst;
mod flood;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::burst::{Burst, is_filled};
use self::flood::Flood;
use crate::{
    moment::Moment,
    wire::{Data, SeqNum},
};

/// What a peer may send before it has been told anything. It shows itself by that.
pub(super) const FIRST_WINDOW: u32 = 32;
/// A peer that has sent so many times its window, in bursts that filled it and were no flood, gets
/// a larger one, until it needs no limit.
const PROBATION: u32 = 2;
const PROMOTION: u32 = 8;
const FULL_WINDOW: u32 = 512;
/// More than so many times the window in one tick is a flood.
const FLOOD: u32 = 2;
/// Segments that must lie so far beyond the window: one alone may be forged.
const EVIDENCE: u32 = 4;
/// No peer gets so far beyond what it has been told.
const FARTHEST: u32 = 1 << 14;
/// The time between ticks in milliseconds, as the Go peers can be set; a pause may be longer.
const TICK: f64 = 50.0;
const LEAST_TICK: f64 = 10.0;
const MOST_TICK: f64 = 100.0;
/// Only timestamps that are not the clock's stay the latest for so long.
const STALE: Duration = Duration::from_millis(500);

#[derive(Clone, Debug, PartialEq)]
enum Peer {
    /// One of ours.
    Trusted,
    /// It has sent so many segments in bursts that filled this window and kept to it.
    Watched {
        window: u32,
        segments: u32,
    },
    Flooding(Box<Flood>),
}

#[derive(Debug)]
pub(super) struct Throttle {
    peer: Peer,
    /// Apart, for a peer that is trusted needs none.
    burst: Option<Box<Burst>>,
    /// The usual time between ticks, in milliseconds.
    tick: f64,
}

impl Throttle {
    pub(super) fn new() -> Self {
        Self {
            peer: Peer::Watched {
                window: FIRST_WINDOW,
                segments: 0,
            },
            burst: None,
            tick: TICK,
        }
    }

    /// The peer is one of ours: it keeps to any window.
    pub(super) fn trust(&mut self) {
        self.peer = Peer::Trusted;
        self.burst = None;
    }

    /// The most segments to let the peer send, if it needs a limit.
    pub(super) fn window(&self) -> Option<u32> {
        match &self.peer {
            Peer::Trusted => None,
            Peer::Watched { window, .. } => (*window < FULL_WINDOW).then_some(*window),
            Peer::Flooding(flood) => Some(flood.window as u32),
        }
    }

    pub(super) fn is_flooding(&self) -> bool {
        matches!(self.peer, Peer::Flooding(_))
    }

    /// A segment came. `limit` is what the peer has been told until now.
    pub(super) fn on_data(&mut self, now: Moment, data: &Data<'_>, limit: SeqNum) {
        let is_impossible = data.number.since(limit).is_some_and(|n| n > FARTHEST);
        if self.peer == Peer::Trusted || is_impossible {
            return;
        }
        let told = self.window().unwrap_or(FULL_WINDOW);
        let Some(burst) = self.burst_of(now, data, limit) else {
            return;
        };
        let allowed = burst.limit.since(data.sending_next).unwrap_or(0);
        burst.add(now, data, allowed.max(told));
        if burst.far >= EVIDENCE && !self.is_flooding() {
            self.peer = Peer::Flooding(Box::new(Flood::START));
        }
    }

    /// The burst to which a segment belongs, unless that is over.
    fn burst_of(&mut self, now: Moment, data: &Data<'_>, limit: SeqNum) -> Option<&mut Burst> {
        let mut start = data.number;
        let latest = self.burst.as_deref().copied();
        let before = latest.filter(|b| b.timestamp != data.timestamp);
        if let Some(before) = before {
            let is_stale = now.saturating_duration_since(before.last) > STALE;
            if before.timestamp.take(data.timestamp) != data.timestamp && !is_stale {
                return None;
            }
            let period = data.timestamp.get().wrapping_sub(before.timestamp.get());
            // Of the burst one tick before, the end may have been dropped. What was sent in
            // between, if there was more than that, is not of this burst.
            let follows = f64::from(period) < 1.5 * self.tick;
            start = if follows {
                before.end
            } else {
                start.latest(before.end)
            };
            self.on_burst_over(&before, f64::from(period));
        }
        let new = || Burst::new(now, data.timestamp, start, limit);
        let burst = self.burst.get_or_insert_with(|| Box::new(new()));
        if before.is_some() {
            **burst = new();
        }
        Some(burst)
    }

    fn on_burst_over(&mut self, burst: &Burst, period: f64) {
        // Neither a pause nor a jump of the peer's clock makes much of a difference.
        self.tick += (period.clamp(LEAST_TICK, MOST_TICK) - self.tick) / 8.0;
        match &mut self.peer {
            Peer::Trusted => {}
            Peer::Watched { window, segments } => {
                if is_filled(burst.in_flight, *window) && burst.far == 0 {
                    *segments = segments.saturating_add(burst.segments);
                }
                if *segments >= PROBATION * *window {
                    *segments = 0;
                    *window = (PROMOTION * *window).min(FULL_WINDOW);
                }
            }
            Peer::Flooding(flood) => {
                flood.on_burst(burst, self.tick);
                if flood.is_over() {
                    self.peer = Peer::Watched {
                        window: FIRST_WINDOW.max(flood.window as u32),
                        segments: 0,
                    };
                }
            }
        }
    }
}
