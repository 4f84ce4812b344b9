//! A queue of bytes in chunks, which pass from one queue to another without being copied.
//!
//! Between an application and a connection bytes cross threads, and what another processor has
//! written is dear to copy. So they are written once into chunks, and the chunks change hands. Few
//! bytes are copied all the same: a chunk for each would waste memory.

use std::{collections::VecDeque, fmt, io::IoSliceMut, iter, mem, ops::Range};

use crate::prefetch::prefetch;

#[cfg(test)]
mod tests;

/// The longest chunk.
const CHUNK: usize = 64 * 1024;
/// The shortest one: small messages should not grow theirs step by step.
const SMALLEST: usize = 64;
/// What is shorter is copied.
const LEAST_MOVED: usize = 4 * 1024;
/// Empty chunks that are kept for the next bytes ...
const SPARES: usize = super::KEPT_BYTES / CHUNK;
/// ... or as many as were needed while so many bytes passed: where a reader is late now and then, it
/// will be again.
const LATELY: u64 = 256 * 1024 * 1024;

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
    needed: Needed,
    /// Where bytes are put together that lie apart.
    scratch: Vec<u8>,
}

/// How many chunks there were at most while the last `LATELY` bytes passed, and the bytes before.
#[derive(Default)]
struct Needed {
    now: usize,
    before: usize,
    since: u64,
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
            rest.needed = Needed::default();
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

    fn recycle(&mut self, bytes: Vec<u8>) {
        if !self.idle && bytes.capacity() > 0 {
            self.rest.get_or_insert_default().recycle(bytes, self.start);
        }
    }
}

impl Rest {
    /// Keeps an empty chunk, if it may be needed. `passed` is how many bytes have left the queue.
    fn recycle(&mut self, mut bytes: Vec<u8>, passed: u64) {
        let most = self.needed.most(passed).max(SPARES);
        if self.spares.len() < most {
            bytes.clear();
            self.spares.push(bytes);
        } else {
            self.spares.truncate(most);
        }
    }

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
            self.push(Chunk { end, bytes });
        }
    }

    fn push(&mut self, chunk: Chunk) {
        self.chunks.push_back(chunk);
        self.needed.now = self.needed.now.max(self.chunks.len());
    }

    fn append(&mut self, bytes: Vec<u8>, come: u64) {
        let before = self.chunks.back().map_or(come, |chunk| chunk.end);
        let end = before + bytes.len() as u64;
        self.push(Chunk { end, bytes });
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

impl Needed {
    fn most(&mut self, passed: u64) -> usize {
        if passed.saturating_sub(self.since) >= LATELY {
            (self.before, self.now, self.since) = (self.now, 0, passed);
        }
        self.before.max(self.now)
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
