//! How a thread learns that there is something for it.
//!
//! Waking a thread costs more than most of what it is woken for, so only one that sleeps is woken,
//! and once. Whoever brings something puts it into place first and rings then; the thread answers
//! first and looks then. Either it sees what was brought, or it is rung again and does not fall
//! asleep.

use std::{fmt, sync::atomic::Ordering};

use crate::sync::AtomicU8;

const AWAKE: u8 = 0;
const ASLEEP: u8 = 1;
const RUNG: u8 = 2;

/// The bell of one thread.
pub(super) struct Bell {
    state: AtomicU8,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Bell {
    /// `wake` ends the wait of the thread, or its next one if it does not wait yet.
    pub(super) fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            state: AtomicU8::new(AWAKE),
            wake: Box::new(wake),
        }
    }

    /// Tells the thread that something is in place for it.
    pub(super) fn ring(&self) {
        if self.state.swap(RUNG, Ordering::SeqCst) == ASLEEP {
            (self.wake)();
        }
    }

    /// For the thread, after each wait: whether it was rung since the last answer. From now on it
    /// counts as awake.
    pub(super) fn answer(&self) -> bool {
        self.state.swap(AWAKE, Ordering::SeqCst) == RUNG
    }

    /// For the thread, before it waits: false if it was rung and must not.
    pub(super) fn fall_asleep(&self) -> bool {
        self.state
            .compare_exchange(AWAKE, ASLEEP, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bell").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    fn counting() -> (Bell, Arc<AtomicUsize>) {
        let woken = Arc::new(AtomicUsize::new(0));
        let count = woken.clone();
        let bell = Bell::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        (bell, woken)
    }

    #[test]
    fn a_thread_that_sleeps_is_woken_once() {
        let (bell, woken) = counting();
        assert!(bell.fall_asleep());
        for _ in 0..100 {
            bell.ring();
        }
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        assert!(bell.answer());
        assert!(!bell.answer(), "it is told once");
    }

    #[test]
    fn a_thread_that_is_awake_is_not_woken_and_does_not_fall_asleep() {
        let (bell, woken) = counting();
        bell.ring();
        assert!(!bell.fall_asleep());
        assert!(bell.answer());
        assert!(bell.fall_asleep());
        assert_eq!(woken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_ring_between_answering_and_sleeping_is_not_lost() {
        let (bell, _) = counting();
        bell.ring();
        assert!(bell.answer());
        bell.ring();
        assert!(!bell.fall_asleep());
        assert!(bell.answer());
    }
}

/// Explored by loom: whatever the order, a thread that waits for a ring sees what was brought.
#[cfg(test)]
#[cfg(loom)]
mod interleavings {
    use loom::{
        sync::{Arc, Condvar, Mutex, atomic::AtomicUsize},
        thread,
    };

    use super::*;

    #[test]
    fn nothing_that_was_brought_is_overlooked() {
        loom::model(|| {
            let woken = Arc::new((Mutex::new(false), Condvar::new()));
            let wake = woken.clone();
            let bell = Arc::new(Bell::new(move || {
                *wake.0.lock().unwrap() = true;
                wake.1.notify_one();
            }));
            let brought = Arc::new(AtomicUsize::new(0));
            let (ringer, bringer) = (bell.clone(), brought.clone());
            thread::spawn(move || {
                for _ in 0..2 {
                    bringer.fetch_add(1, Ordering::SeqCst);
                    ringer.ring();
                }
            });
            let mut seen = 0;
            while seen < 2 {
                if bell.fall_asleep() {
                    let mut up = woken.0.lock().unwrap();
                    while !*up {
                        up = woken.1.wait(up).unwrap();
                    }
                    *up = false;
                }
                if bell.answer() {
                    seen = brought.load(Ordering::SeqCst);
                }
            }
        });
    }
}
