//! A queue of bytes in chunks, which pass from one queue to another without being copied.
//!
//! Between an application and a connection bytes cross threads, and what another processor has
//! written is dear to copy. So they are written once into chunks, and the chunks change hands. Few
//! bytes are copied all the same: a chunk for each would waste memory.

use std::{collections::VecDeque, fmt, io::IoSliceMut, iter, mem, ops::Range};

use crate::prefetch::prefetch;

/// The longest chunk.
const CHUNK: usize = 64 * 1024;
/// The shortest one: small messages should not grow theirs step by step.
const SMALLEST: usize = 64;
/// What is shorter is copied.
const LEAST_MOVED: usize = 4 * 1024;
/// Empty chunks that are kept for the next bytes.
const SPARES: usize = super::KEPT_BYTES / CHUNK;

/// A queue of bytes. What memory it keeps while it is empty is given back by `release_memory`: then
/// it is no more than a word, for most queues of most connections are empty most of the time.
#[derive(Default)]
pub struct ByteQueue {
    held: Option<Box<Held>>,
}

/// Most queues have no more than a chunk, so the first lies here: to follow each pointer may mean to
/// wait for another processor's memory.
struct Held {
    len: usize,
    /// Empty only if it is alone.
    first: Vec<u8>,
    /// How many bytes have left, of all and of the first chunk.
    start: u64,
    gone: u32,
    /// What is in it is the last for a while.
    idle: bool,
    /// Once there was more than one chunk.
    rest: Option<Box<Rest>>,
}

/// The chunks behind the first, and what else only busy queues need.
#[derive(Default)]
struct Rest {
    chunks: VecDeque<Chunk>,
    spares: Vec<Vec<u8>>,
    /// Where bytes are put together that lie apart.
    scratch: Vec<u8>,
}

struct Chunk {
    /// How many bytes had come when this chunk had.
    end: u64,
    bytes: Vec<u8>,
}

impl ByteQueue {
    pub(super) fn prefetch(&self) {
        if let Some(held) = self.held.as_deref() {
            prefetch(held);
        }
    }

