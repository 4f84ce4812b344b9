//! One heap for all threads, and none of each thread's own.

/// Starts this program anew with a single arena of glibc and without caches of threads, if nobody
/// has chosen. What hundreds of threads leave in an arena for each few of them, and up to 200 KiB in
/// the cache of each, grows for hours and hides what a leak would be. Elsewhere the variables mean
/// nothing.
#[cfg(unix)]
pub(crate) fn share() {
    use std::{env, os::unix::process::CommandExt, process::Command};

    const CHOICES: [(&str, &str); 2] = [
        ("MALLOC_ARENA_MAX", "1"),
        ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0"),
    ];
    if CHOICES.iter().any(|(name, _)| env::var_os(name).is_some()) {
        return;
    }
    if let Ok(program) = env::current_exe() {
        let mut again = Command::new(program);
        let error = again.args(env::args_os().skip(1)).envs(CHOICES).exec(); // returns only if it fails
        eprintln!("not started anew with one heap: {error}");
    }
}

/// There is nothing of the kind here.
#[cfg(not(unix))]
pub(crate) fn share() {}
