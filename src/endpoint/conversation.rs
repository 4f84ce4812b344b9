//! Conversation ids for sessions opened from this side.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
};

use parking_lot::Mutex;

use super::table::shrink_set;

/// The ids that one port has in use towards each peer.
#[derive(Debug)]
pub(super) struct Conversations {
    /// Whether any is to be taken. A port that only accepts need not know which are free.
    are_taken: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: u16,
    used: HashSet<(SocketAddr, u16)>,
}

impl Conversations {
    pub(super) fn starting_at(next: u16) -> Self {
        Self {
            are_taken: AtomicBool::new(false),
            state: Mutex::new(State {
                next,
                used: HashSet::new(),
            }),
        }
    }

    /// Has what peers choose noted from now on; returns whether it was not before.
    pub(super) fn begin(&self) -> bool {
        !self.are_taken.load(Ordering::Relaxed) && !self.are_taken.swap(true, Ordering::SeqCst)
    }

    /// An id that is free towards this peer, the one that was free for longest. `None` if all
    /// 65536 are in use.
    pub(super) fn take(&self, peer: SocketAddr) -> Option<u16> {
        let mut state = self.state.lock();
        for _ in 0..=u16::MAX {
            let conversation = state.next;
            state.next = state.next.wrapping_add(1);
            if state.used.insert((peer, conversation)) {
                return Some(conversation);
            }
        }
        None
    }

    /// The peer has chosen this id, for a session that it opens. Returns whether it is to be given
    /// back.
    pub(super) fn note(&self, peer: SocketAddr, conversation: u16) -> bool {
        let matters = self.are_taken.load(Ordering::SeqCst);
        matters && self.state.lock().used.insert((peer, conversation))
    }

    pub(super) fn give_back(&self, peer: SocketAddr, conversation: u16) {
        let used = &mut self.state.lock().used;
        used.remove(&(peer, conversation));
        // The memory of a flood is given back when it is over.
        shrink_set(used);
    }
}

/// Where a port begins to count that opens many sessions: at random, for a peer may open some to it
/// as well, and there each end chooses.
pub(super) fn random_start() -> u16 {
    RandomState::new().hash_one(0_u8) as u16
}

/// Where a port with a single session begins: at random, and each time one further, as Go peers do.
/// A NAT that gives a port to another socket then does not bring it the remains of an older
/// conversation.
pub(super) fn next_start() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    static START: OnceLock<u16> = OnceLock::new();
    let start = START.get_or_init(random_start);
    start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_not_given_twice_to_one_peer() {
        let conversations = Conversations::starting_at(u16::MAX);
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let other = SocketAddr::from(([127, 0, 0, 1], 2));
        assert_eq!(conversations.take(peer), Some(u16::MAX));
        assert_eq!(conversations.take(peer), Some(0));
        for _ in 2..=u16::MAX as usize {
            assert!(conversations.take(peer).is_some());
        }
        assert_eq!(conversations.take(peer), None);
        assert!(conversations.take(other).is_some());
        conversations.give_back(peer, 7);
        assert_eq!(conversations.take(peer), Some(7));
    }

    #[test]
    fn what_a_peer_has_chosen_is_not_free_either() {
        let conversations = Conversations::starting_at(5);
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        assert!(!conversations.note(peer, 6), "nobody asks for any");
        assert!(conversations.begin() && !conversations.begin());
        assert_eq!(conversations.take(peer), Some(5));
        assert!(conversations.note(peer, 6));
        assert!(!conversations.note(peer, 5), "it is not the peer's");
        assert_eq!(conversations.take(peer), Some(7));
        conversations.give_back(peer, 6);
        assert!(conversations.note(peer, 6));
    }

    #[test]
    fn the_memory_of_a_flood_is_given_back_though_others_stay() {
        let conversations = Conversations::starting_at(0);
        conversations.begin();
        let peer = |number: u32| SocketAddr::from((number.to_be_bytes(), 1));
        for number in 0..100_000 {
            assert!(conversations.note(peer(number), 7));
        }
        for number in 1..100_000 {
            conversations.give_back(peer(number), 7);
        }
        assert!(!conversations.note(peer(0), 7), "it is still in use");
        let used = &conversations.state.lock().used;
        assert_eq!(used.len(), 1);
        assert!(used.capacity() <= 2048, "{}", used.capacity());
    }
}
