//! Many streams by one thread, which a selector tells of answers.

use std::{
    io::{self, ErrorKind},
    mem, thread,
    time::{Duration, Instant},
};

use mkcp::{Event, Readiness, Selector, v2ray::MaybeTlsStream};

use super::{Options, pinger::Pinger};
use crate::{payload, report::Report};

/// A thread's streams, each watched by its index.
pub(super) struct Driver<'a> {
    pub(super) pingers: Vec<Pinger<'a>>,
    selector: Selector,
    events: Vec<Event>,
    /// Those that got answers when they were taken last.
    pub(super) answered: Vec<usize>,
    /// How many wait for answers.
    pub(super) waiting: usize,
    message: &'a [u8],
    buffer: Vec<u8>,
    pub(super) report: Report,
    pub(super) late: Duration,
}

impl<'a> Driver<'a> {
    pub(super) fn new(streams: &'a [MaybeTlsStream], message: &'a [u8]) -> io::Result<Self> {
        let selector = Selector::new();
        let mut pingers = Vec::with_capacity(streams.len());
        for (index, stream) in streams.iter().enumerate() {
            stream.get_ref().set_nonblocking(true)?;
            selector.watch_readable(stream.get_ref(), index);
            pingers.push(Pinger::new(stream));
        }
        Ok(Self {
            pingers,
            selector,
            events: Vec::new(),
            answered: Vec::new(),
            waiting: 0,
            message,
            buffer: vec![0; message.len().max(4096)],
            report: Report::default(),
            late: Duration::ZERO,
        })
    }

    /// Sends the message on this stream, to be answered after `due`.
    pub(super) fn send(&mut self, index: usize, due: Instant) {
        let pinger = &mut self.pingers[index];
        if pinger.dead {
            return;
        }
        self.late = self.late.max(due.elapsed());
        self.waiting += usize::from(pinger.due.is_empty());
        pinger.due.push_back(due);
        pinger.unsent += self.message.len();
        self.write(index);
    }

    /// Takes the answers that are there; waits at most that long if there are none.
    pub(super) fn receive(&mut self, limit: Duration) {
        self.answered.clear();
        let mut events = mem::take(&mut self.events);
        self.selector.wait(&mut events, Some(limit));
        for event in &events {
            match event.readiness {
                Readiness::Writable => self.write(event.key),
                _ => self.read(event.key),
            }
        }
        self.events = events;
    }

    fn write(&mut self, index: usize) {
        let pinger = &mut self.pingers[index];
        match pinger.write(self.message) {
            Err(error) => self.fail(index, &error),
            Ok(()) if pinger.unsent > 0 => {
                self.selector.watch_writable(pinger.stream.get_ref(), index);
            }
            Ok(()) => {}
        }
    }

    fn read(&mut self, index: usize) {
        let pinger = &mut self.pingers[index];
        let before = pinger.due.len();
        let result = pinger.read(self.message.len(), &mut self.buffer, &mut self.report);
        if pinger.due.len() < before {
            self.answered.push(index);
            self.waiting -= usize::from(pinger.due.is_empty());
        }
        match result {
            Err(error) => self.fail(index, &error),
            Ok(()) => {
                let stream = pinger.stream.get_ref();
                self.selector.watch_readable(stream, index);
            }
        }
    }

    fn fail(&mut self, index: usize, error: &io::Error) {
        let pinger = &mut self.pingers[index];
        if !pinger.dead {
            self.waiting -= usize::from(!pinger.due.is_empty());
            pinger.fail(error, &mut self.report);
        }
    }

    /// What has not been answered by now, is lost.
    pub(super) fn give_up(&mut self) {
        for index in 0..self.pingers.len() {
            if !self.pingers[index].due.is_empty() {
                self.fail(index, &ErrorKind::TimedOut.into());
            }
        }
    }
}

/// Shares the streams among as many threads as asked for, each of which does `drive` with its own;
/// gives how late the latest message was.
pub(super) fn share(
    options: &Options,
    streams: &[MaybeTlsStream],
    report: &mut Report,
    drive: impl Fn(&mut Driver<'_>, usize) + Sync,
) -> io::Result<Duration> {
    let message = payload::first(options.size as usize);
    let share = streams.len().div_ceil(options.threads()).max(1);
    let mut late = Duration::ZERO;
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for (index, streams) in streams.chunks(share).enumerate() {
            let mut driver = Driver::new(streams, &message)?;
            let drive = &drive;
            threads.push(scope.spawn(move || {
                drive(&mut driver, index);
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
        Ok(late)
    })
}
