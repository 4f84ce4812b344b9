//! What is due some time: few of it ever are.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{Entries, ROOM_KEPT, is_roomy};
use crate::moment::Moment;

#[derive(Debug, Default)]
pub(super) struct Heap(BinaryHeap<Reverse<(Moment, u32)>>);

impl Entries for Heap {
    fn push(&mut self, when: Moment, index: u32) {
        self.0.push(Reverse((when, index)));
    }

    fn first(&mut self) -> Option<(Moment, u32)> {
        self.0.peek().map(|&Reverse(first)| first)
    }

    fn pop(&mut self) {
        self.0.pop();
        if is_roomy(self.0.len(), self.0.capacity()) {
            self.0.shrink_to(ROOM_KEPT.max(2 * self.0.len()));
        }
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn retain(&mut self, mut counts: impl FnMut(Moment, u32) -> bool) {
        self.0.retain(|&Reverse((when, index))| counts(when, index));
    }
}

#[cfg(test)]
impl Heap {
    pub(super) fn room(&self) -> usize {
        self.0.capacity()
    }
}
