//! The end that the other commands connect to.

mod hold;
mod sessions;
mod shared;

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use mkcp::{
    Endpoint, EndpointStats, Listener, Stream,
    tls::{self as mkcp_tls, rustls::ServerConfig},
    v2ray::MaybeTlsStream,
};
use serde_json::{Map, Value, json};

use crate::{
    endpoint::Machinery,
    payload,
    report::Report,
    threads::Threads,
    tls,
    transport::{self, Transport},
};

/// Clients may open many sessions at once, and hold many.
const BACKLOG: usize = 16_384;
const MOST_SESSIONS: usize = 1_000_000;
/// For how long sessions may take to end when the server stops: less than those who stop it wait
/// before they kill it.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves until SIGINT or SIGTERM, one thread to a session unless --threads says otherwise
///
/// With --json it prints {"ready": "ADDR"} at once and one more object at the end, in which
/// per_session lists the first 100 sessions in the order of their ends: bytes, the seconds from the
/// start of the server to the first and to the last of them, and the connection's statistics.
/// disconnects counts sessions that ended with an error.
///
/// In mode hold one thread has all sessions. What it took to hold them is in hold: the time from
/// the moment when they had all been opened, for a second, until the first one ended or sent
/// again or the server ended, looked at every 2 seconds, which the time of the application shows; processor time
/// of all and by thread, and what woke the connections, in that time; resident memory at its end,
/// and how much more that is for each session than with none.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// UDP address to listen on
    #[arg(long, value_name = "ADDR", value_parser = transport::address)]
    listen: SocketAddr,

    /// What to do with what comes
    #[arg(long, value_name = "MODE", default_value = "echo")]
    mode: Mode,

    /// Serve all sessions by so many threads, which a selector tells what can be read; not in the
    /// modes source and hold [default: a thread for each session]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,

    /// Print JSON objects
    #[arg(long)]
    pub(crate) json: bool,

    /// TLS inside the streams: makes a certificate for "localhost" and writes it to this PEM file,
    /// which is to be given to clients
    #[arg(long, value_name = "FILE")]
    tls: Option<PathBuf>,

    /// Keep the library's limits on sessions, which hold against floods; otherwise a server of
    /// perf has hardly any
    #[arg(long)]
    limits: bool,

    /// Let sessions follow their clients to other addresses
    #[arg(long)]
    migration: bool,

    /// Bytes that all sessions may hold together [default: no limit]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..))]
    memory_limit: Option<u32>,

    #[command(flatten)]
    machinery: Machinery,

    #[command(flatten)]
    transport: Transport,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Send it back
    Echo,
    /// Discard it
    Sink,
    /// Ignore it, and send without end
    Source,
    /// Send it back, each byte xor 0x63
    Xor,
    /// Send the first bytes back, and then hold the session, without a thread for it
    Hold,
}

/// Puts TLS into streams, if there is to be any.
#[derive(Clone)]
struct Wrap(Option<Arc<ServerConfig>>);

impl Wrap {
    fn wrap(&self, stream: Stream) -> io::Result<MaybeTlsStream> {
        match &self.0 {
            Some(config) => mkcp_tls::accept(stream, config.clone()).map(MaybeTlsStream::from),
            None => Ok(stream.into()),
        }
    }
}

pub(crate) fn run(options: &Options) -> io::Result<Report> {
    if options.threads.is_some() && matches!(options.mode, Mode::Source | Mode::Hold) {
        transport::bad_usage("--threads does not go with the modes source and hold");
    }
    let wrap = Wrap(options.tls.as_deref().map(tls::server).transpose()?);
    let endpoint = bind(options)?;
    let listener = endpoint.listen()?;
    let stop = listener.try_clone()?;
    ctrlc::set_handler(move || stop.close()).map_err(io::Error::other)?;
    payload::prepare();
    let address = listener.local_addr()?.to_string();
    transport::print(match options.json {
        true => format!("{}\n", json!({ "ready": address })),
        false => format!("listening on {address}\n"),
    })?;
    match options.mode {
        Mode::Hold => hold::run(listener, endpoint, &wrap),
        _ => serve_by_threads(listener, endpoint, &wrap, options),
    }
}

fn serve_by_threads(
    listener: Listener,
    endpoint: Endpoint,
    wrap: &Wrap,
    options: &Options,
) -> io::Result<Report> {
    let started = Instant::now();
    let (outcomes, ended) = mpsc::channel();
    let collector = thread::spawn(move || sessions::collect(ended, started));
    let mode = options.mode;
    let accepted = match options.threads {
        Some(threads) => shared::accept_all(&listener, wrap, mode, threads as usize, &outcomes),
        None => sessions::accept_all(&listener, wrap, mode, &outcomes),
    };
    let elapsed = started.elapsed();
    let last = LastLook::at(&endpoint);
    drop((listener, outcomes));
    shut_down(endpoint);

    let report = collector.join();
    let mut report = report.map_err(|_| io::Error::other("the collector panicked"))?;
    report.set_elapsed(elapsed);
    last.tell(&mut report);
    accepted.map(|()| report)
}

/// What is known only while the endpoint lives.
struct LastLook {
    stats: EndpointStats,
    threads: Threads,
}

impl LastLook {
    fn at(endpoint: &Endpoint) -> Self {
        Self {
            stats: endpoint.stats(),
            threads: Threads::now(),
        }
    }

    fn tell(self, report: &mut Report) {
        report.insert("endpoint", endpoint_object(&self.stats));
        report.insert("disconnects", self.stats.sessions_failed);
        report.set_threads(self.threads);
    }
}

fn shut_down(endpoint: Endpoint) {
    if let Err(error) = endpoint.shutdown(FAREWELL) {
        // Peers written in Go do not confirm an end.
        log::debug!("{error}");
    }
}

fn bind(options: &Options) -> io::Result<Endpoint> {
    let mut builder = Endpoint::builder()
        .config(options.transport.config())
        .migration(options.migration);
    if !options.limits {
        builder = builder
            .accept_backlog(BACKLOG)
            .max_sessions(MOST_SESSIONS)
            .max_unvalidated(MOST_SESSIONS);
    }
    if let Some(mib) = options.memory_limit {
        builder = builder.memory_limit(mib as usize * 1024 * 1024);
    }
    let bound = options.machinery.apply(builder).bind(options.listen);
    bound.map_err(transport::at(options.listen))
}

fn endpoint_object(stats: &EndpointStats) -> Value {
    let drops: Map<_, _> = stats
        .drops
        .iter()
        .map(|(reason, count)| (reason.as_str().to_owned(), count.into()))
        .collect();
    json!({
        "sessions": stats.sessions,
        "sessions_unvalidated": stats.sessions_unvalidated,
        "sessions_displaced": stats.sessions_displaced,
        "sessions_migrated": stats.sessions_migrated,
        "addresses_known": stats.addresses_known,
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
