//! Segments that wait for others before them.

use std::collections::VecDeque;

use super::{KEPT_BYTES, queue::shrink, receive::Accepted};

/// Bytes of a place for a segment.
const SLOT: usize = size_of::<Option<Vec<u8>>>();

/// What lies beyond the first gap in the peer's stream.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// Slot `i` is the `i`-th number after the first that is missing. Slot 0 is always empty.
    slots: VecDeque<Option<Vec<u8>>>,
    bytes: usize,
    count: usize,
    /// Memory for those to come.
    spare: Vec<Vec<u8>>,
}

impl Gaps {
    #[inline]
    pub(super) fn keep(&mut self, slot: usize, payload: &[u8]) -> Accepted {
        let opened = slot > self.slots.len();
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        if self.slots[slot].is_some() {
            return Accepted::Duplicate;
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.extend_from_slice(payload);
        self.slots[slot] = Some(bytes);
        self.bytes += payload.len();
        self.count += 1;
        if opened {
            Accepted::OpenedGap
        } else {
            Accepted::OutOfOrder
        }
    }

    /// The first one that was missing has come.
    pub(super) fn advance(&mut self) {
        self.slots.pop_front();
    }

    /// The first one, if it is not missing.
    pub(super) fn take_first(&mut self) -> Option<Vec<u8>> {
        let first = self.slots.front_mut()?.take()?;
        self.slots.pop_front();
        self.bytes -= first.len();
        self.count -= 1;
        Some(first)
    }

    /// Keeps memory for those to come.
    pub(super) fn recycle(&mut self, mut memory: Vec<u8>) {
        if (self.spare.len() + 1) * memory.capacity() <= KEPT_BYTES {
            memory.clear();
            self.spare.push(memory);
        }
    }

    /// Gives back memory that holds nothing.
    pub(super) fn release_memory(&mut self) {
        self.spare = Vec::new();
        shrink(&mut self.slots);
    }

    /// Whether nothing is missing.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many wait.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of the places for what waits, and for what is missing before it.
    pub(super) fn bookkeeping(&self) -> usize {
        self.slots.len() * SLOT
    }

    /// The same if this slot is to be filled.
    pub(super) fn bookkeeping_with(&self, slot: usize) -> usize {
        self.slots.len().max(slot + 1) * SLOT
    }

    pub(super) fn check_invariants(&self) {
        assert!(
            !matches!(self.slots.front(), Some(Some(_))),
            "contiguous bytes left waiting"
        );
        let waiting = || self.slots.iter().flatten();
        assert_eq!(waiting().map(Vec::len).sum::<usize>(), self.bytes);
        assert_eq!(waiting().count(), self.count);
    }
}
