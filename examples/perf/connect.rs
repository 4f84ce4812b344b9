//! Short connections, one after the other.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use crate::{
    PATIENCE,
    client::{self, Client},
    payload,
    report::Report,
    threads::Threads,
};

/// Connection rate: connects, writes a byte, reads it back, closes
///
/// Works with a server in mode echo or xor. p50_us and p99_us are the time from connect until the
/// byte is back, close_p50_us and close_p99_us that of the close.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Connections in all
    #[arg(long, value_name = "N", default_value_t = 100)]
    rounds: u64,

    /// How many of them at the same time
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    parallel: u32,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    client: client::Target,
}

pub(crate) fn run(options: &Options) -> io::Result<Report> {
    let client = options.client.open()?;
    payload::prepare();
    let begun = AtomicU64::new(0);
    let started = Instant::now();
    let mut report = Report::default();
    thread::scope(|scope| {
        let run = || some_rounds(options, &client, &begun);
        let lanes: Vec<_> = (0..options.parallel).map(|_| scope.spawn(run)).collect();
        for lane in lanes {
            match lane.join() {
                Ok(part) => report.absorb(part),
                Err(_) => report.add_error(&io::Error::other("a thread panicked")),
            }
        }
    });
    report.set_elapsed(started.elapsed());
    report.set_threads(Threads::now());
    client.shut_down();
    report.insert("connections", options.rounds);
    Ok(report)
}

/// Takes rounds until all have begun.
fn some_rounds(options: &Options, client: &Client, begun: &AtomicU64) -> Report {
    let mut report = Report::default();
    while begun.fetch_add(1, Ordering::Relaxed) < options.rounds {
        if let Err(error) = one_round(client, &mut report) {
            report.add_error(&error);
        }
    }
    report
}

fn one_round(client: &Client, report: &mut Report) -> io::Result<()> {
    let started = Instant::now();
    let stream = client.connect()?;
    stream.get_ref().set_read_timeout(Some(PATIENCE))?;
    payload::round_trip(&stream, &mut [0])?;
    report.add_latency("", started.elapsed());
    report.add_bytes(1);
    report.add_statistics(&stream.get_ref().stats());
    let answered = Instant::now();
    stream.close()?;
    report.add_latency("close_", answered.elapsed());
    Ok(())
}
