//! The one way in which application threads wait: a state behind a leaf lock, and a bell.
//!
//! Every wait of the blocking API goes through [`Monitor`], so its rules hold everywhere: the lock
//! is never held across a wake-up, nobody is woken who does not wait, and a change of the options
//! is seen by calls that are already blocked.

#[cfg(all(not(loom), any(target_os = "linux", target_os = "android")))]
mod condvar;
mod gather;
#[cfg(all(test, not(loom)))]
mod tests;
mod watch;

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::prefetch::prefetch;
pub(crate) use gather::Gathering;
use primitives::{Condvar, Mutex, MutexGuard};
pub(crate) use watch::Events;
use watch::Watch;
pub use watch::{Event, Readiness};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};

/// A state that application threads wait for, each for as long as it may.
#[derive(Debug, Default)]
pub(crate) struct Monitor<S> {
    inner: Mutex<Inner<S>>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner<S> {
    state: S,
    /// Threads inside `wait`, those included that have been woken and do not run yet.
    waiting: u32,
    /// How many of them have been woken, or fewer. Waking them again would be a system call for
    /// nothing.
    woken: u16,
    nonblocking: bool,
    /// Whether the next change is to be told to who watches.
    is_watched: bool,
    rare: Option<Box<Rare>>,
}

/// What few monitors have. Apart, for there are several in each session.
#[derive(Debug, Default)]
struct Rare {
    timeout: Option<Duration>,
    /// It stays for the next time, lest memory is taken for each.
    watch: Option<Arc<Watch>>,
}

/// Whom a change of the state concerns among those who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    Nobody,
    One,
    All,
}

/// How long a call waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// As the options of the monitor say at any time, counted from the beginning of the call.
    AsSet,
    /// As the options say, counted from an earlier moment, because the call is a part of a longer
    /// one; and not beyond the end, if there is any.
    AsSetSince(Instant, Option<Instant>),
    /// This long, whatever the options say.
    For(Duration),
}

/// Why a call gave up waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stalled {
    /// It may not wait at all.
    WouldBlock,
    /// Its time is over.
    TimedOut,
}

impl From<Stalled> for io::Error {
    fn from(stalled: Stalled) -> Self {
        match stalled {
            Stalled::WouldBlock => io::ErrorKind::WouldBlock.into(),
            Stalled::TimedOut => io::ErrorKind::TimedOut.into(),
        }
    }
}

impl<S> Monitor<S> {
    pub(crate) fn new(state: S) -> Self {
        Self {
            inner: Mutex::new(Inner {
                state,
                waiting: 0,
                woken: 0,
                nonblocking: false,
                is_watched: false,
                rare: None,
            }),
            changed: Condvar::new(),
        }
    }

    /// Has its memory brought.
    pub(crate) fn prefetch(&self) {
        prefetch(self);
        prefetch(&self.changed);
    }

