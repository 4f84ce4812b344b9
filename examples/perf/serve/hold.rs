//! Sessions that are held and do nothing, all by one thread.

use std::{
    io::{self, ErrorKind, Read, Write},
    time::{Duration, Instant},
};

use mkcp::{Endpoint, Listener, v2ray::MaybeTlsStream};
use serde_json::json;

use super::{LastLook, Wrap, shut_down};
use crate::{hold::Snapshot, process, report::Report};

/// How often sessions are looked at that have been accepted and have not sent anything yet. To have
/// them told of would take memory, which is what is measured here.
const LOOK: Duration = Duration::from_millis(1);
/// Without a new session for so long, all are there.
const QUIET: Duration = Duration::from_secs(1);
/// How often to look while nothing happens.
const TICK: Duration = Duration::from_secs(2);

/// All sessions.
#[derive(Default)]
struct Holder {
    /// Those that have not sent anything yet.
    fresh: Vec<MaybeTlsStream>,
    held: Vec<MaybeTlsStream>,
    window: Option<Window>,
    report: Report,
}

/// The time in which nothing happened.
struct Window {
    sessions: u64,
    first: Snapshot,
    last: Snapshot,
    /// Sessions have ended, or peers send again.
    is_over: bool,
}

pub(super) fn run(listener: Listener, endpoint: Endpoint, wrap: &Wrap) -> io::Result<Report> {
    let started = Instant::now();
    let empty_kib = process::rss_kib();
    let mut holder = Holder::default();
    let accepted = holder.accept_all(&listener, &endpoint, wrap);
    holder.look(&endpoint);
    let last = LastLook::at(&endpoint);
    let Holder {
        held,
        window,
        mut report,
        ..
    } = holder;
    report.set_elapsed(started.elapsed());
    for stream in &held {
        report.add_statistics(&stream.get_ref().stats());
    }
    if let Some(Window {
        sessions,
        first,
        last,
        ..
    }) = window
    {
        let mut hold = last.since(&first);
        let grown = last.rss_kib().saturating_sub(empty_kib) as f64;
        hold["sessions"] = sessions.into();
        hold["kib_per_session"] = json!(grown / sessions.max(1) as f64);
        report.insert("hold", hold);
    }
    report.insert("rss_kib", process::rss_kib());
    report.insert("sessions", last.stats.sessions_accepted);
    last.tell(&mut report);
    drop((listener, held));
    shut_down(endpoint);
    accepted.map(|()| report)
}

impl Holder {
    /// Takes every session, until the listener is closed.
    fn accept_all(
        &mut self,
        listener: &Listener,
        endpoint: &Endpoint,
        wrap: &Wrap,
    ) -> io::Result<()> {
        loop {
            let wait = match (self.fresh.is_empty(), &self.window) {
                (false, _) => LOOK,
                (true, None) => QUIET,
                (true, Some(_)) => TICK,
            };
            match listener.accept_timeout(wait) {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    self.fresh.push(wrap.wrap(stream)?);
                    self.window = None;
                }
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
                Err(error) if error.kind() != ErrorKind::TimedOut => return Err(error),
                Err(_) if self.fresh.is_empty() => self.look(endpoint),
                Err(_) => {}
            }
            self.answer_fresh();
        }
    }

    fn answer_fresh(&mut self) {
        for stream in std::mem::take(&mut self.fresh) {
            match answer(&stream) {
                Ok(0) => {} // has ended
                Ok(count) => {
                    self.report.add_bytes(count as u64);
                    self.held.push(stream);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.fresh.push(stream),
                Err(error) => self.report.add_error(&error),
            }
        }
    }

    /// Nothing has happened for a while.
    fn look(&mut self, endpoint: &Endpoint) {
        let sessions = endpoint.stats().sessions;
        match &mut self.window {
            None if sessions > 0 => {
                self.held.retain(lives);
                let first = Snapshot::first(&self.held);
                self.window = Some(Window {
                    sessions,
                    last: first.clone(),
                    first,
                    is_over: false,
                });
            }
            None => {}
            Some(window) if window.is_over || sessions < window.sessions => window.is_over = true,
            Some(window) => {
                let last = Snapshot::last(&self.held);
                match last.unread() {
                    0 => window.last = last,
                    _ => window.is_over = true,
                }
            }
        }
    }
}

/// Sends back what is there; gives how much that was.
fn answer(mut stream: &MaybeTlsStream) -> io::Result<usize> {
    let mut buffer = [0; 64];
    let count = stream.read(&mut buffer)?;
    stream.write_all(&buffer[..count])?;
    Ok(count)
}

/// Whether a stream that does not wait has not ended.
fn lives(stream: &MaybeTlsStream) -> bool {
    match stream.get_ref().peek(&mut [0]) {
        Ok(count) => count > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}
