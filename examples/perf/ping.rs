//! Round trips of small messages.

use std::{io, net::SocketAddr, thread, time::Instant};

use mkcp::{Config, Stream};

use crate::{
    PATIENCE, payload,
    report::Report,
    transport::{self, Transport},
};

/// Latency: writes and reads back messages, one after the other on each stream
///
/// Works with a server in mode echo or xor. One round per stream, which opens the session, is
/// not counted.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// UDP address of the server
    #[arg(long, value_name = "ADDR", value_parser = transport::address)]
    connect: SocketAddr,

    /// Messages on each stream
    #[arg(long, value_name = "N", default_value_t = 1000)]
    rounds: u64,

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
    transport: Transport,
}

pub(crate) fn run(options: &Options) -> io::Result<Report> {
    let config = options.transport.config();
    payload::prepare();
    let started = Instant::now();
    let mut report = Report::default();
    thread::scope(|scope| {
        let run = || one_stream(options, &config);
        let streams: Vec<_> = (0..options.streams).map(|_| scope.spawn(run)).collect();
        for stream in streams {
            match stream.join() {
                Ok(part) => report.absorb(part),
                Err(_) => report.add_error(&io::Error::other("a thread panicked")),
            }
        }
    });
    report.set_elapsed(started.elapsed());
    Ok(report)
}

fn one_stream(options: &Options, config: &Config) -> Report {
    let mut report = Report::default();
    if let Err(error) = ping(options, config, &mut report) {
        report.add_error(&error);
    }
    report
}

fn ping(options: &Options, config: &Config, report: &mut Report) -> io::Result<()> {
    let stream = Stream::connect_with(options.connect, config)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut message = vec![0; options.size as usize];
    payload::round_trip(&stream, &mut message)?;
    for _ in 0..options.rounds {
        let sent = Instant::now();
        payload::round_trip(&stream, &mut message)?;
        report.add_latency("", sent.elapsed());
        report.add_bytes(message.len() as u64);
    }
    report.add_statistics(&stream.stats());
    stream.close()
}
