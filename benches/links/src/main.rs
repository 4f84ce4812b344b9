//! Measures mkcp over emulated links, beside other transports.
//!
//! `cargo run --release -p links -- table` runs every link of the table (`rows.rs`) and prints two
//! tables in Markdown: mkcp on every link with what is expected of it, and all transports on one
//! link at rising loss. `--svg FILE` draws the second.
//!
//! The links come from netlab, a program that runs a server and a client in network namespaces of
//! their own and carries packets between them with delay, loss and a bottleneck; it needs root.
//! The ends of mkcp are its example `perf`; those of TCP and of QUIC (quinn) are hidden commands of
//! this program; V2Ray is the real one, if it is installed.
//!
//! Each run has a seed, which decides what the link does to the n-th packet; figures are medians
//! over the seeds. Goodput is what was delivered in the time that the client sent: bytes that were
//! acknowledged (mkcp), or that the sink has received (others). The wire ratio is all that the
//! client's host put on the link, IP headers included, for each byte that arrived in the end.

mod campaign;
mod ends;
mod figures;
mod goal;
mod link;
mod netlab;
mod plot;
mod results;
mod rows;
mod table;
mod tabulate;
mod transports;

use std::{error::Error, io, process::ExitCode};

use bench_common::usage;
use clap::{Parser, Subcommand};

use ends::{quic_send, quic_sink, tcp_send, tcp_sink};

/// Measures mkcp over emulated links, beside other transports.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Table(tabulate::Options),
    #[command(hide = true)]
    TcpSink(tcp_sink::Options),
    #[command(hide = true)]
    TcpSend(tcp_send::Options),
    #[command(hide = true)]
    QuicSink(quic_sink::Options),
    #[command(hide = true)]
    QuicSend(quic_send::Options),
}

fn main() -> ExitCode {
    let result = match Options::parse().command {
        Command::Table(options) => tabulate::run(&options),
        Command::TcpSink(options) => tcp_sink::run(&options).map_err(Into::into),
        Command::TcpSend(options) => tcp_send::run(&options).map_err(Into::into),
        Command::QuicSink(options) => block_on(quic_sink::run(options)),
        Command::QuicSend(options) => block_on(quic_send::run(options)),
    };
    usage::exit(result)
}

fn block_on(end: impl Future<Output = io::Result<()>>) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(end)?)
}
