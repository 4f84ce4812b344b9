//! Throughput of one direction.

mod download;
mod progress;
mod upload;

use std::{
    any::Any,
    io,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use mkcp::v2ray::MaybeTlsStream;

use crate::{
    PATIENCE,
    client::{self, Client},
    payload,
    report::Report,
    threads::Threads,
};
use progress::{Progress, Samples, delivered};

/// Throughput: writes bytes, or reads them with --reverse
///
/// The time is that from the first connect until the last byte is acknowledged or, from a server
/// that sends back what it gets, until the last byte is back. What comes back is compared with
/// what was sent, or with its xor 0x63, whichever it begins with.
///
/// With TLS, the bytes of an upload that a time ends are those of TLS, less than 0.2 % more.
///
/// per_stream lists the bytes of each stream, and jain how fairly they shared (1 is perfect). A
/// timeline has rows of seconds since the first connect and, for the interval that ends then:
/// bytes delivered, smoothed round-trip time in us, datagrams sent, retransmission timeout in us.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Bytes in all, shared by the streams
    #[arg(long, value_name = "N", default_value_t = 100_000_000)]
    bytes: u64,

    /// Instead, as many bytes as can be delivered in this time; those that are not acknowledged
    /// by then do not count
    #[arg(long, value_name = "S", value_parser = seconds, conflicts_with = "bytes")]
    seconds: Option<Duration>,

    /// What is moved in this time at the beginning does not count in goodput_mb_s
    #[arg(long, value_name = "S", value_parser = seconds)]
    skip: Option<Duration>,

    /// Add a timeline to the JSON object, with a row for every interval
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    interval: Option<u64>,

    /// Streams at the same time
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    streams: u32,

    /// Read from a server in mode source; the streams send one byte each to open
    #[arg(long)]
    reverse: bool,

    /// Stop reading after this time, and stay for two seconds more: datagrams_after_cancel shows
    /// what the server still sends
    #[arg(long, value_name = "S", value_parser = seconds, requires = "reverse", conflicts_with_all = ["bytes", "seconds"])]
    cancel_after: Option<Duration>,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    client: client::Target,
}

/// How much a stream moves.
#[derive(Clone, Copy)]
enum Span {
    /// So many bytes.
    Bytes(u64),
    /// As many as it can until then.
    Until(Instant),
    /// The same, and then nothing may come any more.
    Cancel(Instant),
}

/// What is left of a stream.
struct Outcome {
    report: Report,
    finished: Instant,
}

pub(crate) fn run(options: &Options) -> io::Result<Report> {
    let client = options.client.open()?;
    payload::prepare();
    let started = Instant::now();
    let progress = Progress::new(started, options.skip, options.interval, !options.json);
    let (outcomes, samples) = move_all(options, &client, &progress, started)?;

    let mut report = Report::default();
    report.set_threads(Threads::now()); // which `progress` keeps alive
    let mut finished = started;
    let mut per_stream = Vec::new();
    for outcome in outcomes {
        per_stream.push(outcome.report.bytes());
        finished = finished.max(outcome.finished);
        report.absorb(outcome.report);
    }
    report.set_elapsed(finished - started);
    report.insert("streams", options.streams);
    if per_stream.len() > 1 {
        report.insert("jain", jain(&per_stream));
    }
    report.insert("per_stream", per_stream);
    samples.tell(&mut report, finished - started);
    Ok(report)
}

/// Runs all streams, and watches them.
fn move_all(
    options: &Options,
    client: &Client,
    progress: &Progress,
    started: Instant,
) -> io::Result<(Vec<Outcome>, Samples)> {
    thread::scope(|scope| {
        let (running, ended) = mpsc::channel();
        let watcher = scope.spawn(|| progress.watch(ended));
        let run = |span| {
            let running = running.clone();
            scope.spawn(move || {
                let outcome = one_stream(options, client, span, progress);
                drop(running); // When all are gone, the watcher ends.
                outcome
            })
        };
        let streams: Vec<_> = spans(options, started).map(run).collect();
        drop(running);
        let outcomes = streams.into_iter().map(|stream| stream.join());
        let outcomes = outcomes.collect::<Result<_, _>>().map_err(panicked);
        let samples = watcher.join().map_err(panicked);
        Ok((outcomes?, samples?))
    })
}

fn panicked(_: Box<dyn Any + Send>) -> io::Error {
    io::Error::other("a thread panicked")
}

/// What each stream moves: the same, but for a byte.
fn spans(options: &Options, started: Instant) -> impl Iterator<Item = Span> {
    let (bytes, streams) = (options.bytes, u64::from(options.streams));
    let (seconds, cancel) = (options.seconds, options.cancel_after);
    (0..streams).map(move |number| match (seconds, cancel) {
        (Some(time), _) => Span::Until(started + time),
        (_, Some(time)) => Span::Cancel(started + time),
        _ => Span::Bytes(bytes / streams + u64::from(number < bytes % streams)),
    })
}

/// Moves what it should, and tells when that was done.
fn one_stream(options: &Options, client: &Client, span: Span, progress: &Progress) -> Outcome {
    let mut report = Report::default();
    let result = connect(client).and_then(|stream| {
        progress.add(stream.try_clone()?, options.reverse);
        let finished = match options.reverse {
            true => download::run(&stream, span, &mut report),
            false => upload::run(&stream, span, &mut report),
        };
        report.add_statistics(&stream.get_ref().stats());
        finished
    });
    let finished = result.unwrap_or_else(|error| {
        report.add_error(&error);
        Instant::now()
    });
    Outcome { report, finished }
}

fn connect(client: &Client) -> io::Result<MaybeTlsStream> {
    let stream = client.connect()?;
    stream.get_ref().set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Jain's index of fairness: 1 if all have the same, 1/n if one has all.
fn jain(shares: &[u64]) -> f64 {
    let sum: f64 = shares.iter().map(|&share| share as f64).sum();
    let squares: f64 = shares.iter().map(|&share| (share as f64).powi(2)).sum();
    match squares {
        0.0 => 1.0,
        squares => sum * sum / (squares * shares.len() as f64),
    }
}

/// Reads a number of seconds, fractions allowed.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match number {
        0.0..86_400.0 => Ok(Duration::from_secs_f64(number)),
        _ => Err("must be from 0 to 86400".to_owned()),
    }
}
