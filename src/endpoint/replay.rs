//! Recordings: datagrams that could open a session, and have been here before.
//!
//! mKCP proves neither where a datagram comes from nor when it was made: whoever records the first
//! datagrams of a session can send them again from anywhere, and they are as genuine as before.
//! With a seed each carries a random nonce, which nobody can change, and a peer that repeats a
//! segment seals it anew. A nonce seen twice is therefore a copy, made by the network or by an
//! attacker.
//!
//! All datagrams that could open a session are remembered, not only those that did: each of the
//! first flight could do it as well. Those that a recorder has seen and this port has not, because
//! they were lost or withheld on the way, cannot be known.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::OnceLock,
};

use parking_lot::Mutex;

use crate::packet::aead::NONCE_LEN;

/// What makes a sealed datagram unique.
pub(super) type Nonce = [u8; NONCE_LEN];

/// The datagrams of a port that could have opened sessions.
#[derive(Default)]
pub(super) struct Replays {
    /// Many ports never see one.
    seen: OnceLock<Mutex<Seen>>,
}

impl Replays {
    /// Remembers a datagram; returns whether it is here for the first time.
    pub(super) fn is_first(&self, nonce: Nonce) -> bool {
        let seen = self.seen.get_or_init(|| Mutex::new(Seen::new()));
        seen.lock().insert(nonce)
    }
}

impl fmt::Debug for Replays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replays").finish_non_exhaustive()
    }
}

/// The latest nonces, whatever their age, in half a MiB that is taken at once: a table that grew
/// would stand still for each of its doublings.
///
/// A nonce is known by a print of it, and has its place in one of many sets, the oldest of which it
/// displaces. A genuine datagram is taken for a copy as often as two prints in a set are alike by
/// chance, once in thirty million times, and then its peer repeats it under another nonce.
struct Seen {
    sets: Box<[Set]>,
    /// With keys of its own, so that nobody can choose nonces that fall into one set.
    hasher: RandomState,
}

/// 512 bytes.
#[derive(Clone)]
struct Set {
    prints: [u32; Self::SIZE],
    /// Where the next one goes.
    next: u32,
}

impl Seen {
    /// How many sets there are, which hold 130,048 prints.
    const SETS: usize = 1024;
    /// As many of the latest are known. On average a set has seen 56 of them, and that it has seen
    /// more than it holds has a chance of less than one in 10^14.
    #[cfg(test)]
    const LATEST: usize = 56 * 1024;

    fn new() -> Self {
        Self {
            sets: vec![Set::EMPTY; Self::SETS].into(),
            hasher: RandomState::new(),
        }
    }

    /// Returns whether it was not known.
    fn insert(&mut self, nonce: Nonce) -> bool {
        let hash = self.hasher.hash_one(nonce);
        let set = &mut self.sets[hash as usize % Self::SETS];
        set.insert((hash >> 32) as u32)
    }
}

impl Set {
    const SIZE: usize = 127;
    const EMPTY: Self = Self {
        prints: [Self::NOTHING; Self::SIZE],
        next: 0,
    };
    /// No print.
    const NOTHING: u32 = 0;

    /// Returns whether it was not there.
    fn insert(&mut self, print: u32) -> bool {
        let print = print.max(Self::NOTHING + 1);
        if self.prints.contains(&print) {
            return false;
        }
        self.prints[self.next as usize] = print;
        self.next = (self.next + 1) % Self::SIZE as u32;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonce(number: usize) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[..8].copy_from_slice(&number.to_le_bytes());
        nonce
    }

    #[test]
    fn a_nonce_is_new_once() {
        let replays = Replays::default();
        assert!(replays.is_first(nonce(1)));
        assert!(replays.is_first(nonce(2)));
        assert!(!replays.is_first(nonce(1)));
        assert!(!replays.is_first(nonce(1)));
    }

    #[test]
    fn the_latest_are_remembered_and_older_ones_make_room() {
        const COUNT: usize = 4 * Seen::SETS * Set::SIZE;
        let mut seen = Seen::new();
        let new = (0..COUNT).filter(|&number| seen.insert(nonce(number)));
        assert!(new.count() >= COUNT - 2, "new ones were taken for known");
        for number in COUNT - Seen::LATEST..COUNT {
            assert!(
                !seen.insert(nonce(number)),
                "{number} of {COUNT} is forgotten"
            );
        }
        let forgotten = (0..1000).filter(|&number| seen.insert(nonce(number)));
        assert!(forgotten.count() >= 998, "the oldest take room");
    }

    #[test]
    fn what_is_held_is_as_large_as_it_is_said() {
        assert_eq!(Seen::SETS * size_of::<Set>(), 512 * 1024);
    }
}
