//! Measures what a whole path costs: mkcp beside other transports over the loopback interface.
//!
//! `cargo run --release -p paths -- table` runs every task (`tasks.rs`) with every transport
//! (`transports.rs`), all of them once, then all again, and prints medians, how mkcp compares in
//! each run, and whether the goals (`goals.rs`) are reached. `--svg FILE` draws the medians.
//!
//! Server and client are always processes of their own. Those of mkcp are its example `perf`;
//! those of the others are hidden commands of this program, which print the same figures. V2Ray,
//! left out where it is not installed, runs beside an end of TCP.

mod campaign;
mod ends;
mod goals;
mod measures;
mod plot;
mod results;
mod table;
mod tabulate;
mod tasks;
mod transports;

use std::process::ExitCode;

use bench_common::usage;
use clap::{Parser, Subcommand};

/// Measures mkcp and other transports over the loopback interface.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Table(tabulate::Options),
    #[command(hide = true)]
    Serve(ends::Serve),
    #[command(hide = true)]
    Bulk(ends::Bulk),
    #[command(hide = true)]
    Ping(ends::Ping),
    #[command(hide = true)]
    Connect(ends::Connect),
    #[command(hide = true)]
    V2ray(ends::Become),
}

fn main() -> ExitCode {
    let result = match Options::parse().command {
        Command::Table(options) => tabulate::run(&options),
        Command::Serve(options) => ends::serve(&options).map_err(Into::into),
        Command::Bulk(options) => ends::bulk(&options).map_err(Into::into),
        Command::Ping(options) => ends::ping(&options).map_err(Into::into),
        Command::Connect(options) => ends::connect(&options).map_err(Into::into),
        Command::V2ray(options) => Err(ends::become_v2ray(&options).into()),
    };
    usage::exit(result)
}
