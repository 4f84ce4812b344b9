//! Messages by the clock: a slow answer does not keep the next message back.

use std::{
    io,
    time::{Duration, Instant},
};

use mkcp::v2ray::MaybeTlsStream;

use super::{
    Options,
    driver::{self, Driver},
};
use crate::{PATIENCE, report::Report};

/// Messages that are sent before answers are looked at.
const AT_ONCE: usize = 64;
/// So long the next message may wait for others: to wake for each would cost more than to send it.
const TICK: Duration = Duration::from_millis(1);

/// Sends on all streams, shared by few threads, until it is time to end and all is answered.
pub(super) fn run(
    options: &Options,
    rate: f64,
    streams: &[MaybeTlsStream],
    report: &mut Report,
) -> io::Result<()> {
    let start = Instant::now();
    let count = options.threads().min(streams.len()) as f64;
    let late = driver::share(options, streams, report, |driver, index| {
        let streams = driver.pingers.len();
        let period = 1.0 / (rate * streams as f64);
        let schedule = Schedule {
            start: start + Duration::from_secs_f64(period * index as f64 / count),
            period,
            end: options.seconds,
            most: options.rounds.saturating_mul(streams as u64),
        };
        by_the_clock(driver, &schedule);
    })?;
    report.insert("late_us", late.as_nanos() as f64 / 1e3);
    Ok(())
}

/// When messages are due; they take the streams in turn.
struct Schedule {
    start: Instant,
    /// Seconds from one message to the next.
    period: f64,
    end: Option<Duration>,
    /// Messages, unless the time ends it.
    most: u64,
}

impl Schedule {
    /// When message `number` is due, if there is one.
    fn due(&self, number: u64) -> Option<Instant> {
        let after = Duration::from_secs_f64(self.period * number as f64);
        let is_there = match self.end {
            Some(end) => after < end,
            None => number < self.most,
        };
        is_there.then(|| self.start + after)
    }
}

fn by_the_clock(driver: &mut Driver<'_>, schedule: &Schedule) {
    let mut number = 0;
    let mut deadline = Instant::now() + PATIENCE;
    loop {
        let mut now = Instant::now();
        for _ in 0..AT_ONCE {
            let Some(due) = schedule.due(number).filter(|&due| due <= now) else {
                break;
            };
            driver.send((number % driver.pingers.len() as u64) as usize, due);
            number += 1;
            now = Instant::now();
            deadline = now + PATIENCE;
        }
        let next = schedule.due(number);
        if next.is_none() && driver.waiting == 0 {
            return;
        }
        if now >= deadline {
            return driver.give_up();
        }
        let wait = next.unwrap_or(deadline).saturating_duration_since(now);
        driver.receive(if wait.is_zero() { wait } else { wait.max(TICK) });
    }
}
