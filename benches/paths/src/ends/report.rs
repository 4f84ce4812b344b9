//! What ends print: objects with the names that `perf` uses.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    process,
    time::{Duration, Instant},
};

use bench_common::figures::percentile;
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};
use serde_json::{Value, json};

/// Prints the object of an end, with the processor time that it took: that of all threads of this
/// process, and that of the processes which it has started and waited for.
pub(super) fn print(mut object: Value) -> io::Result<()> {
    let mut cpu = 0.0;
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let usage = getrusage(who)?;
        cpu += seconds(usage.user_time()) + seconds(usage.system_time());
    }
    object["cpu_s"] = json!(cpu);
    println!("{object}");
    Ok(())
}

fn seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}

/// A server tells where it listens; SIGTERM ends it, with its processor time.
pub(super) fn ready(address: SocketAddr) -> io::Result<()> {
    ready_beside(address, || Ok(()))
}

/// The same for a server that has something to end first. If that fails, it has no object.
pub(super) fn ready_beside(
    address: SocketAddr,
    end: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> io::Result<()> {
    let mut end = Some(end);
    let farewell = move || {
        let ended = end.take().map_or(Ok(()), |end| end());
        if let Err(error) = ended.and_then(|()| print(json!({}))) {
            eprintln!("{error}");
            process::exit(1);
        }
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

    /// What a client that began then has done until now.
    pub(super) fn to_json(&self, started: Instant) -> Value {
        let seconds = started.elapsed().as_secs_f64();
        let times = self.times.iter();
        let micros: Vec<_> = times.map(|time| time.as_secs_f64() * 1e6).collect();
        let at = |share| percentile(micros.clone(), share);
        json!({
            "rounds": micros.len(),
            "seconds": seconds,
            "p50_us": at(0.5),
            "p99_us": at(0.99),
            "errors": self.errors,
        })
    }
}
