//! Hours of sessions that come and go over a bad path, with every byte checked.
//!
//! Clients and servers in this process, through a relay that loses, delays, repeats and damages
//! datagrams. In the end nothing may be wrong: no byte, no session that hangs, no memory that
//! grows, nothing left behind. Ten minutes of it:
//!
//! ```sh
//! cargo run --release --example soak
//! ```
//!
//! `order.rs` says what sessions do, `lane.rs` by which ways, and `link.rs` what the path does.

mod alarms;
mod arena;
mod client;
mod content;
mod crowd;
mod duplex;
#[path = "../transport/files.rs"]
mod files;
mod forgery;
mod lane;
mod ledger;
mod line;
mod link;
mod order;
#[path = "../transport/output.rs"]
mod output;
#[path = "../perf/process.rs"]
mod process;
mod relay;
mod report;
mod run;
mod samples;
mod server;
mod slope;
mod stop;
#[path = "../perf/tls.rs"]
mod tls;
#[path = "../transport/usage.rs"]
mod usage;
mod watchdog;

use std::{io, process::ExitCode, time::Duration};

use clap::Parser;

use link::Faults;

/// Of threads, of which there are many.
const STACK: usize = 256 * 1024;

/// Runs sessions over a bad path, checks every byte and all that is left behind.
///
/// Ctrl-C ends it early, with the report of what was until then. The exit code is 1 if anything
/// was wrong.
#[derive(Parser)]
struct Options {
    /// For how long sessions are opened
    #[arg(long, value_name = "MINUTES", default_value = "10", value_parser = minutes)]
    minutes: Duration,

    /// Sessions at a time
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    sessions: u32,

    /// Between two sessions of a client, at most; half of it on average. The longer, the less load,
    /// and the fewer sessions at a time
    #[arg(long, value_name = "SECONDS", default_value = "0.5", value_parser = seconds)]
    rest: Duration,

    #[command(flatten)]
    faults: Faults,

    /// What sessions and the path do is drawn from this number [default: any]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// A session that does not get on for so long hangs. While the whole process is stopped, no
    /// time passes for that
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..=3600))]
    patience: u64,

    /// How fast what is held on the heap may grow, after a quarter of the time, beyond what the
    /// scatter of its samples explains; not judged in runs of less than 4 minutes. Resident memory
    /// grows longer, by holes in the heap, and is only told
    #[arg(long, value_name = "KIB/MINUTE", default_value_t = 128.0)]
    max_slope: f64,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn minutes(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(minutes @ 0.01..=100_000.0) => Ok(Duration::from_secs_f64(60.0 * minutes)),
        Ok(_) => Err("must be from 0.01 to 100000".to_owned()),
        Err(_) => Err("not a number".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 0.0..=3600.0) => Ok(Duration::from_secs_f64(seconds)),
        Ok(_) => Err("must be from 0 to 3600".to_owned()),
        Err(_) => Err("not a number".to_owned()),
    }
}

fn main() -> ExitCode {
    let options: Options = usage::parse();
    arena::share();
    files::allow_many();
    match soak(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Tells whether all was well.
fn soak(options: &Options) -> io::Result<bool> {
    alarms::install()?;
    let report = run::run(options)?;
    output::print(match options.json {
        true => format!("{}\n", report.to_json()),
        false => report.to_text(),
    })?;
    Ok(report.is_well())
}
