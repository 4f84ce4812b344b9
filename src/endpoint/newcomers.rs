//! Sessions that may have to make room, because nothing shows that anybody is behind them, however
//! long somebody goes on talking in their name.

use std::collections::VecDeque;

use super::{port::PortId, table::Slot};
use crate::connection::shrink_queue;

/// How many are looked at for one that can go.
const LOOKS: usize = 64;
/// Fewer are never too many.
const FEW: usize = 1024;

/// The sessions of one worker that peers opened lately, oldest first.
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    queue: VecDeque<Newcomer>,
    /// Beyond so many, those that need not go are forgotten wherever they stand: behind one that is
    /// silent, any number may come and go.
    many: usize,
}

#[derive(Clone, Copy, Debug)]
struct Newcomer {
    port: PortId,
    slot: Slot,
}

impl Newcomers {
    /// Adds one. `is_silent` says whether a session still is one that may go.
    pub(super) fn add(&mut self, port: PortId, slot: Slot, is_silent: impl Fn(Slot) -> bool) {
        self.prune(&is_silent);
        if self.queue.len() >= self.many.max(FEW) {
            self.queue.retain(|newcomer| is_silent(newcomer.slot));
            self.many = 2 * self.queue.len();
        }
        self.queue.push_back(Newcomer { port, slot });
    }

    /// Takes the oldest of this port that is silent and makes room by going.
    pub(super) fn take_oldest(
        &mut self,
        port: PortId,
        is_silent: impl Fn(Slot) -> bool,
        makes_room: impl Fn(Slot) -> bool,
    ) -> Option<Slot> {
        for _ in 0..LOOKS.min(self.queue.len()) {
            let oldest = self.queue.pop_front()?;
            if !is_silent(oldest.slot) {
                continue;
            }
            if oldest.port == port && makes_room(oldest.slot) {
                return Some(oldest.slot);
            }
            self.queue.push_back(oldest);
        }
        None
    }

    /// Forgets the oldest that need not go.
    pub(super) fn prune(&mut self, is_silent: impl Fn(Slot) -> bool) {
        while let Some(oldest) = self.queue.front() {
            if is_silent(oldest.slot) {
                return shrink_queue(&mut self.queue);
            }
            self.queue.pop_front();
        }
        *self = Self::default();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(index: u32) -> Slot {
        Slot::new(index, 0)
    }

    #[test]
    fn the_oldest_that_is_silent_goes_first() {
        let mut newcomers = Newcomers::default();
        for index in 0..5 {
            newcomers.add(PortId(index % 2), slot(index), |_| true);
        }
        let silent = |slot: Slot| slot.index() != 0;
        assert_eq!(
            newcomers.take_oldest(PortId(0), silent, |_| true),
            Some(slot(2))
        );
        assert_eq!(
            newcomers.take_oldest(PortId(0), silent, |_| true),
            Some(slot(4))
        );
        assert_eq!(newcomers.take_oldest(PortId(0), silent, |_| true), None);
        assert_eq!(
            newcomers.take_oldest(PortId(1), silent, |_| true),
            Some(slot(1))
        );
    }

    #[test]
    fn those_that_need_not_go_are_forgotten() {
        let mut newcomers = Newcomers::default();
        for index in 0..1000 {
            newcomers.add(PortId(0), slot(index), |_| false);
        }
        assert!(newcomers.len() <= 2, "{}", newcomers.len());
    }

    #[test]
    fn those_behind_a_silent_one_are_forgotten_too() {
        let mut newcomers = Newcomers::default();
        let silent = |slot: Slot| slot.index().is_multiple_of(1000);
        for index in 0..1_000_000 {
            newcomers.add(PortId(0), slot(index), silent);
            assert!(newcomers.len() <= FEW.max(2 * (1 + index as usize / 1000)));
        }
        for index in 0..1000 {
            let oldest = newcomers.take_oldest(PortId(0), silent, |_| true);
            assert_eq!(oldest, Some(slot(1000 * index)));
        }
    }
}
