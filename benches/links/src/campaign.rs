//! Runs every chosen row with every chosen transport and seed.

use std::{
    io,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use bench_common::{interrupt, progress::Progress};

use crate::{
    netlab::Netlab,
    results::{Cell, Outcome},
    rows::Row,
    transports::{Output, Run, Transport},
};

/// What all runs have in common.
#[derive(Debug)]
pub(crate) struct Campaign {
    pub(crate) netlab: Netlab,
    pub(crate) perf: PathBuf,
    /// This program.
    pub(crate) links: PathBuf,
    pub(crate) seeds: u64,
    /// Instead of the time that belongs to a row.
    pub(crate) seconds: Option<f64>,
    /// Runs at the same time.
    pub(crate) jobs: usize,
}

/// What is still to be done, and what has been.
struct Work {
    /// Numbers of cells with seeds.
    tasks: Vec<(usize, u64)>,
    next: AtomicUsize,
    cells: Mutex<Vec<Cell>>,
    progress: Progress,
}

impl Campaign {
    /// Runs all of them. After an interrupt or an error only those that were done have results.
    pub(crate) fn run(&self, pairs: Vec<(Row, Transport)>) -> (Vec<Cell>, io::Result<()>) {
        let numbers = 0..pairs.len();
        let tasks: Vec<_> = (1..=self.seeds)
            .flat_map(|seed| numbers.clone().map(move |number| (number, seed)))
            .collect();
        let work = Work {
            progress: Progress::new(tasks.len()),
            tasks,
            next: AtomicUsize::new(0),
            cells: Mutex::new(pairs.into_iter().map(Cell::new).collect()),
        };
        let result = thread::scope(|scope| {
            let workers = (0..self.jobs).map(|_| scope.spawn(|| self.work(&work)));
            let workers: Vec<_> = workers.collect();
            let results = workers.into_iter().map(|worker| {
                let panicked = |_| Err(io::Error::other("a thread panicked"));
                worker.join().unwrap_or_else(panicked)
            });
            results.collect()
        });
        work.progress.finish();
        let cells = work.cells.into_inner();
        (cells.unwrap_or_else(PoisonError::into_inner), result)
    }

    /// Does one task after the other, until none is left.
    fn work(&self, work: &Work) -> io::Result<()> {
        let cells = || work.cells.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(&(number, seed)) = work.tasks.get(work.next.fetch_add(1, Ordering::Relaxed))
        {
            let (row, transport) = cells()[number].what();
            let name = format!("{} {} seed {seed}", row.name, transport.name());
            work.progress.begin(&name);
            let outcome = self
                .one(&row, transport, seed)
                .inspect_err(|_| work.give_up())?;
            let Some(outcome) = outcome else {
                return Ok(());
            };
            work.progress
                .done(&format!("{name}: {}", outcome.summary()));
            cells()[number].add(outcome);
        }
        Ok(())
    }

    /// One run; none if it was interrupted.
    fn one(&self, row: &Row, transport: Transport, seed: u64) -> io::Result<Option<Outcome>> {
        if interrupt::is_set() {
            return Ok(None);
        }
        let folder = tempfile::tempdir()?;
        let seconds = row.seconds_or(self.seconds);
        let run = Run {
            row,
            transport,
            seed,
            seconds,
            skip: row.skip.min(seconds / 2.0),
            perf: &self.perf,
            links: &self.links,
            folder: folder.path(),
        };
        let commands = transport.commands(&run)?;
        let Some(report) = self.netlab.run(&run, &commands)? else {
            return Ok(None);
        };
        let output = Output::read(folder.path());
        let figures = transport.figures(&run, &output, &report);
        Ok(Some(Outcome {
            seed,
            figures,
            report,
            output,
        }))
    }
}

impl Work {
    /// Leaves what has not begun.
    fn give_up(&self) {
        self.next.store(self.tasks.len(), Ordering::Relaxed);
    }
}
