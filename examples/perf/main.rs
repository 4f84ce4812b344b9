//! Measures throughput, latency, connection rate and the cost of idle connections.
//!
//! `perf serve` is one end, the other commands are the other end; either may also face V2Ray.
//! There is no protocol between the two beyond the byte stream: a client finds out from what
//! comes back whether the server echoes.

mod bulk;
mod client;
mod connect;
mod endpoint;
#[path = "../transport/files.rs"]
mod files;
mod flood;
mod hold;
mod hostile;
mod idle;
mod opening;
mod payload;
mod ping;
mod process;
mod raw;
mod report;
mod serve;
mod threads;
mod tls;
#[path = "../transport/mod.rs"]
mod transport;

use std::{io, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};

/// How long a client waits for a server that says nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures mKCP connections.
#[derive(Parser)]
#[command(arg_required_else_help = false)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::Options),
    Bulk(bulk::Options),
    Ping(ping::Options),
    Connect(connect::Options),
    Idle(idle::Options),
    Flood(flood::Options),
    Hostile(hostile::Options),
}

fn main() -> ExitCode {
    let options: Options = transport::parse();
    env_logger::init_from_env(env_logger::Env::default().default_filter_or("warn"));
    files::allow_many(); // every outgoing stream has a socket of its own
    match run(&options.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> io::Result<ExitCode> {
    let (result, json) = match command {
        Command::Serve(options) => (serve::run(options), options.json),
        Command::Bulk(options) => (bulk::run(options), options.json),
        Command::Ping(options) => (ping::run(options), options.json),
        Command::Connect(options) => (connect::run(options), options.json),
        Command::Idle(options) => (idle::run(options), options.json),
        Command::Flood(options) => (flood::run(options), options.json),
        Command::Hostile(options) => (hostile::run(options), options.json),
    };
    let report = result?;
    report.print(json)?;
    // A server is not to blame for what its clients do.
    let failed = report.errors() > 0 && !matches!(command, Command::Serve(_));
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
