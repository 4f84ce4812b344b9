//! When which session wants its timers looked at: heaps that are cheap to re-arm.
//!
//! Nearly every datagram moves a session's deadline, nearly always later. So a heap is touched
//! only when a deadline moves earlier; an entry that comes up too early is put back. What is due
//! soon, as acknowledgements are, has a heap of its own: it holds few, and the entries of what will
//! hardly ever be due stay where they are meanwhile.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    time::{Duration, Instant},
};

use super::table::Slot;
use crate::moment::{Moment, Start};

/// No further ahead than this, a deadline is near: acknowledgements wait for less.
const NEAR: Duration = Duration::from_millis(30);
/// Room for so many entries is not given back.
const ROOM_KEPT: usize = 256;

/// The deadlines of one worker's sessions, one each, by the indices of their slots.
#[derive(Debug)]
pub(super) struct Deadlines {
    /// When the first was armed.
    start: Option<Start>,
    timers: Vec<Timer>,
    near: Queue,
    far: Queue,
}

/// A session's deadline, and what is queued for it: together, for another session's are seldom in
/// the same line of memory.
#[derive(Clone, Copy, Debug, Default)]
struct Timer {
    /// What wants anything is in one of the queues, and comes up no later.
    wanted: Option<Moment>,
    /// When it comes up in each of the queues. Other entries of it do not count.
    queued: [Option<Moment>; 2],
}

/// The queues, as indices.
#[derive(Clone, Copy, Debug)]
enum Distance {
    Near,
    Far,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            start: None,
            timers: Vec::new(),
            near: Queue::new(Distance::Near),
            far: Queue::new(Distance::Far),
        }
    }
}

impl Deadlines {
    /// Sets or clears the deadline of a session.
    pub(super) fn arm(&mut self, now: Instant, slot: Slot, wanted: Option<Instant>) {
        let start = *self.start.get_or_insert_with(|| Start::new(now));
        let wanted = wanted.map(|wanted| start.moment(wanted));
        let index = slot.index();
        if index >= self.timers.len() {
            self.timers.resize(index + 1, Timer::default());
        }
        let timer = &mut self.timers[index];
        timer.wanted = wanted;
        if let Some(wanted) = wanted
            && !timer.comes_up_by(wanted)
        {
            self.push(start.moment(now), wanted, index);
        }
    }

    /// Forgets a session that is gone.
    pub(super) fn disarm(&mut self, slot: Slot) {
        if let Some(timer) = self.timers.get_mut(slot.index()) {
            timer.wanted = None;
            self.near.forget(timer);
            self.far.forget(timer);
        }
    }

    /// The earliest time at which `pop_expired` may have something to say.
    pub(super) fn next(&mut self) -> Option<Instant> {
        let near = self.near.first(&self.timers).map(|(when, _)| when);
        let first = self.first_far_before(near).or(near)?;
        Some(self.start?.instant(first))
    }

    /// The index of a session whose deadline has come. It has none until it is armed again.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<usize> {
        let now = self.start?.moment(now);
        loop {
            let near = self.near.pop_expired(&mut self.timers, now);
            let index = near.or_else(|| self.far.pop_expired(&mut self.timers, now))?;
            let timer = &mut self.timers[index];
            match timer.wanted {
                Some(wanted) if wanted <= now => {
                    timer.wanted = None;
                    return Some(index);
                }
                Some(wanted) if !timer.comes_up_by(wanted) => self.push(now, wanted, index),
                _ => {}
            }
        }
    }

    /// When the first of the far ones comes up, unless a near one does before. Nobody is to wake for
    /// a deadline that has moved: as long as its entry is the first, that is moved as well.
    fn first_far_before(&mut self, near: Option<Moment>) -> Option<Moment> {
        loop {
            let (when, index) = self.far.first(&self.timers)?;
            if near.is_some_and(|near| near <= when) {
                return None;
            }
            let timer = &mut self.timers[index];
            if timer.wanted == Some(when) {
                return Some(when);
            }
            self.far.forget(timer);
            if let Some(wanted) = timer.wanted
                && !timer.comes_up_by(wanted)
            {
                self.far.push(&mut self.timers, wanted, index);
            }
        }
    }

    fn push(&mut self, now: Moment, when: Moment, index: usize) {
        let is_near = when <= now + NEAR;
        let queue = if is_near {
            &mut self.near
        } else {
            &mut self.far
        };
        queue.push(&mut self.timers, when, index);
    }
}

impl Timer {
    fn comes_up_by(&self, time: Moment) -> bool {
        self.queued.iter().flatten().any(|&queued| queued <= time)
    }
}

/// Slots in the order of their times.
#[derive(Debug)]
struct Queue {
    distance: Distance,
    heap: BinaryHeap<Reverse<(Moment, u32)>>,
    /// How many entries count.
    live: usize,
}

