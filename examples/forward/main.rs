//! Forwards connections between TCP or Unix sockets and mKCP, in either direction: for programs
//! that insist on a real socket, and as a drop-in end for V2Ray.
//!
//! One forwarder takes TCP and passes it on over mKCP, another does the reverse:
//!
//! ```sh
//! forward --listen 'mkcp://0.0.0.0:20001?seed=s3cret&header=srtp' --to tcp://127.0.0.1:6379
//! forward --listen tcp://127.0.0.1:6379 --to 'mkcp://server.example:20001?seed=s3cret&header=srtp'
//! ```
//!
//! `relay.rs` says how connections end.

mod address;
mod carrier;
mod dial;
#[path = "../transport/file.rs"]
mod file;
#[path = "../transport/files.rs"]
mod files;
mod forwarder;
mod listen;
mod parameters;
mod plan;
#[path = "../transport/protection.rs"]
mod protection;
mod relay;
mod sessions;
mod side;
mod socket;
mod stats;
#[path = "../transport/usage.rs"]
mod usage;

use std::{
    io,
    process::ExitCode,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use clap::Parser;

use dial::Exit;
use forwarder::Forwarder;
use listen::Entrance;
use plan::{End, Ends};
use stats::{Display, Meter};

/// Forwards connections between TCP or Unix sockets and mKCP.
#[derive(Parser)]
#[command(after_help = AFTER_HELP)]
struct Options {
    #[command(flatten)]
    ends: Ends,

    /// How many connections there may be at a time; more have to wait
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = at_least_one)]
    max_connections: usize,

    /// How long connecting to a TCP target may take
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    connect_timeout: u64,

    /// How long the target may be silent after the client has ended its stream, if plain mKCP is
    /// at either side; what it says later is lost
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    half_close: u64,

    /// How long connections may go on after Ctrl-C or SIGTERM; a second one ends them at once
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(..=86_400))]
    drain: u64,

    /// Show connections, throughput, round-trip time, loss and waste every so many seconds: loss is
    /// the share of the data segments sent that repeat others, waste is how many bytes mKCP sends
    /// and receives for one that it delivers
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    stats: Option<u64>,
}

const AFTER_HELP: &str = "\
Parameters of mkcp://HOST:PORT?NAME=VALUE&NAME=VALUE.. (seed, security and header must be those
of the peer; write % as %25, & as %26):
  seed        secret that both ends know; the empty text is a seed too
  security    none, simple or aes-128-gcm [default: aes-128-gcm with a seed, simple without]
  header      none, srtp, utp, wechat-video, dtls, wireguard or dns[:DOMAIN] [default: none]
  mtu         the longest datagram to send in bytes, all included [default: 1350]
  tti         transmission time interval of the peer in ms [default: 50]
  uplink      sending capacity in MiB/s [default: 5]
  downlink    receiving capacity in MiB/s [default: 20]
  congestion  bbr, fixed or loss-rate [default: bbr]
  tls         1 for TLS inside the connections
  alpn        protocols to offer or accept, with commas [default: h2,http/1.1]
  sni         the name that the server's certificate must have [default: HOST]  (with --to)
  ca          PEM file of whom to trust [default: whom the system trusts]       (with --to)
  insecure    1 to take any certificate                                         (with --to)
  cert, key   PEM files of the certificate chain and the private key            (with --listen)";

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..) => Ok(number),
        _ => Err("must be a number from 1 on".to_owned()),
    }
}

/// What the main thread waits for.
pub(crate) enum Event {
    /// Ctrl-C or SIGTERM.
    Signal,
    /// The last connection has ended, and no more come.
    Empty,
    /// Nothing comes in any more.
    Broken(io::Error),
}

fn main() -> ExitCode {
    let options: Options = usage::parse();
    let display = Display::new(options.stats.is_some());
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info"))
        .target(env_logger::Target::Pipe(Box::new(display.clone())))
        .init();
    files::allow_many();
    let result = run(&options, &display);
    display.finish();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Forwards until Ctrl-C or SIGTERM, and then lets connections end.
fn run(options: &Options, display: &Display) -> io::Result<()> {
    let (events, happened) = mpsc::channel();
    let signal = events.clone();
    ctrlc::set_handler(move || drop(signal.send(Event::Signal))).map_err(io::Error::other)?;
    let forwarder = open(options, events.clone())?;
    display.print(&format!("listening on {}", forwarder.local_name()?));
    let server = forwarder.clone();
    thread::spawn(move || {
        if let Err(error) = server.serve() {
            drop(events.send(Event::Broken(error)));
        }
    });

    let period = options.stats.map(Duration::from_secs);
    let mut watch = Watch::new(&forwarder, display, period, &happened);
    let result = watch.wait(None);
    let open = forwarder.stop();
    if open > 0 && result.is_ok() {
        display.print(&format!(
            "connections left: {open}, which have {} s to end",
            options.drain
        ));
        let end = Instant::now() + Duration::from_secs(options.drain);
        drop(watch.wait(Some(end)));
    }
    let left = forwarder.shut_down();
    if left > 0 {
        display.print(&format!("connections cut off: {left}"));
    }
    result
}

/// Both ends, ready. Ends the process with a line and exit code 2 if they are not described well.
fn open(options: &Options, events: Sender<Event>) -> io::Result<Arc<Forwarder>> {
    let (near, far) = options
        .ends
        .plan()
        .unwrap_or_else(|error| usage::bad_usage(error));
    let named =
        |end: &End, error: io::Error| io::Error::new(error.kind(), format!("{end}: {error}"));
    let timeout = Duration::from_secs(options.connect_timeout);
    let exit = Exit::open(&far, timeout).map_err(|error| named(&far, error))?;
    let entrance = Entrance::open(&near).map_err(|error| named(&near, error))?;
    let half_close = Duration::from_secs(options.half_close);
    let most = options.max_connections;
    Ok(Forwarder::new(entrance, exit, most, half_close, events))
}

/// Waits for events, and shows what goes on meanwhile.
struct Watch<'a> {
    forwarder: &'a Forwarder,
    display: &'a Display,
    happened: &'a Receiver<Event>,
    period: Option<Duration>,
    next_line: Option<Instant>,
    meter: Meter,
}

impl<'a> Watch<'a> {
    fn new(
        forwarder: &'a Forwarder,
        display: &'a Display,
        period: Option<Duration>,
        happened: &'a Receiver<Event>,
    ) -> Self {
        Self {
            forwarder,
            display,
            happened,
            period,
            next_line: period.map(|period| Instant::now() + period),
            meter: Meter::new(),
        }
    }

    /// Waits for a signal, for the last connection to end, or for the end of the time.
    ///
    /// # Errors
    ///
    /// What has broken the forwarder.
    fn wait(&mut self, end: Option<Instant>) -> io::Result<()> {
        loop {
            let wake = [end, self.next_line].into_iter().flatten().min();
            let left = wake.map_or(Duration::MAX, |wake| {
                wake.saturating_duration_since(Instant::now())
            });
            match self.happened.recv_timeout(left) {
                Ok(Event::Signal | Event::Empty) => return Ok(()),
                Ok(Event::Broken(error)) => return Err(error),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = Instant::now();
            if end.is_some_and(|end| now >= end) {
                return Ok(());
            }
            if self.next_line.is_some_and(|at| now >= at) {
                self.next_line = self.period.map(|period| now + period);
                let line = self
                    .meter
                    .line(self.forwarder.snapshot(), &self.forwarder.endpoint_stats());
                self.display.update(line);
            }
        }
    }
}
