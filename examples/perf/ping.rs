//! Round trips of small messages.

mod closed_loop;
mod driver;
mod open_loop;
mod pinger;

use std::{
    io,
    time::{Duration, Instant},
};

use mkcp::v2ray::MaybeTlsStream;

use crate::{bulk, client, opening, payload, report::Report, threads::Threads};

/// Latency: writes messages and reads them back
///
/// Works with a server in mode echo or xor. Each stream, in a thread of its own, sends a message
/// when the one before is back. With --threads, few threads do so for all streams, and a selector
/// tells them of answers; with --rate they send by the clock, by the millisecond, and the time of a
/// message is that since it was due. A byte per stream, which opens the session, is not counted.
/// cpu_us_per_message is the time of all threads here while messages went.
///
/// With --rate, late_us tells how late the latest message was sent: where it is large, use more
/// --threads.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Messages on each stream
    #[arg(long, value_name = "N", default_value_t = 1000)]
    rounds: u64,

    /// Instead, as many messages as go in this time
    #[arg(long, value_name = "S", value_parser = bulk::seconds, conflicts_with = "rounds")]
    seconds: Option<Duration>,

    /// Send so many messages per second on each stream, whatever becomes of those before
    #[arg(long, value_name = "R", value_parser = rate)]
    rate: Option<f64>,

    /// Threads that send and receive [default: one for each stream; with --rate, one]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,

    /// Bytes of a message
    #[arg(long, value_name = "B", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    size: u32,

    /// Streams at the same time
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    streams: u32,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    client: client::Target,
}

impl Options {
    /// How many threads share the streams, where a thread has more than one.
    fn threads(&self) -> usize {
        self.threads.unwrap_or(1) as usize
    }
}

pub(crate) fn run(options: &Options) -> io::Result<Report> {
    let client = options.client.open()?;
    payload::prepare();
    let mut report = Report::default();
    let streams = opening::open_all(&client, options.streams, &mut report);
    for stream in &streams {
        stream.get_ref().set_nodelay(true)?;
    }
    let before = Threads::now();
    let started = Instant::now();
    match options.rate {
        Some(rate) => open_loop::run(options, rate, &streams, &mut report)?,
        None => closed_loop::run(options, &streams, &mut report)?,
    }
    report.set_elapsed(started.elapsed());
    let now = Threads::now();
    let spent = now.since(&before).all();
    report.set_threads(now);
    let messages = report.bytes() / u64::from(options.size);
    report.insert("streams", options.streams);
    report.insert("messages", messages);
    report.insert(
        "rounds_per_s",
        messages as f64 / started.elapsed().as_secs_f64(),
    );
    let each = spent.as_secs_f64() * 1e6 / messages.max(1) as f64;
    report.insert("cpu_us_per_message", each);
    for stream in &streams {
        report.add_statistics(&stream.get_ref().stats());
    }
    let dead = |stream: &&MaybeTlsStream| !matches!(stream.get_ref().take_error(), Ok(None));
    report.insert("disconnects", streams.iter().filter(dead).count());
    opening::close_all(streams, &mut report);
    client.shut_down();
    Ok(report)
}

/// Reads a number of messages per second, fractions allowed.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match number {
        0.001..=1e6 => Ok(number),
        _ => Err("must be from 0.001 to 1000000".to_owned()),
    }
}
