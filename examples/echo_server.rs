//! Sends everything back, to V2Ray or to any other mKCP client.
//!
//! `cargo run --release --example echo_server` starts it on 127.0.0.1:20001 with the settings
//! that V2Ray has by default; `-- --help` shows what can be changed. With `-- --config FILE` it is
//! the inbound of a configuration file, TLS included.

#[path = "transport/file.rs"]
mod file;
mod transport;

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, ToSocketAddrs},
    process::ExitCode,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

use clap::Parser;
use file::ConfigFile;
use mkcp::{
    Endpoint, EndpointStats,
    v2ray::{MaybeTlsListener, MaybeTlsStream, Reading, Side, StreamSettings},
};
use transport::Transport;

/// A thread that echoes needs little, and address space is not free with 10,000 of them.
const STACK: usize = 128 * 1024;
const LEAST_BUFFER: usize = 4 * 1024;
const MOST_BUFFER: usize = 256 * 1024;
/// For how long sessions may take to end when the server stops.
const FAREWELL: Duration = Duration::from_secs(2);

const DEFAULT_ADDRESS: &str = "127.0.0.1:20001";
/// Where an inbound listens that does not say it.
const EVERYWHERE: &str = "0.0.0.0";

/// Sends everything back to mKCP clients.
#[derive(Parser)]
#[command(mut_arg("config", |config| config.conflicts_with("Transport")))]
struct Options {
    /// UDP address to listen on; unless given, with --config that of the inbound [default:
    /// 127.0.0.1:20001]
    #[arg(long, value_name = "ADDR", value_parser = transport::address)]
    listen: Option<SocketAddr>,

    /// Threads that serve sessions [default: one less than there are cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    workers: Option<u8>,

    /// Go on with a client that comes from another address, as after a NAT forgot its mapping; use it
    /// with a seed, or with TLS inside
    #[arg(long)]
    migration: bool,

    /// Print sessions, throughput and drops every so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    stats: Option<u64>,

    #[command(flatten)]
    file: ConfigFile,

    #[command(flatten)]
    transport: Transport,
}

impl Options {
    /// Where to listen, and how.
    fn settings(&self) -> Result<(SocketAddr, StreamSettings), String> {
        if !self.file.is_given() {
            let default = || transport::address(DEFAULT_ADDRESS);
            let address = self.listen.map_or_else(default, Ok)?;
            return Ok((address, StreamSettings::new(self.transport.config())));
        }
        let reading = self.file.read(Side::Inbound)?;
        let address = self.listen.map_or_else(|| address_in(&reading), Ok)?;
        let settings = reading.into_settings();
        if let Some(tls) = settings.tls() {
            let checked = tls.server_config();
            checked.map_err(|error| format!("--config: {error}"))?;
        }
        Ok((address, settings))
    }
}

fn address_in(reading: &Reading) -> Result<SocketAddr, String> {
    let host = reading.address().unwrap_or(EVERYWHERE);
    let port = reading.port();
    let port = port.ok_or("the file says no port, so there must be --listen")?;
    let address = (host, port)
        .to_socket_addrs()
        .ok()
        .and_then(|mut all| all.next());
    address.ok_or_else(|| format!("the file says listen: {host:?}, which has no address"))
}

fn main() -> ExitCode {
    let options: Options = transport::parse();
    env_logger::init_from_env(env_logger::Env::default().default_filter_or("info"));
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until Ctrl-C or SIGTERM, then closes all sessions.
fn run(options: &Options) -> io::Result<()> {
    let (address, settings) = options
        .settings()
        .unwrap_or_else(|error| transport::bad_usage(error));
    let mut builder = Endpoint::builder()
        .config(settings.config().clone())
        .migration(options.migration);
    if let Some(workers) = options.workers {
        builder = builder.workers(workers.into());
    }
    let endpoint = builder.bind(address).map_err(transport::at(address))?;
    let listener = settings.listen_on(&endpoint)?;
    print_line(&format!("listening on {}", endpoint.local_addr()?));

    let (stop, stopped) = mpsc::channel();
    let signal = stop.clone();
    ctrlc::set_handler(move || drop(signal.send(Ok(())))).map_err(io::Error::other)?;
    let acceptor = listener.try_clone()?;
    thread::spawn(move || serve(&acceptor, &stop));

    let period = options.stats.map_or(Duration::MAX, Duration::from_secs);
    let result = wait(&endpoint, period, &stopped);
    listener.close();
    if let Err(error) = endpoint.shutdown(FAREWELL) {
        // Peers written in Go do not confirm an end.
        log::debug!("{error}");
    }
    result
}

/// Waits for the end, and prints a line after each period.
fn wait(
    endpoint: &Endpoint,
    period: Duration,
    stopped: &Receiver<io::Result<()>>,
) -> io::Result<()> {
    let mut before = endpoint.stats();
    loop {
        match stopped.recv_timeout(period) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        let now = endpoint.stats();
        print_line(&describe(&before, &now, period));
        before = now;
    }
}

/// Whether or not anybody reads it.
fn print_line(line: &str) {
    let _ = transport::print(format_args!("{line}\n"));
}

/// Gives each session a thread of its own, until the listener is closed.
fn serve(listener: &MaybeTlsListener, stop: &Sender<io::Result<()>>) {
    for accepted in listener.incoming() {
        match accepted {
            Ok(stream) => start(stream),
            Err(error) => {
                drop(stop.send(Err(error)));
                return;
            }
        }
    }
}

/// A session that cannot be served is reset, and the others go on.
fn start(stream: MaybeTlsStream) {
    let stream = Arc::new(stream);
    let session = Arc::clone(&stream);
    let spawned = thread::Builder::new()
        .name("echo".to_owned())
        .stack_size(STACK)
        .spawn(move || report(&session, echo(&session)));
    if let Err(error) = spawned {
        log::warn!("a session could not be served: {error}");
        stream.get_ref().reset();
    }
}

/// Sends back what comes until the peer closes. The buffer grows only for those who fill it.
fn echo(mut stream: &MaybeTlsStream) -> io::Result<u64> {
    let mut buffer = vec![0; LEAST_BUFFER];
    let mut total = 0;
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(total);
        }
        stream.write_all(&buffer[..count])?;
        total += count as u64;
        if count == buffer.len() && count < MOST_BUFFER {
            buffer.resize(2 * count, 0);
        }
    }
}

fn report(stream: &MaybeTlsStream, result: io::Result<u64>) {
    let Ok(peer) = stream.get_ref().peer_addr() else {
        return;
    };
    match result {
        Ok(total) => log::info!("{peer} closed after {total} bytes"),
        Err(error) => log::info!("{peer} failed: {error}"),
    }
}

/// One line about the time between two looks.
fn describe(before: &EndpointStats, now: &EndpointStats, period: Duration) -> String {
    let rate = |before: u64, now: u64| (now - before) as f64 / 1e6 / period.as_secs_f64();
    let mut line = format!(
        "sessions {}, in {:.2} MB/s, out {:.2} MB/s, dropped {}",
        now.sessions,
        rate(before.bytes_received, now.bytes_received),
        rate(before.bytes_sent, now.bytes_sent),
        now.drops.total(),
    );
    for (reason, count) in now.drops.iter().filter(|&(_, count)| count > 0) {
        line += &format!(" {reason}={count}");
    }
    line
}
