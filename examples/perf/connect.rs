//! Short connections, one after the other.

use std::{
    io,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use mkcp::{Config, Stream};

use crate::{
    PATIENCE, payload,
    report::Report,
    transport::{self, Transport},
};

/// Connection rate: connects, writes a byte, reads it back, closes
///
/// Works with a server in mode echo or xor. p50_us and p99_us are the time from connect until the
/// byte is back, close_p50_us and close_p99_us that of the close.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// UDP address of the server
    #[arg(long, value_name = "ADDR", value_parser = transport::address)]
    connect: SocketAddr,

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
    transport: Transport,
}

pub(crate) fn run(options: &Options) -> io::Result<Report> {
    let config = options.transport.config();
    payload::prepare();
    let begun = AtomicU64::new(0);
    let started = Instant::now();
    let mut report = Report::default();
    thread::scope(|scope| {
        let run = || some_rounds(options, &config, &begun);
        let lanes: Vec<_> = (0..options.parallel).map(|_| scope.spawn(run)).collect();
        for lane in lanes {
            match lane.join() {
                Ok(part) => report.absorb(part),
                Err(_) => report.add_error(&io::Error::other("a thread panicked")),
            }
        }
    });
    report.set_elapsed(started.elapsed());
    report.insert("connections", options.rounds);
    Ok(report)
}

/// Takes rounds until all have begun.
fn some_rounds(options: &Options, config: &Config, begun: &AtomicU64) -> Report {
    let mut report = Report::default();
    while begun.fetch_add(1, Ordering::Relaxed) < options.rounds {
        if let Err(error) = one_round(options.connect, config, &mut report) {
            report.add_error(&error);
        }
    }
    report
}

fn one_round(server: SocketAddr, config: &Config, report: &mut Report) -> io::Result<()> {
    let started = Instant::now();
    let stream = Stream::connect_with(server, config)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    payload::round_trip(&stream, &mut [0])?;
    report.add_latency("", started.elapsed());
    report.add_bytes(1);
    report.add_statistics(&stream.stats());
    let answered = Instant::now();
    stream.close()?;
    report.add_latency("close_", answered.elapsed());
    Ok(())
}
