//! The sending end of TCP.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use super::PIECE;

const RETRY: Duration = Duration::from_millis(20);

/// Sends for some time as much as it can
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    #[arg(long, value_name = "ADDR")]
    connect: SocketAddr,

    #[arg(long, value_name = "S", default_value_t = 10.0)]
    seconds: f64,

    /// How long somebody may take to listen there
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    opening: f64,

    /// How long to wait in the end until the sink says that all has come
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    settle: f64,
}

pub(crate) fn run(options: &Options) -> io::Result<()> {
    let stream = open(options.connect, Duration::from_secs_f64(options.opening))?;
    let deadline = Instant::now() + Duration::from_secs_f64(options.seconds);
    let sent = send(&stream, deadline)?;
    let settled = deadline + Duration::from_secs_f64(options.settle);
    if !settle(&stream, sent, settled)? {
        eprintln!("the sink does not say that it has all");
    }
    Ok(())
}

fn open(address: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let started = Instant::now();
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => return Ok(stream),
            Err(_) if started.elapsed() < patience => thread::sleep(RETRY),
            Err(error) => return Err(error),
        }
    }
}

/// Sends until the time has come; gives the number of bytes.
fn send(mut stream: &TcpStream, deadline: Instant) -> io::Result<u64> {
    let piece = vec![0x5a; PIECE];
    let mut sent = 0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(sent);
        }
        stream.set_write_timeout(Some(left))?;
        match stream.write(&piece) {
            Ok(count) => sent += count as u64,
            Err(_) if Instant::now() >= deadline => return Ok(sent),
            Err(error) => return Err(error),
        }
    }
}

/// Waits until the sink has as many bytes. False if it does not say so in time.
fn settle(mut stream: &TcpStream, sent: u64, deadline: Instant) -> io::Result<bool> {
    let mut number = [0; 8];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read_exact(&mut number) {
            Ok(()) if u64::from_be_bytes(number) == sent => return Ok(true),
            Ok(()) => {}
            Err(_) if Instant::now() >= deadline => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}
