//! The bytes of a pipe.

use std::{collections::VecDeque, fmt, io::IoSliceMut, mem};

/// The least that is allocated: small messages should not grow their ring step by step.
const SMALLEST: usize = 2 * 1024;

/// The most that is kept when the ring becomes empty.
const KEPT: usize = 1024 * 1024;

/// A bounded queue of bytes. What memory it keeps while it is empty is given back by `release`.
pub(super) struct ByteRing {
    bytes: VecDeque<u8>,
    limit: usize,
    /// What is in it is the last for a while.
    idle: bool,
}

impl ByteRing {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            bytes: VecDeque::new(),
            limit,
            idle: false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// How many bytes `push` would take.
    pub(super) fn room(&self) -> usize {
        self.limit.saturating_sub(self.bytes.len())
    }

    /// Appends as much of `data` as there is room for; returns how much that was.
    pub(super) fn push(&mut self, data: &[u8]) -> usize {
        let count = data.len().min(self.room());
        self.reserve(count);
        self.bytes.extend(&data[..count]);
        count
    }

    /// Appends all of `data`, even beyond the limit.
    pub(super) fn push_beyond(&mut self, data: &[u8]) {
        self.reserve(data.len());
        self.bytes.extend(data);
    }

    /// The first bytes, as many as lie together; empty only if there are none.
    pub(super) fn front(&self) -> &[u8] {
        self.bytes.as_slices().0
    }

    /// Removes the first `count` bytes.
    pub(super) fn consume(&mut self, count: usize) {
        if count >= self.bytes.len() {
            self.bytes.clear();
            if self.idle || self.bytes.capacity() > KEPT {
                self.clear();
            }
        } else {
            self.bytes.drain(..count);
        }
    }

    /// Copies the first bytes, at most `limit`, into the buffers in turn without removing them;
    /// returns how many were copied.
    pub(super) fn copy_to(&self, buffers: &mut [IoSliceMut<'_>], limit: usize) -> usize {
        let (mut front, mut back) = self.bytes.as_slices();
        let mut left = limit.min(self.bytes.len());
        for buffer in buffers {
            let mut free = &mut buffer[..];
            while left > 0 && !free.is_empty() {
                if front.is_empty() {
                    front = mem::take(&mut back);
                }
                let count = left.min(free.len()).min(front.len());
                let (target, rest) = free.split_at_mut(count);
                target.copy_from_slice(&front[..count]);
                (free, front, left) = (rest, &front[count..], left - count);
            }
        }
        limit.min(self.bytes.len()) - left
    }

    /// Removes everything and gives the memory back.
    pub(super) fn clear(&mut self) {
        self.bytes = VecDeque::new();
    }

    /// Gives the memory back once there is nothing in it, unless more comes before.
    pub(super) fn release(&mut self) {
        self.idle = true;
        if self.bytes.is_empty() {
            self.clear();
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Grows by doubling, but not beyond the limit without need.
    fn reserve(&mut self, count: usize) {
        self.idle = false;
        let needed = self.bytes.len() + count;
        if needed > self.bytes.capacity() {
            let doubled = needed.max(SMALLEST).next_power_of_two();
            let target = doubled.min(self.limit.max(needed));
            self.bytes.reserve_exact(target - self.bytes.len());
        }
    }
}

impl fmt::Debug for ByteRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes", self.len(), self.limit)
    }
}
