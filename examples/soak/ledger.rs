//! What has happened so far: counts of what was meant to be, and a list of what was not.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use crate::order::Kind;

/// What went wrong is listed up to here, and then only counted.
const LISTED: usize = 50;

#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) opened: AtomicU64,
    /// Clients' bytes that the server has checked.
    pub(crate) bytes_up: AtomicU64,
    /// The server's bytes that clients have checked.
    pub(crate) bytes_down: AtomicU64,
    /// Sessions that the server serves now.
    pub(crate) serving: AtomicUsize,
    /// Clients' resets of which the server never heard: all that told of them was lost.
    pub(crate) unheard_resets: AtomicU64,
    /// Closes whose last bytes the peer, which had closed before, did not confirm.
    pub(crate) unconfirmed_closes: AtomicU64,
    /// Sessions of which the server heard although their clients wrote nothing: a ping was quicker
    /// than their end.
    pub(crate) heard_mutes: AtomicU64,
    finished: Mutex<BTreeMap<Kind, u64>>,
    /// How sessions with altered payload ended, at either end.
    forged: Mutex<BTreeMap<String, u64>>,
    wrong: Mutex<Wrong>,
}

#[derive(Clone, Default)]
pub(crate) struct Wrong {
    pub(crate) count: u64,
    pub(crate) list: Vec<String>,
}

impl Ledger {
    /// A session has ended as it should.
    pub(crate) fn finish(&self, kind: Kind) {
        *lock(&self.finished).entry(kind).or_default() += 1;
    }

    /// A session ended with an error that forgery explains.
    pub(crate) fn forged(&self, error: &io::Error) {
        let name = format!("{:?}", error.kind());
        *lock(&self.forged).entry(name).or_default() += 1;
    }

    /// Something happened that must not.
    pub(crate) fn wrong(&self, what: String) {
        eprintln!("wrong: {what}");
        let mut wrong = lock(&self.wrong);
        wrong.count += 1;
        if wrong.list.len() < LISTED {
            wrong.list.push(what);
        }
    }

    pub(crate) fn finished(&self, kind: Kind) -> u64 {
        lock(&self.finished).get(&kind).copied().unwrap_or(0)
    }

    pub(crate) fn all_finished(&self) -> u64 {
        lock(&self.finished).values().sum()
    }

    pub(crate) fn finished_by_kind(&self) -> BTreeMap<&'static str, u64> {
        let finished = lock(&self.finished);
        let named = finished.iter().map(|(kind, &count)| (kind.name(), count));
        named.collect()
    }

    pub(crate) fn forged_by_error(&self) -> BTreeMap<String, u64> {
        lock(&self.forged).clone()
    }

    pub(crate) fn all_wrong(&self) -> Wrong {
        lock(&self.wrong).clone()
    }

    /// Counts a session at the server, until the guard is dropped.
    pub(crate) fn serve(&self) -> Serving<'_> {
        self.serving.fetch_add(1, Relaxed);
        Serving(self)
    }
}

pub(crate) struct Serving<'a>(&'a Ledger);

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.0.serving.fetch_sub(1, Relaxed);
    }
}

/// Counts stay right whatever panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
