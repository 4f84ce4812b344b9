//! The command that runs the table.

use std::{env, error::Error, path::PathBuf};

use bench_common::{
    interrupt,
    outputs::Outputs,
    perf, process,
    usage::{self, BadUsage},
    v2ray,
};
use clap::ValueEnum;

use crate::{
    campaign::Campaign,
    netlab::Netlab,
    plot,
    results::Cell,
    rows::{self, Row},
    table,
    transports::Transport,
};

/// Runs the table of links, and prints it as Markdown
///
/// mkcp runs on every link; the other transports on those that differ in loss alone, or on what
/// --only names. With all rows and transports it takes an hour; progress is shown on the standard
/// error. SIGINT ends it, with the results so far.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// The link emulator [default: the one in the PATH]
    #[arg(long, value_name = "PATH", env = "NETLAB")]
    netlab: Option<PathBuf>,

    /// The example perf of mkcp [default: what cargo builds]
    #[arg(long, value_name = "PATH")]
    perf: Option<PathBuf>,

    /// Only these rows
    #[arg(long, value_name = "ROW", value_delimiter = ',', value_parser = row_names())]
    only: Vec<String>,

    /// Only these transports
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    transport: Vec<Transport>,

    /// Runs of each, with the seeds 1, 2 and so on; medians are shown
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,

    /// How long clients send [default: 10, on some rows more]
    #[arg(long, value_name = "S", value_parser = seconds)]
    seconds: Option<f64>,

    /// Runs at the same time; more than one only where there are cores to spare
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,

    #[command(flatten)]
    outputs: Outputs,
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let netlab = Netlab::find(options.netlab.as_deref()).map_err(BadUsage)?;
    let pairs = pairs(&options.only, &options.transport);
    if pairs.is_empty() {
        let text = "none of these transports can do what these rows ask for";
        return Err(BadUsage(text.to_owned()).into());
    }
    let needed = pairs.iter().any(|(_, transport)| transport.needs_v2ray());
    if needed && process::in_path(v2ray::PROGRAM).is_none() {
        let text = "v2ray is missing: install it, or choose others by --transport";
        return Err(BadUsage(text.to_owned()).into());
    }
    let campaign = Campaign {
        netlab,
        perf: perf::locate(options.perf.as_deref()).map_err(BadUsage)?,
        links: env::current_exe()?,
        seeds: options.seeds,
        seconds: options.seconds,
        jobs: options.jobs.into(),
    };
    interrupt::catch()?;
    let (cells, result) = campaign.run(pairs);
    let raw = || cells.iter().flat_map(Cell::to_json).collect();
    let (plot, table) = (|| plot::draw(&cells), || table::markdown(&cells));
    options.outputs.write(raw, plot, table)?;
    result?;
    Ok(interrupt::check()?)
}

/// Which rows run with which transports.
fn pairs(only: &[String], transports: &[Transport]) -> Vec<(Row, Transport)> {
    let all = Transport::value_variants();
    let transports = if transports.is_empty() {
        all
    } else {
        transports
    };
    let mut pairs = Vec::new();
    for row in rows::all() {
        let named = only.iter().any(|name| name == row.name);
        if !only.is_empty() && !named {
            continue;
        }
        let wanted =
            |transport: Transport| transport == Transport::Mkcp || row.loss().is_some() || named;
        for &transport in transports {
            if wanted(transport) && transport.can(row.task) {
                pairs.push((row.clone(), transport));
            }
        }
    }
    pairs
}

fn row_names() -> clap::builder::PossibleValuesParser {
    let rows = rows::all();
    rows.iter().map(|row| row.name).collect::<Vec<_>>().into()
}

fn seconds(text: &str) -> Result<f64, String> {
    usage::seconds(text, 0.5..=3600.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(only: &[&str], transports: &[Transport]) -> usize {
        let only: Vec<_> = only.iter().map(|&name| name.to_owned()).collect();
        pairs(&only, transports).len()
    }

    #[test]
    fn the_others_run_on_the_rows_that_compare() {
        let rows = rows::all().len();
        let transports = Transport::value_variants().len();
        let compared = rows::LOSSES.len();
        assert_eq!(count(&[], &[]), rows + compared * (transports - 1));
        assert_eq!(count(&[], &[Transport::Mkcp]), rows);
        assert_eq!(count(&[], &[Transport::TcpBbr]), compared);
    }

    #[test]
    fn what_is_named_runs_if_it_can() {
        assert_eq!(count(&["far"], &[Transport::TcpBbr, Transport::Mkcp]), 2);
        assert_eq!(count(&["ping-0"], &[Transport::TcpBbr]), 0);
    }
}
