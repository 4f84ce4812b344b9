//! Sends everything back, to V2Ray or to any other mKCP client.
//!
//! `cargo run --release --example echo_server` starts it on 127.0.0.1:20001 with the settings
//! that V2Ray has by default; `-- --help` shows what can be changed.

mod transport;

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    process::ExitCode,
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

use clap::Parser;
use mkcp::{Endpoint, EndpointStats, Listener, Stream};
use transport::Transport;

/// A thread that echoes needs little, and address space is not free with 10,000 of them.
const STACK: usize = 128 * 1024;
const LEAST_BUFFER: usize = 4 * 1024;
const MOST_BUFFER: usize = 256 * 1024;
/// For how long sessions may take to end when the server stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// Sends everything back to mKCP clients.
#[derive(Parser)]
struct Options {
    /// UDP address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:20001", value_parser = transport::address)]
    listen: SocketAddr,

    /// Threads that serve sessions [default: one less than there are cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    workers: Option<u8>,

    /// Print sessions, throughput and drops every so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    stats: Option<u64>,

    #[command(flatten)]
    transport: Transport,
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
    let config = options.transport.config();
    let mut builder = Endpoint::builder().config(config);
    if let Some(workers) = options.workers {
        builder = builder.workers(workers.into());
    }
    let endpoint = builder.bind(options.listen)?;
    let listener = endpoint.listen()?;
    println!("listening on {}", listener.local_addr()?);

    let (stop, stopped) = mpsc::channel();
    let signal = stop.clone();
    ctrlc::set_handler(move || drop(signal.send(Ok(())))).map_err(io::Error::other)?;
    let acceptor = listener.try_clone()?;
    thread::spawn(move || serve(&acceptor, &stop));

    let period = options.stats.map_or(Duration::MAX, Duration::from_secs);
    let mut before = endpoint.stats();
    let result = loop {
        match stopped.recv_timeout(period) {
            Ok(result) => break result,
            Err(RecvTimeoutError::Timeout) => {
                let now = endpoint.stats();
                println!("{}", describe(&before, &now, period));
                before = now;
            }
            Err(RecvTimeoutError::Disconnected) => break Ok(()),
        }
    };
    listener.close();
    if let Err(error) = endpoint.shutdown(FAREWELL) {
        log::warn!("not all sessions have ended in order: {error}");
    }
    result
}

/// Gives each session a thread of its own, until the listener is closed.
fn serve(listener: &Listener, stop: &Sender<io::Result<()>>) {
    for accepted in listener.incoming() {
        let session = accepted.and_then(|stream| {
            thread::Builder::new()
                .name("echo".to_owned())
                .stack_size(STACK)
                .spawn(move || report(&stream, echo(&stream)))
        });
        if let Err(error) = session {
            drop(stop.send(Err(error)));
            return;
        }
    }
}

/// Sends back what comes until the peer closes. The buffer grows only for those who fill it.
fn echo(mut stream: &Stream) -> io::Result<u64> {
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

fn report(stream: &Stream, result: io::Result<u64>) {
    let Ok(peer) = stream.peer_addr() else { return };
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
