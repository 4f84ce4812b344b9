//! A thread for each session.

use std::{
    io::{self, Read, Write},
    sync::mpsc::{Receiver, Sender},
    thread,
    time::Instant,
};

use mkcp::{ConnectionStats, Listener, v2ray::MaybeTlsStream};
use serde_json::{Value, json};

use super::{Mode, Wrap};
use crate::{
    payload,
    report::{self, Report},
};

/// A thread per session is cheap if its stack is small.
const STACK: usize = 128 * 1024;
const LEAST_BUFFER: usize = 4 * 1024;
const MOST_BUFFER: usize = 256 * 1024;
/// Sessions that are listed one by one.
const LISTED: usize = 100;

/// The bytes that a session has moved, and when.
#[derive(Default)]
pub(super) struct Moved {
    bytes: u64,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Moved {
    pub(super) fn add(&mut self, bytes: u64) {
        let now = Instant::now();
        self.bytes += bytes;
        self.first.get_or_insert(now);
        self.last = Some(now);
    }
}

/// What is left of a session.
pub(super) struct Outcome {
    moved: Moved,
    result: io::Result<()>,
    stats: ConnectionStats,
}

impl Outcome {
    pub(super) fn new(moved: Moved, result: io::Result<()>, stats: ConnectionStats) -> Self {
        Self {
            moved,
            result,
            stats,
        }
    }
}

/// Gives each session a thread of its own, until the listener is closed.
pub(super) fn accept_all(
    listener: &Listener,
    wrap: &Wrap,
    mode: Mode,
    outcomes: &Sender<Outcome>,
) -> io::Result<()> {
    for accepted in listener.incoming() {
        let stream = wrap.wrap(accepted?)?;
        let sender = outcomes.clone();
        let session = move || {
            let (moved, result) = serve(&stream, mode);
            let stats = stream.get_ref().stats();
            let _ = sender.send(Outcome::new(moved, result, stats));
        };
        let spawned = thread::Builder::new().stack_size(STACK).spawn(session);
        if let Err(error) = spawned {
            // The session, dropped, closes itself; the others go on.
            let (nothing, stats) = (Moved::default(), ConnectionStats::default());
            let _ = outcomes.send(Outcome::new(nothing, Err(error), stats));
        }
    }
    Ok(())
}

/// Sums up until the last session has ended.
pub(super) fn collect(ended: Receiver<Outcome>, started: Instant) -> Report {
    let mut report = Report::default();
    let mut sessions = 0;
    let mut listed = Vec::new();
    for outcome in ended {
        sessions += 1;
        if listed.len() < LISTED {
            listed.push(session_object(&outcome, started));
        }
        report.add_bytes(outcome.moved.bytes);
        report.add_statistics(&outcome.stats);
        match outcome.result {
            Err(error) if !is_an_end(&error) => report.add_error(&error),
            _ => {}
        }
    }
    report.insert("sessions", sessions);
    report.insert("per_session", listed);
    report
}

fn session_object(outcome: &Outcome, started: Instant) -> Value {
    let seconds = |at: Instant| (at - started).as_secs_f64();
    let mut object = json!({
        "bytes": outcome.moved.bytes,
        "first_byte_s": outcome.moved.first.map(seconds),
        "last_byte_s": outcome.moved.last.map(seconds),
    });
    for (name, value) in report::statistics(&outcome.stats) {
        object[name] = value.into();
    }
    object
}

/// Whether this is how a stream ends when the peer has had enough or the server stops.
fn is_an_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted
    )
}

/// Serves one session to its end; gives the bytes moved.
fn serve(stream: &MaybeTlsStream, mode: Mode) -> (Moved, io::Result<()>) {
    let mut moved = Moved::default();
    let result = match mode {
        Mode::Hold => Ok(()), // has no threads
        Mode::Source => send_without_end(stream, &mut moved),
        Mode::Sink => read_all(stream, &mut moved, |_, _| Ok(())),
        Mode::Echo => read_all(stream, &mut moved, |mut stream, data| {
            stream.write_all(data)
        }),
        Mode::Xor => read_all(stream, &mut moved, |mut stream, data| {
            data.iter_mut().for_each(|byte| *byte ^= payload::XOR);
            stream.write_all(data)
        }),
    };
    (moved, result)
}

fn send_without_end(stream: &MaybeTlsStream, moved: &mut Moved) -> io::Result<()> {
    loop {
        payload::write(stream, moved.bytes, moved.bytes + MOST_BUFFER as u64)?;
        moved.add(MOST_BUFFER as u64);
    }
}

/// Reads to the end of the stream. The buffer grows only for those who fill it.
fn read_all(
    mut stream: &MaybeTlsStream,
    moved: &mut Moved,
    answer: impl Fn(&MaybeTlsStream, &mut [u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; LEAST_BUFFER];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        moved.add(count as u64);
        answer(stream, &mut buffer[..count])?;
        if count == buffer.len() && count < MOST_BUFFER {
            buffer.resize(2 * count, 0);
        }
    }
}
