//! What is due soon: ticks side by side, each with what is due in it.
//!
//! To compare the times of all that is in a queue, again and again, would take longer than what is
//! done about it. Here only those of the first tick are, once.

use std::mem;

use super::{Entries, ROOM_KEPT, is_roomy};
use crate::moment::Moment;

/// A tick has two to the power of this many nanoseconds: 4.2 ms.
const TICK_BITS: u32 = 22;
/// In all 268 ms: acknowledgements wait for less, and repetitions on most paths.
const TICKS: usize = u64::BITS as usize;

/// The entries of the ticks from the present one on.
#[derive(Debug)]
pub(super) struct Wheel {
    ticks: [Vec<(Moment, u32)>; TICKS],
    /// What an emptied tick has left to the next that needs room.
    spare: Vec<(Moment, u32)>,
    /// Which have entries, and which are in order, the earliest last: a bit for each.
    occupied: u64,
    sorted: u64,
    /// The number of the present one since the start. What is due earlier is in it, too.
    present: u64,
    len: usize,
}

impl Wheel {
    /// Whether it has a place for this time.
    pub(super) fn reaches(&self, when: Moment) -> bool {
        tick_of(when).saturating_sub(self.present) < TICKS as u64
    }

    /// Has it reach further, by the time that has passed and of which no entry is left. If nothing
    /// was due for long, it gives its memory back.
    pub(super) fn turn(&mut self, now: Moment) {
        let empty = self.empty_ticks().unwrap_or(u64::MAX);
        let passed = tick_of(now).saturating_sub(self.present);
        self.present += passed.min(empty);
        if self.len == 0 && passed >= TICKS as u64 {
            self.ticks.fill_with(Vec::new);
            self.spare = Vec::new();
        }
    }

    /// How many ticks lie before the first that has entries, if any has.
    fn empty_ticks(&self) -> Option<u64> {
        let here = self.present % TICKS as u64;
        let from_here = self.occupied.rotate_right(here as u32);
        (from_here != 0).then(|| from_here.trailing_zeros().into())
    }

    /// The place of the first that has entries.
    fn first_occupied(&self) -> Option<usize> {
        Some(place_of(self.present + self.empty_ticks()?))
    }
}

impl Entries for Wheel {
    fn push(&mut self, when: Moment, index: u32) {
        let place = place_of(tick_of(when).max(self.present));
        let (tick, bit) = (&mut self.ticks[place], 1 << place);
        let entry = (when, index);
        if tick.capacity() == 0 {
            mem::swap(tick, &mut self.spare);
        }
        if self.occupied & self.sorted & bit != 0 {
            tick.insert(tick.partition_point(|&other| other > entry), entry);
        } else {
            tick.push(entry);
            self.sorted &= !bit;
        }
        self.occupied |= bit;
        self.len += 1;
    }

    fn first(&mut self) -> Option<(Moment, u32)> {
        let place = self.first_occupied()?;
        let tick = &mut self.ticks[place];
        if self.sorted & 1 << place == 0 {
            tick.sort_unstable_by(|one, other| other.cmp(one));
            self.sorted |= 1 << place;
        }
        tick.last().copied()
    }

    fn pop(&mut self) {
        let Some(place) = self.first_occupied() else {
            return;
        };
        let tick = &mut self.ticks[place];
        tick.pop();
        self.len -= 1;
        if tick.is_empty() {
            self.occupied &= !(1 << place);
        }
        if is_roomy(tick.len(), tick.capacity()) {
            tick.shrink_to(ROOM_KEPT.max(2 * tick.len()));
        }
        if tick.is_empty() && self.spare.capacity() == 0 {
            self.spare = mem::take(tick);
        }
    }

    fn len(&self) -> usize {
        self.len
    }

    fn retain(&mut self, mut counts: impl FnMut(Moment, u32) -> bool) {
        self.len = 0;
        for (place, tick) in self.ticks.iter_mut().enumerate() {
            tick.retain(|&(when, index)| counts(when, index));
            self.len += tick.len();
            if tick.is_empty() {
                self.occupied &= !(1 << place);
            }
        }
    }
}

impl Default for Wheel {
    fn default() -> Self {
        Self {
            ticks: [const { Vec::new() }; TICKS],
            spare: Vec::new(),
            occupied: 0,
            sorted: 0,
            present: 0,
            len: 0,
        }
    }
}

fn tick_of(when: Moment) -> u64 {
    when.nanos() >> TICK_BITS
}

fn place_of(tick: u64) -> usize {
    (tick % TICKS as u64) as usize
}

#[cfg(test)]
impl Wheel {
    pub(super) fn room(&self) -> usize {
        let ticks = self.ticks.iter().chain([&self.spare]);
        ticks.map(Vec::capacity).sum()
    }
}
