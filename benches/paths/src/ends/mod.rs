//! The ends of the other transports, as hidden commands of this program.
//!
//! What they do and print is what the example `perf` of mkcp does and prints, but for one thing:
//! a sink tells its client every now and then how many bytes it has, as 8 bytes in big-endian
//! order. What a client counts is thereby what has arrived, not what a buffer has taken.

mod client;
mod kcp;
mod meter;
mod raw;
mod report;
mod runtime;
mod session;
mod tcp;
mod udp;
mod v2ray;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, ValueEnum};

pub(crate) use v2ray::{Become, become_v2ray};

/// What senders write at once.
const PIECE: usize = 64 * 1024;
/// What receivers read at once.
const READ: usize = 256 * 1024;
/// How long an answer may take, and V2Ray to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// A transport that has its ends here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    Raw,
    Udp,
    Tcp,
    Quinn,
    TokioKcp,
    KcpIo,
    V2ray,
}

/// What a server does with what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    Sink,
    Echo,
}

/// Serves until SIGTERM
#[derive(Args, Clone, Debug)]
pub(crate) struct Serve {
    peer: Peer,
    #[arg(long)]
    mode: Mode,
    /// Where QUIC leaves its certificate
    #[arg(long)]
    certificate: Option<PathBuf>,
    /// Datagrams under way, each direction, for KCP
    #[arg(long)]
    window: u16,
}

/// Whom a client talks to.
#[derive(Args, Clone, Debug)]
struct Target {
    peer: Peer,
    #[arg(long)]
    connect: SocketAddr,
    #[arg(long)]
    certificate: Option<PathBuf>,
    /// Datagrams under way, each direction, for KCP
    #[arg(long)]
    window: u16,
    #[arg(long)]
    seconds: f64,
}

impl Target {
    fn time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

/// Throughput, to a sink
#[derive(Args, Clone, Debug)]
pub(crate) struct Bulk {
    #[command(flatten)]
    target: Target,
    #[arg(long, default_value_t = 1)]
    streams: usize,
    /// Seconds at the beginning that do not count in goodput_mb_s
    #[arg(long, default_value_t = 0.0)]
    skip: f64,
}

/// Round trips of 64 bytes, until the rounds or the seconds are over
#[derive(Args, Clone, Debug)]
pub(crate) struct Ping {
    #[command(flatten)]
    target: Target,
    #[arg(long, default_value_t = 1)]
    streams: usize,
    #[arg(long)]
    rounds: u64,
}

/// Short connections, until the rounds or the seconds are over
#[derive(Args, Clone, Debug)]
pub(crate) struct Connect {
    #[command(flatten)]
    target: Target,
    #[arg(long, default_value_t = 1)]
    parallel: usize,
    #[arg(long)]
    rounds: u64,
}

pub(crate) fn serve(options: &Serve) -> io::Result<()> {
    match options.peer {
        Peer::Raw => raw::serve(),
        Peer::Udp => udp::serve(),
        Peer::Tcp => tcp::serve(options.mode),
        Peer::V2ray => v2ray::serve(options.mode),
        _ => runtime::block_on(session::serve(options)),
    }
}

pub(crate) fn bulk(options: &Bulk) -> io::Result<()> {
    let target = &options.target;
    match target.peer {
        Peer::Raw => raw::send(options),
        Peer::Udp => unsupported(),
        Peer::Tcp => report::print(tcp::bulk(options)?),
        Peer::V2ray => v2ray::through(target, |target| {
            let options = options.clone();
            tcp::bulk(&Bulk { target, ..options })
        }),
        _ => runtime::block_on(client::bulk(options)),
    }
}

pub(crate) fn ping(options: &Ping) -> io::Result<()> {
    let target = &options.target;
    match target.peer {
        Peer::Raw => unsupported(),
        Peer::Udp => udp::ping(options),
        Peer::Tcp => report::print(tcp::ping(options)),
        Peer::V2ray => v2ray::through(target, |target| {
            let options = options.clone();
            Ok(tcp::ping(&Ping { target, ..options }))
        }),
        _ => runtime::block_on(client::ping(options)),
    }
}

pub(crate) fn connect(options: &Connect) -> io::Result<()> {
    let target = &options.target;
    match target.peer {
        Peer::Raw | Peer::Udp => unsupported(),
        Peer::Tcp => report::print(tcp::connect(options)),
        Peer::V2ray => v2ray::through(target, |target| {
            let options = options.clone();
            Ok(tcp::connect(&Connect { target, ..options }))
        }),
        _ => runtime::block_on(client::connect(options)),
    }
}

fn unsupported() -> io::Result<()> {
    Err(io::Error::other("this transport cannot do that"))
}

/// Any port of the loopback interface.
fn local() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}
