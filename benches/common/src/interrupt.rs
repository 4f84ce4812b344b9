//! SIGINT and SIGTERM: noted, for loops to look at.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on signals do not end the process.
pub fn catch() -> io::Result<()> {
    let note = || INTERRUPTED.store(true, Ordering::Relaxed);
    ctrlc::set_handler(note).map_err(io::Error::other)
}

/// Whether there was one.
pub fn is_set() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// An error if there was one: what was measured is not all.
pub fn check() -> Result<(), &'static str> {
    match is_set() {
        true => Err("interrupted"),
        false => Ok(()),
    }
}