    /// Bytes in the queue.
    #[inline]
    pub fn len(&self) -> usize {
        self.held.as_deref().map_or(0, |held| held.len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a copy of `data`.
    pub fn extend(&mut self, data: &[u8]) {
        if !data.is_empty() {
            self.for_more().extend(data);
        }
    }

    /// Moves bytes from the front of `other` to the end of this queue: at least `wanted` if there
    /// are as many, and at most `most`. Returns how many.
    pub fn append_from(&mut self, other: &mut Self, wanted: usize, most: usize) -> usize {
        if self.is_empty() && other.len() <= wanted.min(most) {
            return self.take_all(other);
        }
        let mut moved = 0;
        while moved < wanted.min(most) && !other.is_empty() {
            moved += match other.pop_whole(most - moved) {
                Some(bytes) => {
                    let count = bytes.len();
                    let spare = self.for_more().push(bytes);
                    // There, chunks are filled, and here they become empty.
                    if let (Some(spare), Some(held)) = (spare, &mut other.held) {
                        held.recycle(spare);
                    }
                    count
                }
                None => {
                    let count = other.front().len().min(most - moved);
                    self.extend(&other.front()[..count]);
                    other.consume(count);
                    count
                }
            };
        }
        moved
    }

    /// Takes the place of `other`, to which this queue, which is empty, leaves its memory.
    fn take_all(&mut self, other: &mut Self) -> usize {
        let Some(all) = other.held.take_if(|all| all.len > 0) else {
            return 0;
        };
        let (count, was_idle) = (all.len, all.idle);
        let left = self.held.replace(all);
        other.held = left.filter(|_| !was_idle);
        self.for_more();
        count
    }

    /// The first bytes, as many as lie together; empty only if there are none.
    pub fn front(&self) -> &[u8] {
        self.held.as_deref().map_or(&[], Held::front)
    }

    /// Removes the first `count` bytes.
    pub fn consume(&mut self, count: usize) {
        if let Some(held) = &mut self.held {
            held.consume(count.min(held.len));
            if held.len == 0 && held.idle {
                self.held = None;
            }
        }
    }

    /// Copies the first bytes, at most `limit`, into the buffers in turn without removing them;
    /// returns how many were copied.
    pub fn copy_to(&self, buffers: &mut [IoSliceMut<'_>], limit: usize) -> usize {
        let most = limit.min(self.len());
        let mut slices = self.slices();
        let mut slice: &[u8] = &[];
        let mut left = most;
        for buffer in buffers {
            let mut free = &mut buffer[..];
            while left > 0 && !free.is_empty() {
                if slice.is_empty() {
                    slice = slices.next().unwrap_or_default();
                }
                let count = left.min(free.len()).min(slice.len());
                let (target, rest) = free.split_at_mut(count);
                target.copy_from_slice(&slice[..count]);
                (free, slice, left) = (rest, &slice[count..], left - count);
            }
        }
        most - left
    }

    /// Bytes by their places from the front, put together if they lie apart.
    pub fn get(&mut self, range: Range<usize>) -> &[u8] {
        match &mut self.held {
            Some(held) => held.get(range),
            None => &[],
        }
    }

    /// Removes everything and gives the memory back.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Gives memory back that holds nothing, and the rest once it holds nothing, unless more bytes
    /// come before.
    pub fn release_memory(&mut self) {
        match &mut self.held {
            Some(held) if held.len > 0 => held.shrink(),
            held => *held = None,
        }
    }

    /// Bytes of memory held.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        let of_rest = |rest: &Rest| -> usize {
            let chunks = rest.chunks.iter().map(|chunk| &chunk.bytes);
            chunks.chain(&rest.spares).map(Vec::capacity).sum()
        };
        let of = |held: &Held| held.first.capacity() + held.rest.as_deref().map_or(0, of_rest);
        self.held.as_deref().map_or(0, of)
    }

    #[inline]
    fn for_more(&mut self) -> &mut Held {
        let held = self.held.get_or_insert_with(|| Box::new(Held::new()));
        held.idle = false;
        held
    }

    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        self.held.iter().flat_map(|held| held.slices())
    }

    /// Removes the first chunk if it is worth it to move it, and no longer than this.
    fn pop_whole(&mut self, most: usize) -> Option<Vec<u8>> {
        self.held.as_mut()?.pop_whole(most)
    }
}

impl Held {
    fn new() -> Self {
        Self {
            len: 0,
            first: Vec::new(),
            start: 0,
            gone: 0,
            idle: false,
            rest: None,
        }
    }

    #[inline]
    fn front(&self) -> &[u8] {
        &self.first[self.gone as usize..]
    }

    fn extend(&mut self, mut data: &[u8]) {
        let is_alone = self.front().len() == self.len;
        self.len += data.len();
        if is_alone {
            if self.first.capacity() == 0 {
                self.first = self.spare().unwrap_or_default();
            }
            data = fill(&mut self.first, data);
        }
        if data.is_empty() {
            return;
        }
        let come = self.start + self.front().len() as u64;
        self.rest.get_or_insert_default().extend(data, come);
    }

    /// Appends a chunk. Gives one that is spare, if there is any.
    fn push(&mut self, bytes: Vec<u8>) -> Option<Vec<u8>> {
        self.len += bytes.len();
        if self.first.is_empty() {
            let empty = mem::replace(&mut self.first, bytes);
            self.recycle(empty);
        } else {
            let come = self.start + self.front().len() as u64;
            self.rest.get_or_insert_default().append(bytes, come);
        }
        self.spare()
    }

    fn spare(&mut self) -> Option<Vec<u8>> {
        self.rest.as_mut()?.spares.pop()
    }

    fn consume(&mut self, mut left: usize) {
        self.start += left as u64;
        self.len -= left;
        loop {
            let there = self.front().len();
            if left < there {
                self.gone += left as u32;
                return;
            }
            left -= there;
            self.gone = 0;
            let Some(next) = self.pop_rest() else {
                // What comes next goes into it.
                return self.first.clear();
            };
            let empty = mem::replace(&mut self.first, next);
            self.recycle(empty);
        }
    }

