//! The command that runs the table.

use std::{env, error::Error, fs, path::PathBuf};

use bench_common::{
    interrupt,
    outputs::Outputs,
    usage::{self, BadUsage},
};
use clap::ValueEnum;

use crate::{
    campaign::Campaign, plot, results::Results, table, tasks::Task, transports::Programs,
    transports::Transport,
};

/// Runs the comparison, and prints it as Markdown
///
/// For each metric all transports run once, then all again. Progress is shown on the standard
/// error. SIGINT ends it, with the results so far.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// The example perf of mkcp [default: what cargo builds]
    #[arg(long, value_name = "PATH")]
    perf: Option<PathBuf>,

    /// Only these metrics
    #[arg(long, value_name = "METRIC", value_delimiter = ',')]
    only: Vec<Task>,

    /// Only these transports
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    transport: Vec<Transport>,

    /// Runs of each; medians are shown
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    runs: u64,

    /// How long each run takes, about
    #[arg(long, value_name = "S", default_value_t = 3.0, value_parser = seconds)]
    seconds: f64,

    #[command(flatten)]
    outputs: Outputs,

    /// Measure nothing: show what --json has written earlier
    #[arg(long, value_name = "FILE", conflicts_with_all = ["perf", "only", "transport", "runs", "seconds"])]
    from: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let results = match &options.from {
        Some(path) => read(path)?,
        None => measure(options)?,
    };
    let (plot, table) = (|| plot::draw(&results), || table::markdown(&results));
    options.outputs.write(|| results.to_json(), plot, table)?;
    interrupt::check()?;
    match options.from.is_none() && !results.failures().is_empty() {
        true => Err(format!("{} runs have no figures", results.failures().len()).into()),
        false => Ok(()),
    }
}

fn read(path: &PathBuf) -> Result<Results, BadUsage> {
    let told = |error: String| BadUsage(format!("{}: {error}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| told(error.to_string()))?;
    let value = serde_json::from_str(&text).map_err(|error| told(error.to_string()))?;
    Results::from_json(&value).map_err(told)
}

fn measure(options: &Options) -> Result<Results, Box<dyn Error>> {
    let programs = Programs::find(options.perf.as_deref(), env::current_exe()?);
    let programs = programs.map_err(BadUsage)?;
    let missing = options.missing(&programs)?;
    for name in &missing {
        eprintln!("{name} is not installed: it is left out");
    }
    let chosen = |task, transport| options.chooses(task, transport);
    let all = Task::value_variants().iter().flat_map(|&task| {
        let transports = Transport::value_variants().iter();
        transports.map(move |&transport| (task, transport))
    });
    let pairs: Vec<_> = all
        .filter(|&(task, own)| chosen(task, own) && own.can(task, &programs))
        .collect();
    if pairs.is_empty() {
        let text = "none of these transports can do what these metrics ask for";
        return Err(BadUsage(text.to_owned()).into());
    }
    let campaign = Campaign {
        programs,
        runs: options.runs,
        seconds: options.seconds,
    };
    interrupt::catch()?;
    let mut results = campaign.run(&pairs);
    missing.into_iter().for_each(|name| results.leave_out(name));
    Ok(results)
}

impl Options {
    /// The transports that are left out because they are not installed. None may have been asked
    /// for by its name.
    fn missing(&self, programs: &Programs) -> Result<Vec<String>, BadUsage> {
        let mut named = self.transport.iter();
        if let Some(named) = named.find(|transport| transport.is_missing(programs)) {
            let name = named.name();
            let text = format!("{name} is missing: install it, or choose others by --transport");
            return Err(BadUsage(text));
        }
        let all = Transport::value_variants().iter();
        let missing = all.filter(|own| self.transport.is_empty() && own.is_missing(programs));
        Ok(missing.map(|transport| transport.name()).collect())
    }

    fn chooses(&self, task: Task, transport: Transport) -> bool {
        let task = self.only.is_empty() || self.only.contains(&task);
        task && (self.transport.is_empty() || self.transport.contains(&transport))
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    usage::seconds(text, 0.1..=3600.0)
}
