//! What ends print: objects with the names that `perf` uses.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    process,
    time::{Duration, Instant},
};

use bench_common::figures::percentile;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

/// Seconds of processor time of all threads of this process.
pub(super) fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A server tells where it listens; SIGTERM ends it, with its processor time.
pub(super) fn ready(address: SocketAddr) -> io::Result<()> {
    let farewell = || {
        println!("{}", json!({ "cpu_s": cpu() }));
        process::exit(0);
    };
    ctrlc::set_handler(farewell).map_err(io::Error::other)?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", json!({ "ready": address.to_string() }))?;
    stdout.flush()
}

/// Rounds with their times, and those that failed.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    times: Vec<Duration>,
    errors: u64,
}

impl Rounds {
    pub(super) fn add(&mut self, time: Duration) {
        self.times.push(time);
    }

    pub(super) fn fail(&mut self, error: &io::Error) {
        eprintln!("{error}");
        self.errors += 1;
    }

    pub(super) fn absorb(&mut self, other: Self) {
        self.times.extend(other.times);
        self.errors += other.errors;
    }

    /// For the end of a client that began then.
    pub(super) fn print(self, started: Instant) {
        let seconds = started.elapsed().as_secs_f64();
        let times = self.times.iter();
        let micros: Vec<_> = times.map(|time| time.as_secs_f64() * 1e6).collect();
        let at = |share| percentile(micros.clone(), share);
        let object = json!({
            "rounds": micros.len(),
            "seconds": seconds,
            "p50_us": at(0.5),
            "p99_us": at(0.99),
            "errors": self.errors,
            "cpu_s": cpu(),
        });
        println!("{object}");
    }
}
