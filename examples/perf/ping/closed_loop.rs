//! Each stream sends when the answer to its last message is there.

use std::{io, mem, thread, time::Instant};

use mkcp::v2ray::MaybeTlsStream;

use super::{
    Options,
    driver::{self, Driver},
};
use crate::{PATIENCE, payload, report::Report};

/// A thread per stream is cheap if its stack is small.
const STACK: usize = 128 * 1024;

/// What ends a stream's part.
#[derive(Clone, Copy)]
struct End {
    rounds: u64,
    /// Holds instead, if there is any.
    deadline: Option<Instant>,
}

impl End {
    fn of(options: &Options) -> Self {
        Self {
            rounds: options.rounds,
            deadline: options.seconds.map(|time| Instant::now() + time),
        }
    }

    fn is_reached(self, rounds: u64, now: Instant) -> bool {
        match self.deadline {
            Some(deadline) => now >= deadline,
            None => rounds >= self.rounds,
        }
    }
}

pub(super) fn run(
    options: &Options,
    streams: &[MaybeTlsStream],
    report: &mut Report,
) -> io::Result<()> {
    let end = End::of(options);
    match options.threads {
        None => by_a_thread_each(options, streams, end, report),
        Some(_) => {
            driver::share(options, streams, report, |driver, _| by_few(driver, end)).map(drop)
        }
    }
}

fn by_few(driver: &mut Driver<'_>, end: End) {
    let mut rounds = vec![0; driver.pingers.len()];
    let mut now = Instant::now();
    for index in 0..rounds.len() {
        if !end.is_reached(0, now) {
            driver.send(index, now);
        }
    }
    while driver.waiting > 0 {
        driver.receive(PATIENCE);
        let since = now;
        now = Instant::now();
        if driver.answered.is_empty() && now - since >= PATIENCE {
            return driver.give_up();
        }
        for index in mem::take(&mut driver.answered) {
            rounds[index] += 1;
            if !end.is_reached(rounds[index], now) {
                driver.send(index, now);
            }
        }
    }
}

/// Each waits, in a thread of its own, for an answer before it sends again.
fn by_a_thread_each(
    options: &Options,
    streams: &[MaybeTlsStream],
    end: End,
    report: &mut Report,
) -> io::Result<()> {
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for stream in streams {
            let builder = thread::Builder::new().stack_size(STACK);
            let run = move || one_stream(options.size as usize, stream, end);
            threads.push(builder.spawn_scoped(scope, run)?);
        }
        for thread in threads {
            match thread.join() {
                Ok(part) => report.absorb(part),
                Err(_) => report.add_error(&io::Error::other("a thread panicked")),
            }
        }
        Ok(())
    })
}

fn one_stream(size: usize, stream: &MaybeTlsStream, end: End) -> Report {
    let mut report = Report::default();
    let mut message = vec![0; size];
    let mut rounds = 0;
    loop {
        let sent = Instant::now();
        if end.is_reached(rounds, sent) {
            return report;
        }
        if let Err(error) = payload::round_trip(stream, &mut message) {
            report.add_error(&error);
            return report;
        }
        report.add_latency("", sent.elapsed());
        report.add_bytes(message.len() as u64);
        rounds += 1;
    }
}
