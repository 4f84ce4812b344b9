//! Many streams that do nothing.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use mkcp::{Endpoint, Stream};

use crate::{
    PATIENCE, payload, process,
    report::Report,
    transport::{self, Transport},
};

/// Streams that are opened before the first answers are read: few enough for an accept queue.
const AT_ONCE: u16 = 64;
/// For how long sessions may take to end.
const FAREWELL: Duration = Duration::from_secs(5);

/// Cost of idle streams: opens them, holds them, and checks that they still work
///
/// Works with a server in mode echo or xor. All streams share one socket. hold_cpu_s is the
/// processor time of the hold alone, rss_kib the memory at its end.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// UDP address of the server
    #[arg(long, value_name = "ADDR", value_parser = transport::address)]
    connect: SocketAddr,

    /// Streams to open
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..))]
    streams: u16,

    /// Seconds to hold them
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    hold: u64,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    transport: Transport,
}

pub(crate) fn run(options: &Options) -> io::Result<Report> {
    let any: SocketAddr = match options.connect {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let config = options.transport.config();
    let endpoint = Endpoint::builder().config(config).bind(any)?;
    payload::prepare();
    let mut report = Report::default();
    let started = Instant::now();
    let batches = open_all(options, &endpoint, &mut report);
    report.insert("open_s", started.elapsed().as_secs_f64());

    let cpu = process::cpu_time();
    thread::sleep(Duration::from_secs(options.hold));
    report.insert("hold_cpu_s", (process::cpu_time() - cpu).as_secs_f64());
    report.insert("rss_kib", process::rss_kib());

    let check = |batch| exchange(batch, &mut report);
    let alive: Vec<Stream> = batches.into_iter().flat_map(check).collect();
    report.set_elapsed(started.elapsed());
    report.insert("streams", alive.len());
    for stream in &alive {
        report.add_statistics(&stream.stats());
    }
    drop(alive);
    if let Err(error) = endpoint.shutdown(FAREWELL) {
        // Peers written in Go do not confirm an end.
        log::debug!("{error}");
    }
    Ok(report)
}

/// Opens streams batch by batch, and gives up after a batch of which none works.
fn open_all(options: &Options, endpoint: &Endpoint, report: &mut Report) -> Vec<Vec<Stream>> {
    let mut batches = Vec::new();
    let mut missing = options.streams;
    while missing > 0 {
        let count = missing.min(AT_ONCE);
        let batch = (0..count)
            .filter_map(|_| kept(open(options, endpoint), report))
            .collect();
        let batch = exchange(batch, report);
        if batch.is_empty() {
            break;
        }
        batches.push(batch);
        missing -= count;
    }
    batches
}

fn open(options: &Options, endpoint: &Endpoint) -> io::Result<Stream> {
    let stream = endpoint.connect(options.connect)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends a byte on every stream, then waits for all to come back; keeps the streams that work.
fn exchange(mut batch: Vec<Stream>, report: &mut Report) -> Vec<Stream> {
    batch.retain(|stream| kept(payload::write(stream, 0, 1), report).is_some());
    batch.retain(|stream| kept(payload::read_back(stream, &mut [0]), report).is_some());
    report.add_bytes(batch.len() as u64);
    batch
}

fn kept<T>(result: io::Result<T>, report: &mut Report) -> Option<T> {
    result.map_err(|error| report.add_error(&error)).ok()
}
