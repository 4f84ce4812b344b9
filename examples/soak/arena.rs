//! One heap for all threads.

/// Starts this program anew with a single arena of glibc, if nobody has chosen. With one for each
/// few threads, what hundreds of short-lived threads leave in them grows for long, and hides what
/// a leak would be. Elsewhere the variable means nothing.
#[cfg(unix)]
pub(crate) fn share() {
    use std::{env, os::unix::process::CommandExt, process::Command};

    const VARIABLE: &str = "MALLOC_ARENA_MAX";
    if env::var_os(VARIABLE).is_some() {
        return;
    }
    if let Ok(program) = env::current_exe() {
        let mut again = Command::new(program);
        again.args(env::args_os().skip(1)).env(VARIABLE, "1");
        let error = again.exec(); // returns only if it fails
        eprintln!("not started anew with {VARIABLE}=1: {error}");
    }
}

/// There is nothing of the kind here.
#[cfg(not(unix))]
pub(crate) fn share() {}
