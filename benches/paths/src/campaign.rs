//! Runs the tasks: all transports once, then all again, so that what disturbs the machine for a
//! while disturbs all of them.

use std::io;

use bench_common::{interrupt, process, progress::Progress};

use crate::{
    results::{Outcome, Results},
    tasks::Task,
    transports::{Programs, Transport},
};

/// What all runs have in common.
#[derive(Debug)]
pub(crate) struct Campaign {
    pub(crate) programs: Programs,
    pub(crate) runs: u64,
    pub(crate) seconds: f64,
}

impl Campaign {
    /// Runs all of them. After an interrupt there are the results so far. A run that fails is
    /// told, and has no figures.
    pub(crate) fn run(&self, pairs: &[(Task, Transport)]) -> Results {
        let mut results = Results::default();
        let progress = Progress::new(pairs.len() * self.runs as usize);
        for (task, run) in self.order(pairs) {
            for &(_, transport) in pairs.iter().filter(|pair| pair.0 == task) {
                let name = format!("{} {} run {run}", task.name(), transport.name());
                progress.begin(&name);
                match self.one(task, transport, run) {
                    Ok(Some(outcome)) => {
                        progress.done(&format!("{name}: {}", outcome.summary()));
                        results.add(outcome);
                    }
                    Ok(None) => break,
                    Err(error) => {
                        progress.done(&format!("{name}: {error}"));
                        results.fail(format!("{name}: {error}"));
                    }
                }
            }
        }
        progress.finish();
        results
    }

    /// Every task as often as there are runs, one task after the other.
    fn order(&self, pairs: &[(Task, Transport)]) -> Vec<(Task, u64)> {
        let mut tasks: Vec<_> = pairs.iter().map(|pair| pair.0).collect();
        tasks.dedup();
        let runs = |task| (1..=self.runs).map(move |run| (task, run));
        tasks.into_iter().flat_map(runs).collect()
    }

    /// One run; none if it was interrupted.
    fn one(&self, task: Task, transport: Transport, run: u64) -> io::Result<Option<Outcome>> {
        if interrupt::is_set() {
            return Ok(None);
        }
        let (folder, seconds) = (tempfile::tempdir()?, self.seconds);
        let folder = folder.path();
        let server = transport.server(task, &self.programs, folder);
        let server = process::Server::start(server, folder)?;
        let target = (server.address.as_str(), folder);
        let client = transport.client(task, &self.programs, target, seconds);
        let Some(client) = process::run(client, folder, transport.limit(seconds))? else {
            return Ok(None);
        };
        let server = server.stop()?;
        Ok(Some(Outcome {
            run,
            task,
            transport,
            figures: task.figures(&client, &server),
            client,
            server,
        }))
    }
}
