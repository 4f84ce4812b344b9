//! The loop that a Go peer runs beside a connection: flush, wait for a tick, look whether to go on.

use std::time::Duration;

#[derive(Debug)]
pub struct Updater {
    interval: Duration,
    next_tick: Option<Duration>,
}

impl Updater {
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            next_tick: None,
        }
    }

    pub fn next_tick(&self) -> Option<Duration> {
        self.next_tick
    }

    /// Starts the loop if it is idle and has a reason to run; `true` means: flush now.
    pub fn wake(&mut self, now: Duration, wanted: bool) -> bool {
        if self.next_tick.is_some() || !wanted {
            return false;
        }
        self.next_tick = Some(now + self.interval);
        true
    }

    /// Takes a tick if one is due; `true` means: flush now. Without a reason the loop ends.
    pub fn tick(&mut self, now: Duration, wanted: bool) -> bool {
        let Some(due) = self.next_tick.filter(|&due| due <= now) else {
            return false;
        };
        self.next_tick = wanted.then(|| (due + self.interval).max(now + Duration::from_millis(1)));
        wanted
    }
}
