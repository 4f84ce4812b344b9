//! Many streams that do nothing.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use mkcp::v2ray::MaybeTlsStream;

use crate::{
    PATIENCE, client, hold::Snapshot, opening, payload, process, report::Report, threads::Threads,
};

/// How often acknowledgements are looked for: nothing tells of them.
const LOOK: Duration = Duration::from_millis(10);

/// Cost of idle streams: opens them, holds them, and checks that they still work
///
/// Works with a server in mode hold, echo or xor. hold tells what the hold alone took: processor
/// time, of all and by thread, resident memory at its end, and what woke the connections, all
/// together. kib_per_stream is how much the resident memory grew by them. disconnects counts
/// streams that had ended after the hold or did not get another byte acknowledged.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Streams to open; one socket can have 65536
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    streams: u32,

    /// Seconds to hold them
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    hold: u64,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    client: client::Target,
}

pub(crate) fn run(options: &Options) -> io::Result<Report> {
    let client = options.client.open_shared(options.streams)?;
    payload::prepare();
    let mut report = Report::default();
    let empty_kib = process::rss_kib();
    let started = Instant::now();
    let streams = opening::open_all(&client, options.streams, &mut report);
    report.insert("open_s", started.elapsed().as_secs_f64());

    let before = Snapshot::first(&streams);
    thread::sleep(Duration::from_secs(options.hold));
    let after = Snapshot::last(&streams);
    report.insert("hold", after.since(&before));
    report.insert("hold_cpu_s", after.cpu_since(&before));
    report.insert("rss_kib", after.rss_kib());
    let grown = after.rss_kib().saturating_sub(empty_kib) as f64;
    report.insert("kib_per_stream", grown / streams.len().max(1) as f64);

    let disconnects = check(&streams, &mut report);
    report.set_elapsed(started.elapsed());
    report.insert("disconnects", disconnects);
    report.insert("streams", streams.len() - disconnects);
    report.set_threads(Threads::now());
    for stream in &streams {
        report.add_statistics(&stream.get_ref().stats());
    }
    drop(streams);
    client.shut_down();
    Ok(report)
}

/// Sends a byte on every stream, and waits until all are acknowledged, which needs nobody who
/// answers. Gives how many were not.
fn check(streams: &[MaybeTlsStream], report: &mut Report) -> usize {
    let mut failed = 0;
    let mut fail = |error: &io::Error| {
        report.add_error(error);
        failed += 1;
    };
    let mut waiting = Vec::new();
    for stream in streams {
        match payload::write(stream, 0, 1) {
            Ok(()) => waiting.push(stream),
            Err(error) => fail(&error),
        }
    }
    let deadline = Instant::now() + PATIENCE;
    while !waiting.is_empty() {
        waiting.retain(|stream| match stream.get_ref().take_error() {
            Ok(None) => stream.get_ref().stats().send_queue > 0,
            Ok(Some(error)) | Err(error) => {
                fail(&error);
                false
            }
        });
        if Instant::now() >= deadline {
            waiting
                .iter()
                .for_each(|_| fail(&io::ErrorKind::TimedOut.into()));
            break;
        }
        thread::sleep(LOOK);
    }
    failed
}
