//! A queue of bytes in chunks, which pass from one queue to another without being copied.
//!
//! Between an application and a connection bytes cross threads, and what another processor has
//! written is dear to copy. So they are written once into chunks, and the chunks change hands. Few
//! bytes are copied all the same: a chunk for each would waste memory.

use std::{collections::VecDeque, fmt, io::IoSliceMut, ops::Range};

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

struct Held {
    len: usize,
    /// Only one that is alone may be empty.
    chunks: VecDeque<Chunk>,
    /// How many bytes have left, of all and of the first chunk.
    start: u64,
    gone: usize,
    spares: Vec<Vec<u8>>,
    /// Where bytes are put together that lie apart.
    scratch: Vec<u8>,
    /// What is in it is the last for a while.
    idle: bool,
}

struct Chunk {
    /// How many bytes had come when this chunk had.
    end: u64,
    bytes: Vec<u8>,
}

impl ByteQueue {
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

    /// The first bytes, as many as lie together; empty only if there are none.
    pub fn front(&self) -> &[u8] {
        let held = self.held.as_deref();
        let first = held.and_then(|held| Some(&held.chunks.front()?.bytes[held.gone..]));
        first.unwrap_or_default()
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
        let of = |held: &Held| -> usize {
            let chunks = held.chunks.iter().map(|chunk| &chunk.bytes);
            chunks.chain(&held.spares).map(Vec::capacity).sum()
        };
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
            // A message of a few bytes needs no more.
            chunks: VecDeque::with_capacity(1),
            start: 0,
            gone: 0,
            spares: Vec::new(),
            scratch: Vec::new(),
            idle: false,
        }
    }

    fn extend(&mut self, mut data: &[u8]) {
        self.len += data.len();
        while !data.is_empty() {
            let Some(chunk) = self
                .chunks
                .back_mut()
                .filter(|chunk| chunk.bytes.len() < CHUNK)
            else {
                let bytes = self.spares.pop().unwrap_or_default();
                self.append(bytes);
                continue;
            };
            let count = data.len().min(CHUNK - chunk.bytes.len());
            chunk.append(&data[..count]);
            data = &data[count..];
        }
    }

    /// Appends a chunk. Gives one that is spare, if there is any.
    fn push(&mut self, bytes: Vec<u8>) -> Option<Vec<u8>> {
        self.len += bytes.len();
        self.append(bytes);
        self.spares.pop()
    }

    fn append(&mut self, bytes: Vec<u8>) {
        let come = self.chunks.back().map_or(self.start, |chunk| chunk.end);
        if self
            .chunks
            .back()
            .is_some_and(|chunk| chunk.bytes.is_empty())
            && let Some(empty) = self.chunks.pop_back()
        {
            self.recycle(empty.bytes);
        }
        let end = come + bytes.len() as u64;
        self.chunks.push_back(Chunk { end, bytes });
    }

    fn consume(&mut self, mut left: usize) {
        self.start += left as u64;
        self.len -= left;
        let mut others = self.chunks.len();
        while let Some(chunk) = self.chunks.front_mut() {
            let there = chunk.bytes.len() - self.gone;
            if left < there {
                self.gone += left;
                return;
            }
            left -= there;
            self.gone = 0;
            others -= 1;
            if others == 0 {
                // What comes next goes into it.
                return chunk.bytes.clear();
            }
            if let Some(chunk) = self.chunks.pop_front() {
                self.recycle(chunk.bytes);
            }
        }
    }

    fn get(&mut self, range: Range<usize>) -> &[u8] {
        let from = self.start + range.start as u64;
        let mut index = self.chunks.partition_point(|chunk| chunk.end <= from);
        let Some(chunk) = self.chunks.get(index) else {
            return &[];
        };
        let place = chunk.bytes.len() - (chunk.end - from) as usize;
        if let Some(together) = chunk.bytes.get(place..place + range.len()) {
            return together;
        }
        let scratch = &mut self.scratch;
        scratch.clear();
        scratch.extend_from_slice(&chunk.bytes[place..]);
        while scratch.len() < range.len() {
            index += 1;
            let Some(chunk) = self.chunks.get(index) else {
                break;
            };
            let count = chunk.bytes.len().min(range.len() - scratch.len());
            scratch.extend_from_slice(&chunk.bytes[..count]);
        }
        scratch
    }

    fn shrink(&mut self) {
        self.idle = true;
        self.spares = Vec::new();
        self.scratch = Vec::new();
        if let Some(first) = self.chunks.front_mut() {
            first.bytes.drain(..self.gone);
            first.bytes.shrink_to_fit();
            self.gone = 0;
        }
    }

    #[inline]
    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let gone = std::iter::once(self.gone).chain(std::iter::repeat(0));
        let chunks = self.chunks.iter().zip(gone);
        chunks.map(|(chunk, gone)| &chunk.bytes[gone..])
    }

    fn pop_whole(&mut self, most: usize) -> Option<Vec<u8>> {
        let bytes = &self.chunks.front()?.bytes;
        let full = bytes.len() >= LEAST_MOVED.max(bytes.capacity() / 2);
        if self.gone > 0 || !full || bytes.len() > most {
            return None;
        }
        let bytes = self.chunks.pop_front()?.bytes;
        self.start += bytes.len() as u64;
        self.len -= bytes.len();
        Some(bytes)
    }

    fn recycle(&mut self, mut bytes: Vec<u8>) {
        if !self.idle && self.spares.len() < SPARES {
            bytes.clear();
            self.spares.push(bytes);
        }
    }
}

impl Chunk {
    /// Grows by doubling.
    fn append(&mut self, data: &[u8]) {
        let needed = self.bytes.len() + data.len();
        if needed > self.bytes.capacity() {
            let target = needed.max(SMALLEST).next_power_of_two();
            self.bytes.reserve_exact(target - self.bytes.len());
        }
        self.bytes.extend_from_slice(data);
        self.end += data.len() as u64;
    }
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
