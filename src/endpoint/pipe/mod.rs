//! Bounded bytes between a worker and an application's handle.
//!
//! A pipe is the only thing that both touch. The worker's side never waits; the application's
//! side waits for bytes or for room as long as its timeout allows. Pipes do not ring the worker's
//! doorbell: [`SessionHandle`](super::handle::SessionHandle) does, after the pipe's lock is free.

mod receive;
mod send;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;

pub(crate) use receive::ReceivePipe;
pub(crate) use send::SendPipe;

/// Bytes copied under one hold of a pipe's lock, at most, so that a worker never waits long for
/// an application's large copy. Longer reads and writes come out short, as they may.
const LONGEST_COPY: usize = 64 * 1024;

/// Settings allow 1 GiB, and every session has two pipes.
fn amount(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
