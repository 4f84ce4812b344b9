//! The one way in which application threads wait: a state behind a leaf lock, and a bell.
//!
//! Every wait of the blocking API goes through [`Monitor`], so its rules hold everywhere: the lock
//! is never held across a wake-up, nobody is woken who does not wait, and a change of the options
//! is seen by calls that are already blocked.

use std::{
    io,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, MutexGuard};

/// A state that application threads wait for, each for as long as it may.
#[derive(Debug, Default)]
pub(crate) struct Monitor<S> {
    inner: Mutex<Inner<S>>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner<S> {
    state: S,
    /// Threads inside `wait`, or woken and not yet running.
    waiting: usize,
    timeout: Option<Duration>,
    nonblocking: bool,
}

/// Whom a change of the state concerns among those who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    Nobody,
    One,
    All,
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
                timeout: None,
                nonblocking: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Looks at the state.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(&self.inner.lock().state)
    }

    /// Changes the state, then wakes whom the change concerns.
    pub(crate) fn update<R>(&self, change: impl FnOnce(&mut S) -> (R, Wake)) -> R {
        let mut inner = self.inner.lock();
        let (result, wake) = change(&mut inner.state);
        self.release(inner, wake);
        result
    }

    /// Repeats `attempt` until it succeeds, waiting for changes in between, for as long as the
    /// options of this monitor allow.
    pub(crate) fn wait<R>(
        &self,
        attempt: impl FnMut(&mut S) -> Option<(R, Wake)>,
    ) -> Result<R, Stalled> {
        self.wait_while_patient(attempt, |inner| {
            if inner.nonblocking {
                return Err(Stalled::WouldBlock);
            }
            Ok(inner.timeout)
        })
    }

    /// As `wait`, but for at most `limit`, whatever the options say.
    pub(crate) fn wait_for<R>(
        &self,
        limit: Duration,
        attempt: impl FnMut(&mut S) -> Option<(R, Wake)>,
    ) -> Result<R, Stalled> {
        self.wait_while_patient(attempt, |_| Ok(Some(limit)))
    }

    /// How long `wait` waits; `None` is for ever. Holds for calls that are blocked already,
    /// counted from their beginning.
    pub(crate) fn set_timeout(&self, timeout: Option<Duration>) {
        let mut inner = self.inner.lock();
        inner.timeout = timeout;
        self.release(inner, Wake::All);
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.inner.lock().timeout
    }

    /// Whether `wait` gives up instead of waiting. Holds for calls that are blocked already.
    pub(crate) fn set_nonblocking(&self, nonblocking: bool) {
        let mut inner = self.inner.lock();
        inner.nonblocking = nonblocking;
        self.release(inner, Wake::All);
    }

    fn wait_while_patient<R>(
        &self,
        mut attempt: impl FnMut(&mut S) -> Option<(R, Wake)>,
        patience: impl Fn(&Inner<S>) -> Result<Option<Duration>, Stalled>,
    ) -> Result<R, Stalled> {
        let mut inner = self.inner.lock();
        let mut started = None; // the clock is read only by calls that have to wait
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
            self.block(&mut inner, deadline);
            inner.waiting -= 1;
        }
    }

    fn block(&self, inner: &mut MutexGuard<'_, Inner<S>>, deadline: Option<Instant>) {
        match deadline {
            Some(deadline) => {
                self.changed.wait_until(inner, deadline);
            }
            None => self.changed.wait(inner),
        }
    }

    /// Unlocks first: a thread that is woken must not run into the lock.
    fn release(&self, inner: MutexGuard<'_, Inner<S>>, wake: Wake) {
        let waiting = inner.waiting;
        drop(inner);
        match wake {
            Wake::One if waiting > 0 => {
                self.changed.notify_one();
            }
            Wake::All if waiting > 0 => {
                self.changed.notify_all();
            }
            _ => {}
        }
    }
}
