//! Holding back peers that flood.
//!
//! At every tick, Go peers send up to twenty times as many segments as their limits allow, all at
//! once, and again soon after whatever the path's queue has dropped of them. But the limits that
//! they multiply include the window that this side tells, so a small window slows them down. How
//! small it has to be is measured: all segments of a tick carry the same timestamp, so the time
//! over which they arrive, compared with the time to the next tick, says how busy the path is.

use std::time::{Duration, Instant};

use crate::wire::{SeqNum, Timestamp};

/// What a peer may send before it has been told anything. It shows itself by that.
pub(super) const FIRST_WINDOW: u32 = 32;
/// A peer that has sent so many and kept to the window is believed.
const PROBATION: u32 = 64;
/// So far beyond the window nobody gets by mistake.
const FAR_BEYOND: u32 = 96;
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
/// Windows of such a peer, in segments.
const START_WINDOW: f64 = 8.0;
const MOST_WINDOW: f64 = 256.0;
/// Fewer segments say nothing about a path, nor do fewer for each of the window.
const LEAST_BURST: u32 = 8;
const LEAST_USE: f64 = 4.0;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Peer {
    Unknown { segments: u32 },
    Orderly,
    Flooding { window: f64, factor: f64 },
}

/// The segments of one tick.
#[derive(Clone, Copy, Debug)]
struct Burst {
    timestamp: Timestamp,
    /// The limit that the peer had been told when the first of them came; it knew no other.
    limit: SeqNum,
    first: Instant,
    last: Instant,
    segments: u32,
}

#[derive(Debug)]
pub(super) struct Throttle {
    peer: Peer,
    burst: Option<Burst>,
}

impl Throttle {
    pub(super) fn new() -> Self {
        Self {
            peer: Peer::Unknown { segments: 0 },
            burst: None,
        }
    }

    /// The peer is one of ours: it keeps to any window.
    pub(super) fn trust(&mut self) {
        self.peer = Peer::Orderly;
    }

    /// The most segments to let the peer send, if it needs a limit.
    pub(super) fn window(&self) -> Option<u32> {
        match self.peer {
            Peer::Unknown { .. } => Some(FIRST_WINDOW),
            Peer::Orderly => None,
            Peer::Flooding { window, .. } => Some(window as u32),
        }
    }

    pub(super) fn is_flooding(&self) -> bool {
        matches!(self.peer, Peer::Flooding { .. })
    }

    /// A segment came. `limit` is what the peer has been told until now.
    pub(super) fn on_data(
        &mut self,
        now: Instant,
        timestamp: Timestamp,
        number: SeqNum,
        limit: SeqNum,
    ) {
        if self.peer == Peer::Orderly {
            return;
        }
        self.count(now, timestamp, limit);
        let limit = self.burst.map_or(limit, |burst| burst.limit);
        let beyond = number.since(limit).unwrap_or(0);
        match &mut self.peer {
            Peer::Flooding { .. } => {}
            _ if beyond > FAR_BEYOND => {
                self.peer = Peer::Flooding {
                    window: START_WINDOW,
                    factor: FACTOR,
                };
            }
            Peer::Unknown { segments } if *segments >= PROBATION => self.peer = Peer::Orderly,
            Peer::Unknown { .. } | Peer::Orderly => {}
        }
    }

    fn count(&mut self, now: Instant, timestamp: Timestamp, limit: SeqNum) {
        match &mut self.burst {
            Some(burst) if burst.timestamp == timestamp => {
                burst.last = now;
                burst.segments += 1;
            }
            Some(burst) if burst.timestamp.take(timestamp) != timestamp => {}
            before => {
                let finished = before.replace(Burst {
                    timestamp,
                    limit,
                    first: now,
                    last: now,
                    segments: 1,
                });
                if let Some(burst) = finished {
                    let period = timestamp.get().wrapping_sub(burst.timestamp.get());
                    self.adjust(&burst, Duration::from_millis(u64::from(period)));
                }
            }
        }
    }

    /// Fits the window of a peer that floods so that a burst arrives within the time between two.
    fn adjust(&mut self, burst: &Burst, period: Duration) {
        let (window, factor) = match &mut self.peer {
            Peer::Flooding { window, factor } => (window, factor),
            Peer::Unknown { segments } => return *segments += burst.segments,
            Peer::Orderly => return,
        };
        let segments = f64::from(burst.segments);
        if burst.segments < LEAST_BURST || segments < LEAST_USE * *window {
            return;
        }
        let between = burst.last.saturating_duration_since(burst.first);
        let span = between.as_secs_f64() * segments / (segments - 1.0);
        let busy = span / period.as_secs_f64().max(0.001);
        if busy > TOO_BUSY {
            *factor *= MORE;
        } else if busy < TOO_IDLE {
            *factor *= LESS;
        }
        *factor = factor.clamp(LEAST_USE, 2.0 * FACTOR);
        let capacity = segments / busy.max(0.01);
        *window = (BUSY * capacity / *factor).clamp(1.0, MOST_WINDOW);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer that sends twenty times its window every 50 ms, on a path that carries so many
    /// segments in that time.
    fn flood(throttle: &mut Throttle, capacity: u32, ticks: u32) -> u32 {
        let start = Instant::now();
        let mut most = 0;
        for tick in 0..ticks {
            let window = throttle.window().unwrap_or(194);
            let sent = 20 * window;
            let at = start + Duration::from_millis(50) * tick;
            for segment in 0..sent {
                let now = at + Duration::from_millis(50) * segment / capacity;
                let number = SeqNum::new(segment);
                let limit = SeqNum::new(window);
                throttle.on_data(now, Timestamp::new(50 * tick + 1), number, limit);
            }
            if tick > ticks / 2 {
                most = most.max(sent);
            }
        }
        most
    }

    #[test]
    fn a_peer_that_floods_is_slowed_to_what_the_path_carries() {
        for capacity in [60, 450, 1800] {
            let mut throttle = Throttle::new();
            let sent = flood(&mut throttle, capacity, 40);
            assert!(throttle.is_flooding());
            assert!(
                (capacity / 2..=capacity).contains(&sent),
                "{sent} of {capacity}"
            );
        }
    }

    #[test]
    fn a_peer_that_keeps_to_its_window_is_not_slowed() {
        let mut throttle = Throttle::new();
        let now = Instant::now();
        assert_eq!(throttle.window(), Some(FIRST_WINDOW));
        for tick in 0..=PROBATION {
            throttle.on_data(now, Timestamp::new(tick), SeqNum::ZERO, SeqNum::ZERO);
        }
        assert_eq!(throttle.window(), None);
        let mut throttle = Throttle::new();
        throttle.trust();
        assert_eq!(throttle.window(), None);
    }

    #[test]
    fn a_peer_with_little_to_send_tells_nothing() {
        let mut throttle = Throttle::new();
        let now = Instant::now();
        let far = SeqNum::new(FAR_BEYOND + 1);
        throttle.on_data(now, Timestamp::new(1), far, SeqNum::ZERO);
        let before = throttle.window();
        for tick in 2..50 {
            throttle.on_data(now, Timestamp::new(tick * 50), SeqNum::ZERO, SeqNum::ZERO);
        }
        assert_eq!(throttle.window(), before);
    }
}