    fn get(&mut self, range: Range<usize>) -> &[u8] {
        let first = &self.first[self.gone as usize..];
        if range.end <= first.len() {
            return &first[range];
        }
        match &mut self.rest {
            Some(rest) => rest.get(first, self.start, range),
            None => &[],
        }
    }

    fn shrink(&mut self) {
        self.idle = true;
        if let Some(rest) = &mut self.rest {
            rest.spares = Vec::new();
            rest.scratch = Vec::new();
        }
        self.rest.take_if(|rest| rest.chunks.is_empty());
        self.first.drain(..mem::take(&mut self.gone) as usize);
        self.first.shrink_to_fit();
    }

    #[inline]
    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let rest = self.rest.iter().flat_map(|rest| &rest.chunks);
        iter::once(self.front()).chain(rest.map(|chunk| &chunk.bytes[..]))
    }

    fn pop_whole(&mut self, most: usize) -> Option<Vec<u8>> {
        let bytes = &self.first;
        let full = bytes.len() >= LEAST_MOVED.max(bytes.capacity() / 2);
        if self.gone > 0 || !full || bytes.len() > most {
            return None;
        }
        self.start += bytes.len() as u64;
        self.len -= bytes.len();
        let next = self.pop_rest().unwrap_or_default();
        Some(mem::replace(&mut self.first, next))
    }

    fn pop_rest(&mut self) -> Option<Vec<u8>> {
        Some(self.rest.as_mut()?.chunks.pop_front()?.bytes)
    }

    fn recycle(&mut self, mut bytes: Vec<u8>) {
        if self.idle || bytes.capacity() == 0 {
            return;
        }
        let spares = &mut self.rest.get_or_insert_default().spares;
        if spares.len() < SPARES {
            bytes.clear();
            spares.push(bytes);
        }
    }
}

impl Rest {
    /// Appends to the last chunk, and in more of them. `come` is how many bytes had come with what
    /// lies before all of these.
    fn extend(&mut self, mut data: &[u8], come: u64) {
        loop {
            if let Some(last) = self.chunks.back_mut() {
                let left = fill(&mut last.bytes, data);
                last.end += (data.len() - left.len()) as u64;
                data = left;
            }
            if data.is_empty() {
                return;
            }
            let bytes = self.spares.pop().unwrap_or_default();
            let end = self.chunks.back().map_or(come, |chunk| chunk.end);
            self.chunks.push_back(Chunk { end, bytes });
        }
    }

    fn append(&mut self, bytes: Vec<u8>, come: u64) {
        let before = self.chunks.back().map_or(come, |chunk| chunk.end);
        let end = before + bytes.len() as u64;
        self.chunks.push_back(Chunk { end, bytes });
    }

    /// Bytes by their places, some of which are behind those of `first`, from `start` on.
    fn get<'a>(&'a mut self, first: &'a [u8], start: u64, range: Range<usize>) -> &'a [u8] {
        let from = start + range.start as u64;
        let mut index = self.chunks.partition_point(|chunk| chunk.end <= from);
        let bytes = match first.get(range.start..) {
            Some(bytes) if !bytes.is_empty() => bytes,
            _ => {
                let Some(chunk) = self.chunks.get(index) else {
                    return &[];
                };
                index += 1;
                &chunk.bytes[chunk.bytes.len() - (chunk.end - from) as usize..]
            }
        };
        if let Some(together) = bytes.get(..range.len()) {
            return together;
        }
        let scratch = &mut self.scratch;
        scratch.clear();
        scratch.extend_from_slice(bytes);
        for chunk in self.chunks.range(index..) {
            let count = chunk.bytes.len().min(range.len() - scratch.len());
            scratch.extend_from_slice(&chunk.bytes[..count]);
            if scratch.len() == range.len() {
                break;
            }
        }
        scratch
    }
}

