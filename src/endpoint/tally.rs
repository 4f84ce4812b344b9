//! A sum to which threads add without getting into each other's way.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crossbeam_utils::CachePadded;

/// Parts of a sum that is shared by many. Threads beyond that share them.
const PARTS: usize = 8;

/// A number that is often changed and seldom read. To change one that another processor has just
/// changed takes many times as long, so each thread may change a part of its own.
#[derive(Debug)]
pub(super) enum Tally {
    Whole(AtomicU64),
    Parts(Box<[CachePadded<AtomicU64>; PARTS]>),
}

impl Tally {
    /// All threads change the same number, which is read more quickly.
    pub(super) fn whole() -> Self {
        Self::Whole(AtomicU64::new(0))
    }

    pub(super) fn in_parts() -> Self {
        Self::Parts(Box::default())
    }

    #[inline]
    pub(super) fn add(&self, more: u64) {
        self.part().fetch_add(more, Relaxed);
    }

    /// What was added by whichever thread.
    #[inline]
    pub(super) fn subtract(&self, less: u64) {
        self.part().fetch_sub(less, Relaxed);
    }

    /// The sum. While threads change it, it is out by what they do meanwhile.
    #[inline]
    pub(super) fn sum(&self) -> u64 {
        let parts = match self {
            Self::Whole(whole) => return whole.load(Relaxed),
            Self::Parts(parts) => parts.iter().map(|part| part.load(Relaxed)),
        };
        // Parts may be below zero. The sum only seems so if something was seen to go that was not
        // seen to come.
        let sum = parts.fold(0, u64::wrapping_add);
        if sum > i64::MAX as u64 { 0 } else { sum }
    }

    #[inline]
    fn part(&self) -> &AtomicU64 {
        match self {
            Self::Whole(whole) => whole,
            Self::Parts(parts) => &parts[thread_number() % PARTS],
        }
    }
}

/// The number of this thread, in the order in which they asked.
#[inline]
fn thread_number() -> usize {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = ASKED.fetch_add(1, Relaxed);
    }
    // A number has no destructor, so it is there for those of others.
    NUMBER.with(|number| *number)
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, thread};

    use super::*;

    #[test]
    fn what_one_thread_adds_another_may_subtract() {
        for tally in [Tally::whole(), Tally::in_parts()] {
            tally.add(5);
            thread::scope(|scope| {
                for _ in 0..2 * PARTS {
                    scope.spawn(|| {
                        for _ in 0..1000 {
                            tally.add(7);
                            tally.subtract(6);
                        }
                    });
                }
            });
            assert_eq!(tally.sum(), 5 + 2 * PARTS as u64 * 1000);
            tally.subtract(2 * PARTS as u64 * 1000);
            assert_eq!(tally.sum(), 5);
        }
    }

    #[test]
    fn less_than_nothing_is_nothing() {
        let tally = Tally::in_parts();
        tally.subtract(1);
        assert_eq!(tally.sum(), 0);
        tally.add(1);
        assert_eq!(tally.sum(), 0);
    }

    #[test]
    fn threads_have_parts_of_their_own() {
        let tally = Tally::in_parts();
        let own = || std::ptr::from_ref(tally.part()).addr();
        assert_eq!(own(), own());
        // Others may be asking at the same time, so that some of these have the same.
        let others = [(); 8 * PARTS].map(|()| thread::scope(|scope| scope.spawn(own).join()));
        let seen: HashSet<usize> = others.into_iter().map(|other| other.unwrap()).collect();
        assert!(seen.len() > 1, "all in one part");
    }
}