    /// Looks at the state.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(&primitives::lock(&self.inner).state)
    }

    /// Changes the state, then wakes whom the change concerns.
    pub(crate) fn update<R>(&self, change: impl FnOnce(&mut S) -> (R, Wake)) -> R {
        let mut inner = primitives::lock(&self.inner);
        let (result, wake) = change(&mut inner.state);
        self.release(inner, wake);
        result
    }

    /// Repeats `attempt` until it succeeds, waiting for changes in between.
    pub(crate) fn wait<R>(
        &self,
        patience: Patience,
        attempt: impl FnMut(&mut S) -> Option<(R, Wake)>,
    ) -> Result<R, Stalled> {
        let started = match patience {
            Patience::AsSetSince(moment, _) => Some(moment),
            Patience::AsSet | Patience::For(_) => None,
        };
        self.wait_while_patient(started, attempt, |inner| match patience {
            Patience::For(limit) => Ok(Some(limit)),
            _ if inner.nonblocking => Err(Stalled::WouldBlock),
            Patience::AsSetSince(moment, Some(end)) => {
                let limit = end.saturating_duration_since(moment);
                Ok(Some(inner.timeout().map_or(limit, |set| set.min(limit))))
            }
            _ => Ok(inner.timeout()),
        })
    }

    /// Adds `event` to the list once: now if it is so already, otherwise at the next change that
    /// concerns anybody. One list alone is told, the latest.
    pub(crate) fn watch(&self, events: &Arc<Events>, event: Event, is_so: impl FnOnce(&S) -> bool) {
        let mut inner = primitives::lock(&self.inner);
        let slot = &mut inner.rare().watch;
        if !slot.as_ref().is_some_and(|watch| watch.is(events, event)) {
            let before = slot.replace(Arc::new(Watch::new(events, event)));
            before.inspect(|watch| watch.cancel());
        }
        inner.is_watched = true;
        let is_so = is_so(&inner.state);
        let watch = if is_so { inner.news() } else { None };
        drop(inner);
        watch.into_iter().for_each(Watch::tell);
    }

    /// Tells this list nothing any more, not even what it was told already; without one, any list.
    pub(crate) fn unwatch(&self, events: Option<&Arc<Events>>) {
        let mut inner = primitives::lock(&self.inner);
        let is_meant = |watch: &mut Arc<Watch>| events.is_none_or(|events| watch.is_of(events));
        let watch = inner
            .rare
            .as_mut()
            .and_then(|rare| rare.watch.take_if(is_meant));
        if let Some(watch) = watch {
            inner.is_watched = false;
            watch.cancel();
        }
    }

    /// How long `wait` waits; `None` is for ever. Holds for calls that are blocked already,
    /// counted from their beginning.
    pub(crate) fn set_timeout(&self, timeout: Option<Duration>) {
        let mut inner = primitives::lock(&self.inner);
        if timeout != inner.timeout() {
            inner.rare().timeout = timeout;
        }
        self.wake(inner, Wake::All);
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        primitives::lock(&self.inner).timeout()
    }

    /// Whether `wait` gives up instead of waiting. Holds for calls that are blocked already.
    pub(crate) fn set_nonblocking(&self, nonblocking: bool) {
        let mut inner = primitives::lock(&self.inner);
        inner.nonblocking = nonblocking;
        self.wake(inner, Wake::All);
    }

    pub(crate) fn is_nonblocking(&self) -> bool {
        primitives::lock(&self.inner).nonblocking
    }

    /// `started` is `None` for now: the clock is read only by calls that have to wait.
    fn wait_while_patient<R>(
        &self,
        mut started: Option<Instant>,
        mut attempt: impl FnMut(&mut S) -> Option<(R, Wake)>,
        patience: impl Fn(&Inner<S>) -> Result<Option<Duration>, Stalled>,
    ) -> Result<R, Stalled> {
        let mut inner = primitives::lock(&self.inner);
        loop {
            // Before any reason to give up, so that a wake-up meant for this thread is never lost.
            if let Some((result, wake)) = attempt(&mut inner.state) {
                self.release(inner, wake);
                return Ok(result);
            }
            let deadline = match patience(&inner)? {
                None => None,
                Some(limit) => started.get_or_insert_with(Instant::now).checked_add(limit),
            };
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(Stalled::TimedOut);
            }
            started.get_or_insert_with(Instant::now);
            inner.waiting += 1;
            inner = primitives::wait(&self.changed, inner, deadline);
            inner.waiting -= 1;
            // If it was woken by something else, somebody is woken once more than needed.
            inner.woken = inner.woken.saturating_sub(1);
        }
    }

    /// After a change: unlocks, then wakes and tells.
    fn release(&self, mut inner: MutexGuard<'_, Inner<S>>, wake: Wake) {
        let watch = match wake {
            Wake::Nobody => None,
            Wake::One | Wake::All => inner.news(),
        };
        self.wake(inner, wake);
        watch.into_iter().for_each(Watch::tell);
    }

    /// Unlocks first: a thread that is woken must not run into the lock.
    fn wake(&self, mut inner: MutexGuard<'_, Inner<S>>, wake: Wake) {
        let asleep = inner.waiting - u32::from(inner.woken);
        match wake {
            Wake::One if asleep > 0 => {
                inner.woken = inner.woken.saturating_add(1);
                drop(inner);
                self.changed.notify_one();
            }
            Wake::All if asleep > 0 => {
                inner.woken = u16::try_from(inner.waiting).unwrap_or(u16::MAX);
                drop(inner);
                self.changed.notify_all();
            }
            _ => {}
        }
    }
}

impl<S> Inner<S> {
    fn timeout(&self) -> Option<Duration> {
        self.rare.as_ref()?.timeout
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Who is to be told, once.
    fn news(&mut self) -> Option<Arc<Watch>> {
        if !std::mem::take(&mut self.is_watched) {
            return None;
        }
        self.rare.as_ref()?.watch.clone()
    }
}

#[cfg(not(loom))]
mod primitives {
    use std::time::Instant;

    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) use super::condvar::Condvar;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(super) use parking_lot::Condvar;
    pub(super) use parking_lot::{Mutex, MutexGuard};

    pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock()
    }

    pub(super) fn wait<'a, T>(
        condvar: &Condvar,
        mut guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
    ) -> MutexGuard<'a, T> {
        match deadline {
            Some(deadline) => {
                condvar.wait_until(&mut guard, deadline);
            }
            None => condvar.wait(&mut guard),
        }
        guard
    }
}

/// loom knows no time: under it every wait is for ever, so that a lost wake-up is a deadlock.
#[cfg(loom)]
mod primitives {
    use std::{sync::PoisonError, time::Instant};

    pub(super) use loom::sync::{Condvar, Mutex, MutexGuard};

    pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait<'a, T>(
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
        _deadline: Option<Instant>,
    ) -> MutexGuard<'a, T> {
        condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }
}
