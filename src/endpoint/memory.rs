//! What all sessions of a port hold together, and how much each of them may.
//!
//! A session holds bytes in four places: the two pipes and the two halves of its connection. Each
//! of the places may hold
//!
//! | while all hold of what is to be shared | so much |
//! |---|---|
//! | at most half | what the settings say |
//! | more | one session's part of the other half, at least [`LEAST`] |
//! | everything | [`LEAST`], with which whoever reads, and whoever writes to a peer that reads, gets on |
//!
//! For the latter [`FLOOR`] bytes for each session are not shared, up to half of the limit.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use super::tally::Tally;

/// What each place of a session may hold however scarce memory is. TLS waits for so much room.
pub(crate) const LEAST: usize = 4 * 1024;
/// The same for a session.
const FLOOR: u64 = 4 * LEAST as u64;

/// The memory that the sessions of a port share.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: Option<u64>,
    held: Tally,
    sessions: AtomicUsize,
}

impl Memory {
    /// At most so many bytes; `usize::MAX` is no limit.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Self::counted_by(limit, Tally::whole())
    }

    /// The same for many sessions: without a limit only statistics ask how much is held.
    pub(crate) fn of_many(limit: usize) -> Arc<Self> {
        let held = match limit {
            usize::MAX => Tally::in_parts(),
            _ => Tally::whole(),
        };
        Self::counted_by(limit, held)
    }

    fn counted_by(limit: usize, held: Tally) -> Arc<Self> {
        Arc::new(Self {
            limit: (limit < usize::MAX).then_some(limit as u64),
            held,
            sessions: AtomicUsize::new(0),
        })
    }

    /// Bytes held in all.
    pub(crate) fn held(&self) -> u64 {
        self.held.sum()
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// Whether there is nothing left to share.
    pub(crate) fn is_used_up(&self) -> bool {
        self.limit
            .is_some_and(|limit| self.held() > self.shared(limit))
    }

    /// Whether it is to be shared, for more than half of it is held.
    pub(crate) fn is_scarce(&self) -> bool {
        self.limit
            .is_some_and(|limit| self.held() > self.shared(limit) / 2)
    }

    /// How many bytes each place of a session may hold at present; `usize::MAX` is no limit.
    pub(crate) fn share(&self) -> usize {
        let Some(limit) = self.limit else {
            return usize::MAX;
        };
        let (half, held) = (self.shared(limit) / 2, self.held());
        if held <= half {
            usize::MAX
        } else if held > 2 * half {
            LEAST
        } else {
            let sessions = self.sessions.load(Relaxed).max(1);
            usize::try_from(half / sessions as u64).map_or(usize::MAX, |part| part.max(LEAST))
        }
    }

    /// A holder of so many bytes has another number of them now.
    #[inline]
    pub(crate) fn replace(&self, before: usize, now: usize) {
        if now > before {
            self.held.add((now - before) as u64);
        } else if now < before {
            self.held.subtract((before - now) as u64);
        }
    }

    pub(crate) fn enter(&self) {
        self.sessions.fetch_add(1, Relaxed);
    }

    pub(crate) fn leave(&self) {
        self.sessions.fetch_sub(1, Relaxed);
    }

    fn shared(&self, limit: u64) -> u64 {
        let kept_back = FLOOR.saturating_mul(self.sessions.load(Relaxed) as u64);
        limit - kept_back.min(limit / 2)
    }
}

/// What one holder has of it; given back when dropped.
#[derive(Debug)]
pub(crate) struct Holding {
    memory: Arc<Memory>,
    bytes: usize,
}

impl Holding {
    pub(crate) fn new(memory: Arc<Memory>) -> Self {
        Self { memory, bytes: 0 }
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// How many bytes the holder has now.
    #[inline]
    pub(crate) fn set(&mut self, bytes: usize) {
        let before = std::mem::replace(&mut self.bytes, bytes);
        self.memory.replace(before, bytes);
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    #[test]
    fn the_less_is_left_the_less_each_may_hold() {
        let memory = Memory::new(MIB);
        (0..10).for_each(|_| memory.enter());
        let shared = MIB - 10 * FLOOR as usize;
        let mut holding = Holding::new(memory.clone());
        for (held, share) in [
            (shared / 2, usize::MAX),
            (shared / 2 + 1, shared / 20),
            (shared, shared / 20),
            (shared + 1, LEAST),
        ] {
            holding.set(held);
            assert_eq!(memory.share(), share, "of {held} bytes");
            assert_eq!(memory.is_used_up(), held > shared);
            assert_eq!(memory.is_scarce(), share < usize::MAX);
        }
        (0..1000).for_each(|_| memory.enter());
        holding.set(MIB / 2);
        assert_eq!(memory.share(), LEAST);
        drop(holding);
        assert_eq!((memory.held(), memory.share()), (0, usize::MAX));
    }

    #[test]
    fn without_a_limit_it_is_only_counted() {
        for memory in [Memory::new(usize::MAX), Memory::of_many(usize::MAX)] {
            let mut holding = Holding::new(memory.clone());
            holding.set(usize::MAX / 2);
            assert_eq!(memory.share(), usize::MAX);
            assert!(!memory.is_used_up() && !memory.is_limited());
            assert_eq!(memory.held(), usize::MAX as u64 / 2);
        }
    }
}
