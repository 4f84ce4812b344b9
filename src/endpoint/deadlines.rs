//! When which session wants its timers looked at: a heap that is cheap to re-arm.
//!
//! Nearly every datagram moves a session's deadline, nearly always later. So the heap is touched
//! only when a deadline moves earlier; an entry that comes up too early is put back.

use std::{cmp::Reverse, collections::BinaryHeap, time::Instant};

use super::table::Slot;
use crate::moment::{Moment, Start};

/// The deadlines of one worker's sessions, one each.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    /// When the first was armed.
    start: Option<Start>,
    heap: BinaryHeap<Reverse<(Moment, Slot)>>,
    armed: Vec<Armed>,
    live: usize,
}

/// What a slot waits for.
#[derive(Clone, Copy, Debug, Default)]
struct Armed {
    wanted: Option<Moment>,
    /// The one entry in the heap that counts; it is not later than `wanted`.
    queued: Option<(Moment, Slot)>,
}

impl Deadlines {
    /// Sets or clears the deadline of a session.
    pub(super) fn arm(&mut self, now: Instant, slot: Slot, wanted: Option<Instant>) {
        let start = *self.start.get_or_insert_with(|| Start::new(now));
        let wanted = wanted.map(|wanted| start.moment(wanted));
        let index = slot.index();
        if index >= self.armed.len() {
            self.armed.resize(index + 1, Armed::default());
        }
        let armed = &mut self.armed[index];
        armed.wanted = wanted;
        let Some(wanted) = wanted else { return };
        match armed.queued {
            Some((queued, owner)) if owner == slot && queued <= wanted => {}
            _ => self.push(wanted, slot),
        }
    }

    /// Forgets a session that is gone.
    pub(super) fn disarm(&mut self, slot: Slot) {
        if let Some(armed) = self.armed.get_mut(slot.index()) {
            if armed.queued.is_some() {
                self.live -= 1;
            }
            *armed = Armed::default();
        }
    }

    /// The earliest time at which `pop_expired` may have something to say.
    pub(super) fn next(&mut self) -> Option<Instant> {
        let first = self.first()?;
        Some(self.start?.instant(first))
    }

    fn first(&mut self) -> Option<Moment> {
        while let Some(&Reverse(entry)) = self.heap.peek() {
            if self.counts(entry) {
                return Some(entry.0);
            }
            self.heap.pop();
        }
        None
    }

    /// A session whose deadline has come. It has none until it is armed again.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<Slot> {
        let now = self.start?.moment(now);
        loop {
            let next = self.first()?;
            if next > now {
                return None;
            }
            let Reverse((_, slot)) = self.heap.pop()?;
            self.live -= 1;
            let armed = &mut self.armed[slot.index()];
            armed.queued = None;
            match armed.wanted {
                Some(wanted) if wanted > now => self.push(wanted, slot),
                Some(_) => {
                    armed.wanted = None;
                    return Some(slot);
                }
                None => {}
            }
        }
    }

    fn push(&mut self, when: Moment, slot: Slot) {
        let armed = &mut self.armed[slot.index()];
        if armed.queued.replace((when, slot)).is_none() {
            self.live += 1;
        }
        self.heap.push(Reverse((when, slot)));
        // Entries that no longer count would otherwise pile up under a far deadline that is set
        // again and again.
        if self.heap.len() > 64 + 4 * self.live {
            let mut heap = std::mem::take(&mut self.heap);
            heap.retain(|&Reverse(entry)| self.counts(entry));
            self.heap = heap;
        }
    }

    fn counts(&self, entry: (Moment, Slot)) -> bool {
        self.armed[entry.1.index()].queued == Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn slot(index: u32) -> Slot {
        Slot::new(index, 0)
    }

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_deadline_comes_once_and_in_order() {
        let start = Instant::now();
        let mut deadlines = Deadlines::default();
        deadlines.arm(start, slot(0), Some(start + millis(20)));
        deadlines.arm(start, slot(1), Some(start + millis(10)));
        assert_eq!(deadlines.next(), Some(start + millis(10)));
        assert_eq!(deadlines.pop_expired(start), None);
        assert_eq!(deadlines.pop_expired(start + millis(30)), Some(slot(1)));
        assert_eq!(deadlines.pop_expired(start + millis(30)), Some(slot(0)));
        assert_eq!(deadlines.pop_expired(start + millis(30)), None);
        assert_eq!(deadlines.next(), None);
    }

    #[test]
    fn a_deadline_that_moved_later_comes_later() {
        let start = Instant::now();
        let mut deadlines = Deadlines::default();
        deadlines.arm(start, slot(0), Some(start + millis(10)));
        deadlines.arm(start, slot(0), Some(start + millis(50)));
        assert_eq!(deadlines.pop_expired(start + millis(20)), None);
        assert_eq!(deadlines.next(), Some(start + millis(50)));
        assert_eq!(deadlines.pop_expired(start + millis(50)), Some(slot(0)));
    }

    #[test]
    fn a_removed_session_wakes_nobody() {
        let start = Instant::now();
        let mut deadlines = Deadlines::default();
        deadlines.arm(start, slot(3), Some(start + millis(10)));
        deadlines.disarm(slot(3));
        assert_eq!(deadlines.next(), None);
        // Its place is taken by another session, which is not woken by the old entry either.
        deadlines.arm(start, slot(3), Some(start + millis(10)));
        deadlines.disarm(slot(3));
        deadlines.arm(start, Slot::new(3, 1), Some(start + millis(40)));
        assert_eq!(deadlines.pop_expired(start + millis(10)), None);
        assert_eq!(
            deadlines.pop_expired(start + millis(40)),
            Some(Slot::new(3, 1))
        );
    }

    #[test]
    fn alternating_near_and_far_deadlines_do_not_pile_up() {
        let start = Instant::now();
        let mut deadlines = Deadlines::default();
        for round in 0..10_000 {
            let now = start + millis(round);
            deadlines.arm(start, slot(0), Some(now + Duration::from_secs(10)));
            deadlines.arm(start, slot(0), Some(now));
            assert_eq!(deadlines.pop_expired(now), Some(slot(0)));
        }
        assert!(deadlines.heap.len() <= 70, "{}", deadlines.heap.len());
    }
}
