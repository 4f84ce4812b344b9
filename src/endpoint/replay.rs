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

use std::{collections::HashSet, fmt, mem};

use parking_lot::Mutex;

use crate::packet::aead::NONCE_LEN;

/// What makes a sealed datagram unique.
pub(super) type Nonce = [u8; NONCE_LEN];

/// The datagrams of a port that could have opened sessions.
#[derive(Default)]
pub(super) struct Replays {
    seen: Mutex<Generations>,
}

impl Replays {
    /// Remembers a datagram; returns whether it is here for the first time.
    pub(super) fn is_first(&self, nonce: Nonce) -> bool {
        self.seen.lock().insert(nonce)
    }
}

impl fmt::Debug for Replays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replays").finish_non_exhaustive()
    }
}

/// When the younger generation is full, the older one is forgotten and the next begins. Nothing
/// is forgotten for its age.
#[derive(Default)]
struct Generations {
    younger: HashSet<Nonce>,
    older: HashSet<Nonce>,
}

impl Generations {
    /// What a hash table of 65536 places takes. With both generations that is 1.7 MB, and enough
    /// for some ten thousand sessions.
    const LIMIT: usize = 56 * 1024;

    fn insert(&mut self, nonce: Nonce) -> bool {
        if self.older.contains(&nonce) || !self.younger.insert(nonce) {
            return false;
        }
        if self.younger.len() >= Self::LIMIT {
            mem::swap(&mut self.younger, &mut self.older);
            self.younger.clear();
        }
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
    fn at_least_one_generation_is_remembered_and_at_most_two_are_held() {
        let mut seen = Generations::default();
        for number in 0..3 * Generations::LIMIT {
            assert!(seen.insert(nonce(number)));
            let oldest = number.saturating_sub(Generations::LIMIT - 1);
            assert!(
                !seen.insert(nonce(oldest)),
                "{oldest} forgotten at {number}"
            );
        }
        assert!(seen.younger.len() + seen.older.len() <= 2 * Generations::LIMIT);
        assert!(seen.younger.capacity() <= 64 * 1024);
        assert!(seen.insert(nonce(0)), "forgotten, because later ones came");
    }
}
