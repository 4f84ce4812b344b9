//! Messages by the clock: a slow answer does not keep the next message back.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    thread,
    time::{Duration, Instant},
};

use mkcp::v2ray::MaybeTlsStream;

use super::{Options, pinger::Pinger};
use crate::{PATIENCE, payload, report::Report};

/// The least time between two looks at all streams.
const SWEEP: Duration = Duration::from_micros(200);
/// Messages that are sent before answers are looked at.
const AT_ONCE: usize = 64;

/// Sends on all streams, shared by few threads, until it is time to end and all is answered.
pub(super) fn run(
    options: &Options,
    rate: f64,
    streams: &[MaybeTlsStream],
    report: &mut Report,
) -> io::Result<()> {
    let message = payload::first(options.size as usize);
    let count = (options.threads as usize).min(streams.len().max(1));
    let share = streams.len().div_ceil(count).max(1);
    let start = Instant::now();
    let mut late = Duration::ZERO;
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for (index, streams) in streams.chunks(share).enumerate() {
            let mut driver = Driver::new(streams, &message)?;
            let period = 1.0 / (rate * streams.len() as f64);
            let schedule = Schedule {
                start: start + Duration::from_secs_f64(period * index as f64 / count as f64),
                period,
                end: options.seconds,
                most: options.rounds.saturating_mul(streams.len() as u64),
            };
            threads.push(scope.spawn(move || {
                driver.run(&schedule);
                driver
            }));
        }
        for thread in threads {
            match thread.join() {
                Ok(driver) => {
                    late = late.max(driver.late);
                    report.absorb(driver.report);
                }
                Err(_) => report.add_error(&io::Error::other("a thread panicked")),
            }
        }
        io::Result::Ok(())
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

/// A thread's streams.
struct Driver<'a> {
    pingers: Vec<Pinger<'a>>,
    /// Those that wait for answers, in the order in which they began to.
    waiting: VecDeque<usize>,
    message: &'a [u8],
    buffer: Vec<u8>,
    report: Report,
    late: Duration,
    /// Before this, the streams are not looked at again.
    next_sweep: Instant,
}

impl<'a> Driver<'a> {
    fn new(streams: &'a [MaybeTlsStream], message: &'a [u8]) -> io::Result<Self> {
        let mut pingers = Vec::with_capacity(streams.len());
        for stream in streams {
            stream.get_ref().set_nonblocking(true)?;
            pingers.push(Pinger::new(stream));
        }
        Ok(Self {
            pingers,
            waiting: VecDeque::new(),
            message,
            buffer: vec![0; message.len().max(4096)],
            report: Report::default(),
            late: Duration::ZERO,
            next_sweep: Instant::now(),
        })
    }

    fn run(&mut self, schedule: &Schedule) {
        let mut number = 0;
        let mut deadline = Instant::now() + PATIENCE;
        loop {
            let mut now = Instant::now();
            for _ in 0..AT_ONCE {
                let Some(due) = schedule.due(number).filter(|&due| due <= now) else {
                    break;
                };
                self.send((number % self.pingers.len() as u64) as usize, due);
                number += 1;
                now = Instant::now();
                deadline = now + PATIENCE;
            }
            let next = schedule.due(number);
            if next.is_none() && self.waiting.is_empty() {
                return;
            }
            if now >= deadline {
                return self.give_up();
            }
            self.receive(next.unwrap_or(deadline).saturating_duration_since(now));
        }
    }

    fn send(&mut self, index: usize, due: Instant) {
        let pinger = &mut self.pingers[index];
        if pinger.dead {
            return;
        }
        self.late = self.late.max(due.elapsed());
        if pinger.due.is_empty() {
            self.waiting.push_back(index);
        }
        pinger.due.push_back(due);
        pinger.unsent += self.message.len();
        if let Err(error) = pinger.write(self.message) {
            pinger.fail(&error, &mut self.report);
        }
    }

    /// Takes the answers that are there; waits at most that long if there are none.
    fn receive(&mut self, limit: Duration) {
        if self.sweep_in_turn() || limit.is_zero() {
            return;
        }
        let Some(&first) = self.waiting.front() else {
            return thread::sleep(limit);
        };
        let limit = match self.waiting.len() {
            1 => limit,
            _ => limit.min(self.next_sweep.saturating_duration_since(Instant::now())),
        };
        if limit.is_zero() {
            return;
        }
        if let Err(error) = self.pingers[first].wait(limit) {
            self.pingers[first].fail(&error, &mut self.report);
        }
        if !self.look_at(first) {
            self.waiting.pop_front();
        }
    }

    /// Sweeps, unless it was done just now: looking must not take the time that answers need.
    fn sweep_in_turn(&mut self) -> bool {
        let begun = Instant::now();
        if begun < self.next_sweep {
            return false;
        }
        let found = self.sweep();
        let took = begun.elapsed();
        self.next_sweep = begun + took + SWEEP.max(took * 4);
        found
    }

    /// Looks once at every stream that waits; says whether any answer was there.
    fn sweep(&mut self) -> bool {
        let before = self.report.bytes();
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|&index| self.look_at(index));
        self.waiting = waiting;
        self.report.bytes() > before
    }

    /// Moves what can move on a stream; says whether it still waits for an answer.
    fn look_at(&mut self, index: usize) -> bool {
        let pinger = &mut self.pingers[index];
        let moved = pinger
            .write(self.message)
            .and_then(|()| pinger.read(self.message.len(), &mut self.buffer, &mut self.report));
        if let Err(error) = moved {
            pinger.fail(&error, &mut self.report);
        }
        !pinger.due.is_empty()
    }

    /// What has not been answered by now, is lost.
    fn give_up(&mut self) {
        for pinger in &mut self.pingers {
            if !pinger.due.is_empty() {
                pinger.fail(&ErrorKind::TimedOut.into(), &mut self.report);
            }
        }
    }
}
