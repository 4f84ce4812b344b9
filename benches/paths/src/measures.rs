//! What is measured, and the rows of the table.

use bench_common::figures;

use crate::tasks::Task;

/// A quantity that a task gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    /// Delivered payload in MB/s.
    Goodput,
    /// Processor time of both ends for a GiB of payload, in s.
    Cpu,
    /// The slowest stream as a share of the mean of all.
    Slowest,
    /// Round trip of messages, in µs.
    Median,
    /// The same, 99th percentile.
    P99,
    /// Round trips, or connections, in a second.
    Rate,
    /// What failed.
    Errors,
}

pub(crate) type Figures = figures::Figures<Measure>;

impl figures::Measure for Measure {
    fn name(self) -> &'static str {
        match self {
            Self::Goodput => "goodput_mb_s",
            Self::Cpu => "cpu_s_per_gib",
            Self::Slowest => "slowest_of_mean",
            Self::Median => "p50_us",
            Self::P99 => "p99_us",
            Self::Rate => "rate_per_s",
            Self::Errors => "errors",
        }
    }
}

impl Measure {
    pub(crate) const ALL: [Self; 7] = [
        Self::Goodput,
        Self::Cpu,
        Self::Slowest,
        Self::Median,
        Self::P99,
        Self::Rate,
        Self::Errors,
    ];
}

/// A line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) task: Task,
    pub(crate) measure: Measure,
    pub(crate) title: &'static str,
}

const fn row(task: Task, measure: Measure, title: &'static str) -> Row {
    Row {
        task,
        measure,
        title,
    }
}

pub(crate) const ROWS: [Row; 14] = [
    row(Task::Bulk, Measure::Goodput, "one stream, MB/s"),
    row(Task::Bulk, Measure::Cpu, "one stream, CPU s/GiB, both ends"),
    row(Task::Bulk, Measure::Errors, "one stream, errors"),
    row(Task::Bulk64, Measure::Goodput, "64 streams, MB/s"),
    row(Task::Bulk64, Measure::Slowest, "64 streams, slowest / mean"),
    row(Task::Bulk64, Measure::Errors, "64 streams, errors"),
    row(Task::Echo, Measure::Median, "echo of 64 bytes, p50 µs"),
    row(Task::Echo, Measure::P99, "echo of 64 bytes, p99 µs"),
    row(Task::Echo64, Measure::Rate, "64 echo streams, rounds/s"),
    row(Task::Echo64, Measure::Errors, "64 echo streams, errors"),
    row(Task::Connect, Measure::Rate, "connect, echo, close: per s"),
    row(Task::Connect, Measure::Errors, "connect, errors"),
    row(Task::Connect50, Measure::Rate, "connect, 50 at once: per s"),
    row(
        Task::Connect50,
        Measure::Errors,
        "connect, 50 at once: errors",
    ),
];

/// With as many digits as mean something.
pub(crate) fn digits(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        0.0..10.0 => format!("{value:.2}"),
        0.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_have_more_digits() {
        let texts = [0.0, 0.516, 12.34, 1234.5].map(digits);
        assert_eq!(texts, ["0", "0.52", "12.3", "1234"]);
    }
}
