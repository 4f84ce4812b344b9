//! A condition variable whose waiters the kernel finds at once, however many they are.
//!
//! A thread for each session is many threads asleep. Since Linux 6.16 those on the private futexes
//! of a process, which `std` and `parking_lot` use, share a hash of four buckets for each
//! processor, or 16: where 8,000 sleep on two processors, each wake-up looks through 500 of them.
//! Threads on futexes that could be shared sleep in the hash of the whole system, which has 256
//! buckets for each processor, as all did before.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use parking_lot::MutexGuard;
use rustix::{
    io::Errno,
    thread::futex::{self, Flags},
    time::Timespec,
};

/// Not `Flags::PRIVATE`.
const SHARED: Flags = Flags::empty();
/// Between two looks at the state, should the kernel refuse to let the thread sleep.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// As `parking_lot::Condvar`: may also wake threads without a cause.
#[derive(Debug, Default)]
pub(super) struct Condvar {
    /// Counts the notifications. Who is about to sleep and missed one sees another number.
    notified: AtomicU32,
}

impl Condvar {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        self.sleep(guard, None);
    }

    pub(super) fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        // What the kernel cannot count to is for ever.
        self.sleep(guard, Timespec::try_from(left).ok());
    }

    fn sleep<T>(&self, guard: &mut MutexGuard<'_, T>, left: Option<Timespec>) {
        let seen = self.notified.load(Ordering::Relaxed);
        MutexGuard::unlocked(guard, || {
            match futex::wait(&self.notified, SHARED, seen, left.as_ref()) {
                Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => {}
                Err(_) => thread::sleep(LOOK_AGAIN),
            }
        });
    }

    pub(super) fn notify_one(&self) {
        self.notify(1);
    }

    pub(super) fn notify_all(&self) {
        self.notify(i32::MAX as u32);
    }

    fn notify(&self, most: u32) {
        self.notified.fetch_add(1, Ordering::Relaxed);
        // It fails only for what is no address of a futex.
        let _ = futex::wake(&self.notified, SHARED, most);
    }
}
