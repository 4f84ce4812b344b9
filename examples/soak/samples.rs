//! What the process holds, second by second: memory, descriptors and threads.

use std::{
    alloc::System,
    fs,
    time::{Duration, Instant},
};

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use crate::{process, slope::Slope};

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

/// How this figure of the samples has grown that came later than `warm_up` after the first, in KiB
/// and minutes.
pub(crate) fn slope(
    samples: &[Sample],
    warm_up: Duration,
    figure: impl Fn(&Sample) -> u64,
) -> Option<Slope> {
    let begin = samples.first()?.at + warm_up;
    let judged = samples.iter().filter(|sample| sample.at >= begin);
    let points: Vec<_> = judged
        .map(|sample| {
            let minutes = (sample.at - begin).as_secs_f64() / 60.0;
            (minutes, figure(sample) as f64)
        })
        .collect();
    Slope::fit(&points)
}
