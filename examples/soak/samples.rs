//! What the process holds, second by second: memory, descriptors and threads.

use std::{
    alloc::System,
    fs,
    time::{Duration, Instant},
};

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use crate::process;

/// Counts what is asked for, to tell what is held from what the heap keeps in its holes.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// All zero where the system has no `/proc`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    at: Instant,
    pub(crate) rss_kib: u64,
    /// Asked of the heap and not given back.
    pub(crate) heap_kib: u64,
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
}

impl Sample {
    pub(crate) fn now() -> Self {
        let entries = |folder| fs::read_dir(folder).map_or(0, Iterator::count);
        let heap = ALLOCATOR.stats();
        Self {
            at: Instant::now(),
            rss_kib: process::rss_kib(),
            heap_kib: heap.bytes_allocated.saturating_sub(heap.bytes_deallocated) as u64 / 1024,
            // The descriptor by which the folder is read is none of those that are held.
            descriptors: entries("/proc/self/fd").saturating_sub(1),
            threads: entries("/proc/self/task"),
        }
    }
}

/// How a figure in KiB has grown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slope {
    pub(crate) kib_per_minute: f64,
    /// By the scatter around the line.
    pub(crate) standard_error: f64,
    pub(crate) samples: usize,
}

/// Fits a line by least squares to this figure of the samples that came later than `warm_up` after
/// the first.
pub(crate) fn slope(
    samples: &[Sample],
    warm_up: Duration,
    figure: impl Fn(&Sample) -> u64,
) -> Option<Slope> {
    let begin = samples.first()?.at + warm_up;
    let points: Vec<_> = samples
        .iter()
        .filter(|sample| sample.at >= begin)
        .map(|sample| {
            (
                (sample.at - begin).as_secs_f64() / 60.0,
                figure(sample) as f64,
            )
        })
        .collect();
    let count = points.len() as f64;
    if count < 3.0 {
        return None;
    }
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let xx: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let xy: f64 = points
        .iter()
        .map(|(x, y)| (x - mean_x) * (y - mean_y))
        .sum();
    let slope = xy / xx;
    let rest = |(x, y): &(f64, f64)| (y - mean_y - slope * (x - mean_x)).powi(2);
    let scatter = points.iter().map(rest).sum::<f64>() / (count - 2.0);
    Some(Slope {
        kib_per_minute: slope,
        standard_error: (scatter / xx).sqrt(),
        samples: points.len(),
    })
}
