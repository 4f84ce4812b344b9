//! What this process has used, and may use.

use std::{fs, time::Duration};

/// Processor time of all threads.
#[cfg(unix)]
pub(crate) fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Processor time of all threads: not known on this system.
#[cfg(not(unix))]
pub(crate) fn cpu_time() -> Duration {
    Duration::ZERO
}

/// The most memory that was resident, or 0 where the system has no `/proc`.
pub(crate) fn max_rss_kib() -> u64 {
    status("VmHWM:")
}

/// The memory that is resident, or 0 where the system has no `/proc`.
pub(crate) fn rss_kib() -> u64 {
    status("VmRSS:")
}

fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