impl Queue {
    fn new(distance: Distance) -> Self {
        Self {
            distance,
            heap: BinaryHeap::new(),
            live: 0,
        }
    }

    /// Puts a slot at this time in place of the one at which it is.
    fn push(&mut self, timers: &mut [Timer], when: Moment, index: usize) {
        let before = timers[index].queued[self.distance as usize].replace(when);
        self.live += usize::from(before.is_none());
        self.heap.push(Reverse((when, index as u32)));
        // Entries that do not count would otherwise pile up under a far one that is replaced again
        // and again.
        if self.heap.len() > 64 + 4 * self.live {
            self.heap.retain(|&Reverse((when, index))| {
                timers[index as usize].queued[self.distance as usize] == Some(when)
            });
        }
    }

    fn forget(&mut self, timer: &mut Timer) {
        let queued = timer.queued[self.distance as usize].take();
        self.live -= usize::from(queued.is_some());
    }

    /// When the first slot comes up, and which it is.
    fn first(&mut self, timers: &[Timer]) -> Option<(Moment, usize)> {
        while let Some(&Reverse((when, index))) = self.heap.peek() {
            let index = index as usize;
            if timers[index].queued[self.distance as usize] == Some(when) {
                return Some((when, index));
            }
            self.pop();
        }
        None
    }

    fn pop_expired(&mut self, timers: &mut [Timer], now: Moment) -> Option<usize> {
        let (_, index) = self.first(timers).filter(|&(first, _)| first <= now)?;
        self.pop();
        self.forget(&mut timers[index]);
        Some(index)
    }

    /// Takes the first entry off. A heap that has had many more keeps room for some.
    fn pop(&mut self) {
        self.heap.pop();
        let (len, room) = (self.heap.len(), self.heap.capacity());
        if room > ROOM_KEPT && len < room / 8 {
            self.heap.shrink_to(ROOM_KEPT.max(2 * len));
        }
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
        assert_eq!(deadlines.pop_expired(start + millis(30)), Some(1));
        assert_eq!(deadlines.pop_expired(start + millis(30)), Some(0));
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
        assert_eq!(deadlines.pop_expired(start + millis(50)), Some(0));
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
        assert_eq!(deadlines.pop_expired(start + millis(40)), Some(3));
    }

    #[test]
    fn alternating_near_and_far_deadlines_do_not_pile_up() {
        let start = Instant::now();
        let mut deadlines = Deadlines::default();
        for round in 0..10_000 {
            let now = start + millis(round);
            deadlines.arm(start, slot(0), Some(now + Duration::from_secs(10)));
            deadlines.arm(start, slot(0), Some(now));
            assert_eq!(deadlines.pop_expired(now), Some(0));
        }
        for queue in [&deadlines.near, &deadlines.far] {
            assert!(queue.heap.len() <= 70, "{}", queue.heap.len());
        }
    }

    #[test]
    fn a_far_deadline_stays_queued_while_near_ones_come_and_go() {
        let start = Instant::now();
        let mut deadlines = Deadlines::default();
        let far = start + Duration::from_secs(10);
        for round in 0..100 {
            let now = start + millis(round);
            deadlines.arm(now, slot(0), Some(far));
            deadlines.arm(now, slot(0), Some(now + millis(1)));
            assert_eq!(deadlines.pop_expired(now + millis(1)), Some(0));
        }
        assert_eq!(deadlines.far.heap.len(), 1);
        deadlines.arm(start, slot(0), Some(far + millis(1)));
        assert_eq!(deadlines.pop_expired(far), None);
        assert_eq!(deadlines.pop_expired(far + millis(1)), Some(0));
    }

    #[test]
    fn a_far_deadline_that_moves_wakes_nobody_before_it_comes() {
        let start = Instant::now();
        let mut deadlines = Deadlines::default();
        for round in 0..100 {
            let now = start + millis(1000 * round);
            let far = now + Duration::from_secs(10);
            for at in [now + millis(1), far] {
                deadlines.arm(now, slot(0), Some(at));
                let next = deadlines.next();
                assert_eq!(next, Some(at), "round {round}");
                if at < far {
                    assert_eq!(deadlines.pop_expired(at), Some(0));
                }
            }
        }
        for queue in [&deadlines.near, &deadlines.far] {
            assert!(queue.heap.len() <= 70, "{}", queue.heap.len());
        }
    }

    #[test]
    fn a_queue_that_was_long_gives_its_memory_back() {
        let start = Instant::now();
        let mut deadlines = Deadlines::default();
        for index in 0..10_000 {
            deadlines.arm(start, slot(index), Some(start + millis(10)));
        }
        assert!(deadlines.near.heap.capacity() >= 10_000);
        for _ in 0..10_000 {
            assert!(deadlines.pop_expired(start + millis(10)).is_some());
        }
        let room = deadlines.near.heap.capacity();
        assert!(room <= ROOM_KEPT, "room for {room}");
    }
}
