//! The end that the other commands connect to.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    sync::mpsc::{self, Sender},
    thread,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use mkcp::{ConnectionStats, Endpoint, EndpointStats, Listener, Stream};
use serde_json::{Map, Value, json};

use crate::{
    payload,
    report::{self, Report},
    transport::{self, Transport},
};

/// A thread per session is cheap if its stack is small.
const STACK: usize = 128 * 1024;
const LEAST_BUFFER: usize = 4 * 1024;
const MOST_BUFFER: usize = 256 * 1024;
/// Clients may open many sessions at once.
const BACKLOG: usize = 4096;
/// For how long sessions may take to end when the server stops: less than those who stop it wait
/// before they kill it.
const FAREWELL: Duration = Duration::from_secs(1);
/// Sessions that are listed one by one.
const LISTED: usize = 100;

/// Serves until SIGINT or SIGTERM, one thread to a session
///
/// With --json it prints {"ready": "ADDR"} at once and one more object at the end, in which
/// per_session lists the first 100 sessions in the order of their ends: bytes, the seconds from the
/// start of the server to the first and to the last of them, and the connection's statistics.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// UDP address to listen on
    #[arg(long, value_name = "ADDR", value_parser = transport::address)]
    listen: SocketAddr,

    /// What to do with what comes
    #[arg(long, value_name = "MODE", default_value = "echo")]
    mode: Mode,

    /// Threads that serve sessions [default: one less than there are cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    workers: Option<u8>,

    /// Print JSON objects
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    transport: Transport,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    /// Send it back
    Echo,
    /// Discard it
    Sink,
    /// Ignore it, and send without end
    Source,
    /// Send it back, each byte xor 0x63
    Xor,
}

/// The bytes that a session has moved, and when.
#[derive(Default)]
struct Moved {
    bytes: u64,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Moved {
    fn add(&mut self, bytes: u64) {
        let now = Instant::now();
        self.bytes += bytes;
        self.first.get_or_insert(now);
        self.last = Some(now);
    }
}

/// What is left of a session.
struct Outcome {
    moved: Moved,
    result: io::Result<()>,
    stats: ConnectionStats,
}

pub(crate) fn run(options: &Options) -> io::Result<Report> {
    let endpoint = bind(options)?;
    let listener = endpoint.listen()?;
    let stop = listener.try_clone()?;
    ctrlc::set_handler(move || stop.close()).map_err(io::Error::other)?;
    payload::prepare();
    let address = listener.local_addr()?.to_string();
    match options.json {
        true => println!("{}", json!({ "ready": address })),
        false => println!("listening on {address}"),
    }

    let started = Instant::now();
    let (outcomes, ended) = mpsc::channel();
    let collector = thread::spawn(move || collect(ended, started));
    let accepted = accept_all(&listener, options.mode, &outcomes);
    let elapsed = started.elapsed();
    let endpoint_stats = endpoint.stats();
    drop((listener, outcomes));
    if let Err(error) = endpoint.shutdown(FAREWELL) {
        // Peers written in Go do not confirm an end.
        log::debug!("{error}");
    }

    let report = collector.join();
    let mut report = report.map_err(|_| io::Error::other("the collector panicked"))?;
    report.set_elapsed(elapsed);
    report.insert("endpoint", endpoint_object(&endpoint_stats));
    accepted.map(|()| report)
}

fn bind(options: &Options) -> io::Result<Endpoint> {
    let config = options.transport.config();
    let mut builder = Endpoint::builder().config(config).accept_backlog(BACKLOG);
    if let Some(workers) = options.workers {
        builder = builder.workers(workers.into());
    }
    builder.bind(options.listen)
}

/// Gives each session a thread of its own, until the listener is closed.
fn accept_all(listener: &Listener, mode: Mode, outcomes: &Sender<Outcome>) -> io::Result<()> {
    for accepted in listener.incoming() {
        let stream = accepted?;
        let outcomes = outcomes.clone();
        let session = move || {
            let (moved, result) = serve(&stream, mode);
            let stats = stream.stats();
            let _ = outcomes.send(Outcome {
                moved,
                result,
                stats,
            });
        };
        thread::Builder::new().stack_size(STACK).spawn(session)?;
    }
    Ok(())
}

/// Sums up until the last session has ended.
fn collect(ended: mpsc::Receiver<Outcome>, started: Instant) -> Report {
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
fn serve(stream: &Stream, mode: Mode) -> (Moved, io::Result<()>) {
    let mut moved = Moved::default();
    let result = match mode {
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

fn send_without_end(stream: &Stream, moved: &mut Moved) -> io::Result<()> {
    loop {
        payload::write(stream, moved.bytes, moved.bytes + MOST_BUFFER as u64)?;
        moved.add(MOST_BUFFER as u64);
    }
}

/// Reads to the end of the stream. The buffer grows only for those who fill it.
fn read_all(
    mut stream: &Stream,
    moved: &mut Moved,
    answer: impl Fn(&Stream, &mut [u8]) -> io::Result<()>,
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

fn endpoint_object(stats: &EndpointStats) -> Value {
    let drops: Map<_, _> = stats
        .drops
        .iter()
        .map(|(reason, count)| (reason.as_str().to_owned(), count.into()))
        .collect();
    json!({
        "sessions": stats.sessions,
        "sessions_accepted": stats.sessions_accepted,
        "sessions_failed": stats.sessions_failed,
        "datagrams_received": stats.datagrams_received,
        "bytes_received": stats.bytes_received,
        "receive_calls": stats.receive_calls,
        "datagrams_sent": stats.datagrams_sent,
        "bytes_sent": stats.bytes_sent,
        "send_calls": stats.send_calls,
        "send_errors": stats.send_errors,
        "send_blocked": stats.send_blocked,
        "recv_buffer_size": stats.recv_buffer_size,
        "send_buffer_size": stats.send_buffer_size,
        "memory": stats.memory,
        "drops": drops,
    })
}