/// Appends to a chunk what fits into it; returns what does not. It grows by doubling.
fn fill<'a>(chunk: &mut Vec<u8>, data: &'a [u8]) -> &'a [u8] {
    let count = data.len().min(CHUNK.saturating_sub(chunk.len()));
    let needed = chunk.len() + count;
    if needed > chunk.capacity() {
        let target = needed.max(SMALLEST).next_power_of_two();
        chunk.reserve_exact(target - chunk.len());
    }
    let (now, later) = data.split_at(count);
    chunk.extend_from_slice(now);
    later
}

impl fmt::Debug for ByteQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(queue: &ByteQueue) -> Vec<u8> {
        let mut all = vec![0; queue.len()];
        let copied = queue.copy_to(&mut [IoSliceMut::new(&mut all)], usize::MAX);
        assert_eq!(copied, queue.len());
        all
    }

    #[test]
    fn a_full_chunk_is_moved_and_an_empty_one_comes_back() {
        let (mut from, mut to) = (ByteQueue::default(), ByteQueue::default());
        from.extend(&[7; CHUNK]);
        let place = from.front().as_ptr();
        assert_eq!(to.append_from(&mut from, 1, usize::MAX), CHUNK);
        assert_eq!(to.front().as_ptr(), place);
        to.consume(CHUNK);
        from.extend(&[8; CHUNK]);
        to.append_from(&mut from, 1, usize::MAX);
        from.extend(&[9; 1]);
        assert_eq!(from.front().as_ptr(), place);
    }

    #[test]
    fn few_bytes_are_copied() {
        let (mut from, mut to) = (ByteQueue::default(), ByteQueue::default());
        for _ in 0..100 {
            from.extend(&[1; 10]);
            assert_eq!(to.append_from(&mut from, usize::MAX, usize::MAX), 10);
        }
        assert!(to.capacity() <= 1024 && from.capacity() <= SMALLEST);
    }

    proptest! {
        /// Two queues, of which one is emptied into the other, behave as queues of bytes; memory is
        /// at most twice what they hold and what they keep, and nothing after release.
        #[test]
        fn queues_keep_every_byte_in_order(
            steps in prop::collection::vec((0..4u8, 0..200_000usize), 1..40),
        ) {
            let (mut first, mut second) = (ByteQueue::default(), ByteQueue::default());
            let (mut model, mut model2) = (VecDeque::new(), VecDeque::new());
            let mut next = 0u8;
            for (step, size) in steps {
                match step {
                    0 | 1 => {
                        let mut draw = || {
                            next = next.wrapping_mul(5).wrapping_add(1);
                            next
                        };
                        let data: Vec<u8> = (0..size / 4).map(|_| draw()).collect();
                        first.extend(&data);
                        model.extend(data);
                    }
                    2 => {
                        let count = second.append_from(&mut first, size / 2, size);
                        prop_assert!(count <= size && count >= (size / 2).min(model.len()));
                        model2.extend(model.drain(..count));
                    }
                    _ => {
                        second.consume(size);
                        model2.drain(..size.min(model2.len()));
                    }
                }
                prop_assert_eq!(bytes(&first), Vec::from(model.clone()));
                prop_assert_eq!(bytes(&second), Vec::from(model2.clone()));
                let (from, to) = (model2.len() / 3, model2.len() / 2);
                let some: Vec<u8> = model2.range(from..to).copied().collect();
                prop_assert_eq!(second.get(from..to), &some);
                let mut halves = (vec![0; from / 3], vec![0; to - from / 3]);
                let mut buffers = [IoSliceMut::new(&mut halves.0), IoSliceMut::new(&mut halves.1)];
                prop_assert_eq!(second.copy_to(&mut buffers, from), from);
                let both: Vec<u8> = halves.0.into_iter().chain(halves.1).take(from).collect();
                prop_assert!(both.iter().eq(model2.range(..from)));
                let kept = (SPARES + 2) * CHUNK;
                prop_assert!(first.capacity() <= 2 * first.len() + kept);
                prop_assert!(second.capacity() <= 2 * second.len() + kept);
            }
            first.release_memory();
            first.consume(usize::MAX);
            prop_assert_eq!(first.capacity(), 0);
        }
    }
}
