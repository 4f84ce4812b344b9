//! A worker with a thread of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, bounded};

use super::Worker;
use crate::endpoint::{bell::Bell, shard::Shard};

/// So long memory for datagrams is kept while none come.
const KEEP: Duration = Duration::from_secs(1);

/// The loop around a worker, to be run by a thread.
#[derive(Debug)]
pub(in crate::endpoint) struct WorkerThread {
    worker: Worker,
    shard: Arc<Shard>,
    bell: Arc<Bell>,
    /// What the bell sends while the thread sleeps.
    woken: Receiver<()>,
    /// Memory for datagrams is kept.
    warm: bool,
}

impl WorkerThread {
    /// With the way to the worker.
    pub(in crate::endpoint) fn new(index: usize) -> (Self, Arc<Shard>) {
        let (wake, woken) = bounded(1);
        let bell = Arc::new(Bell::new(move || {
            // If it is full, the thread has not come round to the last one: it will look.
            let _ = wake.try_send(());
        }));
        let shard = Shard::new(bell.clone());
        let this = Self {
            worker: Worker::new(index, shard.clone()),
            shard: shard.clone(),
            bell,
            woken,
            warm: false,
        };
        (this, shard)
    }

    /// Works until told to stop.
    pub(in crate::endpoint) fn run(&mut self) {
        while !self.worker.is_stopped() {
            self.wait();
            if self.bell.answer() {
                self.warm |= self.worker.collect();
            }
            self.worker.turn(Instant::now());
        }
    }

    /// The worker, after a panic.
    pub(in crate::endpoint) fn worker(&self) -> &Worker {
        &self.worker
    }

    fn wait(&mut self) {
        if self.worker.has_work() || !self.bell.fall_asleep() {
            return;
        }
        let cool = self.warm.then(|| Instant::now() + KEEP);
        let next = self.worker.next_deadline();
        // Why the wait ended shows in what there is to do.
        let rung = match next.into_iter().chain(cool).min() {
            Some(deadline) => self.woken.recv_deadline(deadline).is_ok(),
            None => self.woken.recv().is_ok(),
        };
        let cooled = cool.is_some_and(|cool| next.is_none_or(|next| cool < next));
        if cooled && !rung {
            self.warm = false;
            self.shard.release_memory();
        }
    }
}
