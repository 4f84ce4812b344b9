//! Sessions that may have to make room, because nothing shows that anybody is behind them, however
//! long somebody goes on talking in their name.

use std::{collections::VecDeque, time::Instant};

use super::{port::PortId, table::Slot};
use crate::connection::shrink_queue;

/// How many are looked at for one that can go.
const LOOKS: usize = 64;
/// Fewer are never too many.
const FEW: usize = 1024;

/// The silent sessions of one worker, in the order in which they became so: most of them when their
/// peers opened them.
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    queue: VecDeque<Newcomer>,
    /// Beyond so many, those that need not go are forgotten wherever they stand: behind one that is
    /// silent, any number may come and go.
    many: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Newcomer {
    pub(super) port: PortId,
    pub(super) slot: Slot,
    pub(super) since: Instant,
    /// It seemed to answer meanwhile: its earlier place counts no more.
    pub(super) again: bool,
}

impl Newcomers {
    /// Adds one. `is_silent` says whether a session still is one that may go.
    pub(super) fn add(&mut self, newcomer: Newcomer, is_silent: impl Fn(&Newcomer) -> bool) {
        self.prune(&is_silent);
        if self.queue.len() >= self.many.max(FEW) {
            self.queue.retain(is_silent);
            self.many = 2 * self.queue.len();
        }
        self.queue.push_back(newcomer);
    }

    /// The oldest of this port that is silent and makes room by going, if it has been so since
    /// `latest` at least.
    pub(super) fn oldest(
        &mut self,
        port: PortId,
        latest: Instant,
        is_silent: impl Fn(&Newcomer) -> bool,
        makes_room: impl Fn(Slot) -> bool,
    ) -> Option<Slot> {
        for _ in 0..LOOKS.min(self.queue.len()) {
            let oldest = *self.queue.front()?;
            if is_silent(&oldest) {
                if oldest.port == port && makes_room(oldest.slot) {
                    return (oldest.since <= latest).then_some(oldest.slot);
                }
                self.queue.push_back(oldest);
            }
            self.queue.pop_front();
        }
        None
    }

    /// Forgets the oldest that need not go.
    pub(super) fn prune(&mut self, is_silent: impl Fn(&Newcomer) -> bool) {
        while let Some(oldest) = self.queue.front() {
            if is_silent(oldest) {
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

    fn newcomer(port: u32, index: u32) -> Newcomer {
        Newcomer {
            port: PortId(port),
            slot: slot(index),
            since: Instant::now(),
            again: false,
        }
    }

    /// The oldest, which goes.
    fn take(
        newcomers: &mut Newcomers,
        port: u32,
        is_silent: impl Fn(&Newcomer) -> bool,
    ) -> Option<Slot> {
        let oldest = newcomers.oldest(PortId(port), Instant::now(), &is_silent, |_| true);
        newcomers.prune(|newcomer| Some(newcomer.slot) != oldest && is_silent(newcomer));
        oldest
    }

    #[test]
    fn the_oldest_that_is_silent_goes_first() {
        let mut newcomers = Newcomers::default();
        for index in 0..5 {
            newcomers.add(newcomer(index % 2, index), |_| true);
        }
        let silent = |newcomer: &Newcomer| newcomer.slot.index() != 0;
        assert_eq!(take(&mut newcomers, 0, silent), Some(slot(2)));
        assert_eq!(take(&mut newcomers, 0, silent), Some(slot(4)));
        assert_eq!(take(&mut newcomers, 0, silent), None);
        assert_eq!(take(&mut newcomers, 1, silent), Some(slot(1)));
    }

    #[test]
    fn those_that_need_not_go_are_forgotten() {
        let mut newcomers = Newcomers::default();
        for index in 0..1000 {
            newcomers.add(newcomer(0, index), |_| false);
        }
        assert!(newcomers.len() <= 2, "{}", newcomers.len());
    }

    #[test]
    fn those_behind_a_silent_one_are_forgotten_too() {
        let mut newcomers = Newcomers::default();
        let silent = |newcomer: &Newcomer| newcomer.slot.index().is_multiple_of(1000);
        for index in 0..1_000_000 {
            newcomers.add(newcomer(0, index), silent);
            assert!(newcomers.len() <= FEW.max(2 * (1 + index as usize / 1000)));
        }
        for index in 0..1000 {
            assert_eq!(take(&mut newcomers, 0, silent), Some(slot(1000 * index)));
        }
    }
}
