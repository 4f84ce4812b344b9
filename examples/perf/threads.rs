//! Processor time by thread: those of mkcp by their names, all others as "application".

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use serde_json::{Value, json};

use crate::process;

/// How the threads of mkcp begin: `mkcp-poll-0`, `mkcp-worker-3`.
const OURS: &str = "mkcp-";

/// Processor time so far. Threads of one name, of which each socket of a client has a set, count
/// together.
#[derive(Clone, Default)]
pub(crate) struct Threads {
    ours: BTreeMap<String, Duration>,
    all: Duration,
}

impl Threads {
    /// Where there is no `/proc` with the times of threads, no thread is known.
    pub(crate) fn now() -> Self {
        let mut ours = BTreeMap::new();
        let tasks = fs::read_dir("/proc/self/task").into_iter().flatten();
        for task in tasks.flatten() {
            if let Some((name, time)) = time_of(&task.path()) {
                *ours.entry(name).or_default() += time;
            }
        }
        Self {
            ours,
            all: process::cpu_time(),
        }
    }

    /// All threads together.
    pub(crate) fn all(&self) -> Duration {
        self.all
    }

    /// What was used since.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let passed = |(name, &time): (&String, &Duration)| {
            let earlier = before.ours.get(name).copied().unwrap_or_default();
            (name.clone(), time.saturating_sub(earlier))
        };
        Self {
            ours: self.ours.iter().map(passed).collect(),
            all: self.all.saturating_sub(before.all),
        }
    }

    /// Names and times; empty where they are not known. Threads that have ended, but for those of
    /// mkcp, count as the application's.
    fn rows(&self) -> Vec<(&str, Duration)> {
        let mut rows: Vec<_> = self
            .ours
            .iter()
            .map(|(name, &time)| (&**name, time))
            .collect();
        if !rows.is_empty() {
            let ours = rows.iter().map(|(_, time)| *time).sum();
            rows.push(("application", self.all.saturating_sub(ours)));
        }
        rows
    }

    /// `[{"name": .., "cpu_s": ..}, ..]`, or `None` where nothing is known.
    pub(crate) fn to_json(&self) -> Option<Value> {
        let rows = self.rows();
        let row =
            |(name, time): &(&str, Duration)| json!({ "name": name, "cpu_s": time.as_secs_f64() });
        (!rows.is_empty()).then(|| rows.iter().map(row).collect())
    }

    /// One line for people.
    pub(crate) fn to_text(&self) -> Option<String> {
        let row = |(name, time): &(&str, Duration)| format!("{name} {:.3} s", time.as_secs_f64());
        let rows: Vec<_> = self.rows().iter().map(row).collect();
        (!rows.is_empty()).then(|| format!("cpu by thread: {}", rows.join(", ")))
    }
}

/// Name and processor time of a thread of mkcp.
fn time_of(task: &Path) -> Option<(String, Duration)> {
    let name = fs::read_to_string(task.join("comm")).ok()?;
    let name = name.trim_end();
    if !name.starts_with(OURS) {
        return None;
    }
    let times = fs::read_to_string(task.join("schedstat")).ok()?;
    let nanoseconds = times.split_whitespace().next()?.parse().ok()?;
    Some((name.to_owned(), Duration::from_nanos(nanoseconds)))
}
