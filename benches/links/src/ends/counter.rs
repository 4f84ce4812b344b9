//! Counts what a sink receives.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

/// Which part of the time counts.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Window {
    /// What comes after this time does not count in goodput_mb_s
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    seconds: f64,

    /// What comes in this time at the beginning does not count either
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    skip: f64,
}

/// The bytes of one connection.
#[derive(Debug)]
pub(super) struct Counter {
    window: Window,
    started: Instant,
    /// All of them.
    pub(super) bytes: u64,
    counted: u64,
}

impl Counter {
    /// The time runs from now on.
    pub(super) fn new(window: Window) -> Self {
        Self {
            window,
            started: Instant::now(),
            bytes: 0,
            counted: 0,
        }
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.add_at(bytes, self.started.elapsed());
    }

    fn add_at(&mut self, bytes: usize, at: Duration) {
        self.bytes += bytes as u64;
        if (self.window.skip..self.window.seconds).contains(&at.as_secs_f64()) {
            self.counted += bytes as u64;
        }
    }

    /// For those who started the sink.
    pub(super) fn to_json(&self) -> Value {
        let seconds = self.window.seconds - self.window.skip;
        json!({
            "bytes": self.bytes,
            "seconds": seconds,
            "goodput_mb_s": self.counted as f64 / 1e6 / seconds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_window_counts_as_goodput() {
        let window = Window {
            seconds: 3.0,
            skip: 1.0,
        };
        let mut counter = Counter::new(window);
        for (bytes, at) in [
            (1_000_000, 0),
            (2_000_000, 1),
            (4_000_000, 2),
            (8_000_000, 3),
        ] {
            counter.add_at(bytes, Duration::from_secs(at));
        }
        let object = counter.to_json();
        assert_eq!(object["bytes"], 15_000_000);
        assert_eq!(object["goodput_mb_s"], 3.0);
    }
}
