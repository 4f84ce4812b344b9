//! Finds sessions that hang, and ends them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use mkcp::Stream;

use crate::ledger::Ledger;

/// Knows when each session last got on. Time is counted in ticks, of one second each: while the
/// whole process stands still, it does not pass.
pub(crate) struct Watchdog {
    /// Ticks without progress that are too many.
    patience: u64,
    now: AtomicU64,
    next_id: AtomicU64,
    watched: Mutex<BTreeMap<u64, Session>>,
}

struct Session {
    name: String,
    progress: Arc<Progress>,
    stream: Stream,
}

struct Progress {
    /// The tick of the last.
    at: AtomicU64,
    /// What the session is about to do.
    step: Mutex<&'static str>,
}

impl Progress {
    fn step(&self) -> &'static str {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watchdog {
    pub(crate) fn new(patience: u64) -> Self {
        Self {
            patience,
            now: AtomicU64::new(0),
            next_id: AtomicU64::new(0),
            watched: Mutex::default(),
        }
    }

    /// Watches a session until what is returned is dropped.
    pub(crate) fn watch(self: &Arc<Self>, name: String, stream: Stream) -> Watched {
        let progress = Arc::new(Progress {
            at: AtomicU64::new(self.now.load(Relaxed)),
            step: Mutex::new("beginning"),
        });
        let session = Session {
            name,
            progress: Arc::clone(&progress),
            stream,
        };
        let id = self.next_id.fetch_add(1, Relaxed);
        self.sessions().insert(id, session);
        Watched {
            dog: Arc::clone(self),
            id,
            progress,
        }
    }

    /// A second has passed. Resets sessions that hang, so that whoever waits for them goes on.
    pub(crate) fn tick(&self, ledger: &Ledger) {
        let now = self.now.fetch_add(1, Relaxed) + 1;
        for session in self.sessions().values() {
            let Session {
                name,
                progress,
                stream,
            } = session;
            if now.saturating_sub(progress.at.load(Relaxed)) > self.patience {
                let step = progress.step();
                ledger.wrong(format!("{name}: {step} hangs: {:?}", stream.stats()));
                stream.reset();
                progress.at.store(now, Relaxed);
            }
        }
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<u64, Session>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session under watch.
pub(crate) struct Watched {
    dog: Arc<Watchdog>,
    id: u64,
    progress: Arc<Progress>,
}

impl Watched {
    /// The session gets on.
    pub(crate) fn touch(&self) {
        let now = self.dog.now.load(Relaxed);
        self.progress.at.store(now, Relaxed);
    }

    /// The session gets on, and this comes next.
    pub(crate) fn begin(&self, step: &'static str) {
        self.touch();
        let mut present = self.progress.step.lock();
        **present
            .as_mut()
            .unwrap_or_else(|poisoned| poisoned.get_mut()) = step;
    }

    pub(crate) fn step(&self) -> &'static str {
        self.progress.step()
    }

    /// The session is now known by another name.
    pub(crate) fn rename(&self, name: &str) {
        if let Some(session) = self.dog.sessions().get_mut(&self.id) {
            name.clone_into(&mut session.name);
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let session = self.dog.sessions().remove(&self.id);
        drop(session); // with its stream, and not under the lock
    }
}
