//! When which session wants its timers looked at: queues that are cheap to re-arm.
//!
//! Nearly every datagram moves a session's deadline, nearly always later. So a queue is touched
//! only when a deadline moves earlier; an entry that comes up too early is put back. What is due
//! soon, as acknowledgements are, lies in a wheel, which takes and gives an entry in no time; what
//! will hardly ever be due stays where it is in a heap meanwhile.

mod heap;
mod wheel;

use std::time::Instant;

use super::table::Slot;
use crate::moment::{Moment, Start};
use heap::Heap;
use wheel::Wheel;

/// Room for so many entries is not given back.
const ROOM_KEPT: usize = 256;

/// The deadlines of one worker's sessions, one each, by the indices of their slots.
#[derive(Debug)]
pub(super) struct Deadlines {
    /// When the first was armed.
    start: Option<Start>,
    timers: Vec<Timer>,
    near: Queue<Wheel>,
    far: Queue<Heap>,
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
            self.push(wanted, index);
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
        self.near.entries.turn(now);
        loop {
            let near = self.near.pop_expired(&mut self.timers, now);
            let index = near.or_else(|| self.far.pop_expired(&mut self.timers, now))?;
            let timer = &mut self.timers[index];
            match timer.wanted {
                Some(wanted) if wanted <= now => {
                    timer.wanted = None;
                    return Some(index);
                }
                Some(wanted) if !timer.comes_up_by(wanted) => self.push(wanted, index),
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

    fn push(&mut self, when: Moment, index: usize) {
        if self.near.entries.reaches(when) {
            self.near.push(&mut self.timers, when, index);
        } else {
            self.far.push(&mut self.timers, when, index);
        }
    }
}

impl Timer {
    fn comes_up_by(&self, time: Moment) -> bool {
        self.queued.iter().flatten().any(|&queued| queued <= time)
    }
}

/// Entries in the order of their times.
trait Entries: Default {
    fn push(&mut self, when: Moment, index: u32);

    fn first(&mut self) -> Option<(Moment, u32)>;

    /// Takes the first off.
    fn pop(&mut self);

    fn len(&self) -> usize;

    fn retain(&mut self, counts: impl FnMut(Moment, u32) -> bool);
}

/// Slots in the order of their times.
#[derive(Debug)]
struct Queue<E> {
    distance: Distance,
    entries: E,
    /// How many of them count.
    live: usize,
}

impl<E: Entries> Queue<E> {
    fn new(distance: Distance) -> Self {
        Self {
            distance,
            entries: E::default(),
            live: 0,
        }
    }

    /// Puts a slot at this time in place of the one at which it is.
    fn push(&mut self, timers: &mut [Timer], when: Moment, index: usize) {
        let before = timers[index].queued[self.distance as usize].replace(when);
        self.live += usize::from(before.is_none());
        self.entries.push(when, index as u32);
        // Entries that do not count would otherwise pile up under a far one that is replaced again
        // and again.
        if self.entries.len() > 64 + 4 * self.live {
            self.entries.retain(|when, index| {
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
        while let Some((when, index)) = self.entries.first() {
            let index = index as usize;
            if timers[index].queued[self.distance as usize] == Some(when) {
                return Some((when, index));
            }
            self.entries.pop();
        }
        None
    }

    fn pop_expired(&mut self, timers: &mut [Timer], now: Moment) -> Option<usize> {
        let (_, index) = self.first(timers).filter(|&(first, _)| first <= now)?;
        self.entries.pop();
        self.forget(&mut timers[index]);
        Some(index)
    }
}

/// Whether a list that has had many more entries is to give room back.
fn is_roomy(len: usize, room: usize) -> bool {
    room > ROOM_KEPT && len < room / 8
}

#[cfg(test)]
mod tests {
    use std::{iter, time::Duration};

    use proptest::prelude::*;

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
        for len in [deadlines.near.entries.len(), deadlines.far.entries.len()] {
            assert!(len <= 70, "{len}");
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
        assert_eq!(deadlines.far.entries.len(), 1);
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
        for len in [deadlines.near.entries.len(), deadlines.far.entries.len()] {
            assert!(len <= 70, "{len}");
        }
    }

    #[test]
    fn queues_that_were_long_give_their_memory_back() {
        let start = Instant::now();
        for ahead in [millis(10), millis(1000)] {
            let mut deadlines = Deadlines::default();
            for index in 0..10_000 {
                deadlines.arm(start, slot(index), Some(start + ahead));
            }
            let room = |deadlines: &Deadlines| {
                deadlines.near.entries.room() + deadlines.far.entries.room()
            };
            assert!(room(&deadlines) >= 10_000);
            for _ in 0..10_000 {
                assert!(deadlines.pop_expired(start + ahead).is_some());
            }
            assert!(room(&deadlines) <= 2 * ROOM_KEPT, "{}", room(&deadlines));
            assert_eq!(
                deadlines.pop_expired(start + 2 * ahead + millis(1000)),
                None
            );
            assert!(deadlines.near.entries.room() == 0);
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Arm(u32, Option<u64>),
        Disarm(u32),
        Pass(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let micros = || prop_oneof![0..2000_u64, 0..50_000_u64, 0..20_000_000_u64];
        prop_oneof![
            4 => (0..8_u32, proptest::option::weighted(0.9, micros())).prop_map(|(index, at)| Step::Arm(index, at)),
            1 => (0..8_u32).prop_map(Step::Disarm),
            2 => micros().prop_map(Step::Pass),
        ]
    }

    proptest! {
        #[test]
        fn each_deadline_comes_when_it_is_wanted(steps in proptest::collection::vec(step(), 1..200)) {
            let mut now = Instant::now();
            let mut deadlines = Deadlines::default();
            let mut wanted = [None; 8];
            for step in steps {
                match step {
                    Step::Arm(index, after) => {
                        let at = after.map(|after| now + Duration::from_micros(after));
                        wanted[index as usize] = at;
                        deadlines.arm(now, slot(index), at);
                    }
                    Step::Disarm(index) => {
                        wanted[index as usize] = None;
                        deadlines.disarm(slot(index));
                    }
                    Step::Pass(after) => now += Duration::from_micros(after),
                }
                let first = wanted.iter().flatten().min().copied();
                let next = deadlines.next();
                prop_assert!(first.is_none_or(|first| next.is_some_and(|next| next <= first)));
                if next.is_none_or(|next| next > now) {
                    prop_assert_eq!(deadlines.pop_expired(now), None);
                }
                let mut due: Vec<_> = (0..8).filter(|&index| wanted[index].is_some_and(|at| at <= now)).collect();
                let mut popped: Vec<_> = iter::from_fn(|| deadlines.pop_expired(now)).collect();
                popped.iter().for_each(|&index| wanted[index] = None);
                due.sort_unstable();
                popped.sort_unstable();
                prop_assert_eq!(due, popped);
            }
        }
    }
}
