//! Two things at the same time, the first in a thread of its own.

use std::{io, thread};

use crate::STACK;

/// Gives the first's error if both fail: who writes learns why, who reads may only learn that.
pub(crate) fn run(
    first: impl FnOnce() -> io::Result<()> + Send,
    second: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    thread::scope(|scope| {
        let builder = thread::Builder::new().stack_size(STACK);
        let first = builder.spawn_scoped(scope, first)?;
        let second = second();
        let first = first.join();
        first.unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))?;
        second
    })
}
