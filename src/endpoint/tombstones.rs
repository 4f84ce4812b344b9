//! What a worker remembers of sessions that are gone.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use crate::{
    connection::{Side, shrink_queue},
    wire::Command,
};

use super::table::ConnectionId;

/// Sessions that ended a short while ago, so that their late datagrams open no new ones.
#[derive(Debug, Default)]
pub(super) struct Tombstones {
    /// A tree, which takes what it holds calls for, whatever came and went.
    stones: BTreeMap<Name, Tombstone>,
    /// Until when each lasts, in order: those of peers that had proven their address, and others.
    order: [VecDeque<(Instant, Name)>; 2],
}

/// An id, and which side of the session was here: each end may open sessions to the other, and where
/// one chooses an id that the other has used, its datagrams are not late.
type Name = (ConnectionId, Side);

#[derive(Debug)]
struct Tombstone {
    answer: Command,
    until: Instant,
    terminates_answered: u32,
}

/// A late datagram, as far as its answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    Terminate,
    Other,
}

impl Tombstones {
    /// Longer than a datagram lives in any network, and than a Go peer goes on talking.
    pub(super) const LIFETIME: Duration = Duration::from_secs(60);
    /// For those whose peer has not proven its address: for as long as Go peers talk after an end.
    pub(super) const UNPROVEN_LIFETIME: Duration = Duration::from_secs(15);
    /// Of each kind, about 3 MB; under a flood the oldest go first.
    const LIMIT: usize = 16 * 1024;
    /// A peer that repeats its Terminate has missed ours, but the tombstones of two ends must not
    /// answer each other for ever.
    const TERMINATES_ANSWERED: u32 = 3;

    pub(super) fn bury(&mut self, now: Instant, name: Name, answer: Command, proven: bool) {
        self.forget_old(now);
        let (lifetime, order) = match proven {
            true => (Self::LIFETIME, &mut self.order[0]),
            false => (Self::UNPROVEN_LIFETIME, &mut self.order[1]),
        };
        let until = now + lifetime;
        let stone = Tombstone {
            answer,
            until,
            terminates_answered: 0,
        };
        self.stones.insert(name, stone);
        order.push_back((until, name));
    }

    /// The Terminate with which a late datagram is to be answered, which was meant for this side, if
    /// it says that.
    pub(super) fn find(
        &mut self,
        now: Instant,
        id: ConnectionId,
        side: Option<Side>,
        late: Late,
    ) -> Option<Command> {
        let sides = match side {
            Some(side) => side..=side,
            None => Side::Client..=Side::Server,
        };
        let names = (id, *sides.start())..=(id, *sides.end());
        let mut stones = self.stones.range_mut(names).map(|(_, stone)| stone);
        let stone = stones.find(|stone| stone.until > now)?;
        if late == Late::Terminate {
            if stone.terminates_answered >= Self::TERMINATES_ANSWERED {
                return None;
            }
            stone.terminates_answered += 1;
        }
        Some(stone.answer)
    }

    /// By when some of them are to be forgotten, if no session ends before: the last of a kind, so
    /// that it takes a single wake-up.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let lasts = self.order.iter().filter_map(VecDeque::back);
        lasts.map(|&(until, _)| until).min()
    }

    /// Gives the memory back of those whose time is over.
    pub(super) fn forget_old(&mut self, now: Instant) {
        for order in &mut self.order {
            while let Some(&(until, name)) = order.front() {
                if until > now && order.len() < Self::LIMIT {
                    break;
                }
                order.pop_front();
                // The same id may have been buried again since.
                let same = |stone: &Tombstone| stone.until == until;
                if self.stones.get(&name).is_some_and(same) {
                    self.stones.remove(&name);
                }
            }
            shrink_queue(order);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.stones.len()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::{
        endpoint::port::PortId,
        wire::{CommandKind, Options, SeqNum},
    };

    fn id(conversation: u16) -> ConnectionId {
        let remote = SocketAddr::from(([127, 0, 0, 1], 9));
        ConnectionId::new(PortId(0), remote, conversation)
    }

    fn name(conversation: u16) -> Name {
        (id(conversation), Side::Server)
    }

    fn terminate(conversation: u16) -> Command {
        Command {
            conversation,
            kind: CommandKind::Terminate,
            options: Options::NONE,
            sending_next: SeqNum::ZERO,
            receiving_next: SeqNum::ZERO,
            peer_rto: 0,
        }
    }

    #[test]
    fn tombstones_last_a_minute_and_are_bounded() {
        let start = Instant::now();
        let mut tombstones = Tombstones::default();
        tombstones.bury(start, name(1), terminate(1), true);
        let last = start + Tombstones::LIFETIME - Duration::from_millis(1);
        let over = start + Tombstones::LIFETIME;
        let found = tombstones.find(last, id(1), None, Late::Other);
        assert_eq!(found, Some(terminate(1)));
        assert_eq!(tombstones.find(over, id(1), None, Late::Other), None);
        for conversation in 0..u16::MAX {
            tombstones.bury(last, name(conversation), terminate(conversation), true);
        }
        assert!(tombstones.stones.len() <= Tombstones::LIMIT);
        let youngest = tombstones.find(last, id(u16::MAX - 1), None, Late::Other);
        assert!(youngest.is_some());
    }

    #[test]
    fn tombstones_of_peers_without_proof_last_shorter_and_displace_no_others() {
        let start = Instant::now();
        let mut tombstones = Tombstones::default();
        tombstones.bury(start, name(0), terminate(0), true);
        for conversation in 1..u16::MAX {
            tombstones.bury(start, name(conversation), terminate(conversation), false);
        }
        assert!(tombstones.len() <= Tombstones::LIMIT + 1);
        let over = start + Tombstones::UNPROVEN_LIFETIME;
        assert!(tombstones.find(over, id(0), None, Late::Other).is_some());
        let last = id(u16::MAX - 1);
        assert_eq!(tombstones.find(over, last, None, Late::Other), None);
        tombstones.forget_old(over);
        assert_eq!(tombstones.len(), 1);
    }

    #[test]
    fn those_of_a_flood_are_forgotten_by_a_wake_up_for_each_kind() {
        let start = Instant::now();
        let mut tombstones = Tombstones::default();
        assert_eq!(tombstones.next_deadline(), None);
        let mut last = start;
        for conversation in 0..10_000 {
            last = start + Duration::from_millis(conversation.into());
            let proven = conversation == 0;
            tombstones.bury(last, name(conversation), terminate(conversation), proven);
        }
        let mut wake_ups = Vec::new();
        while let Some(deadline) = tombstones.next_deadline() {
            tombstones.forget_old(deadline);
            wake_ups.push(deadline);
        }
        let expected = [
            last + Tombstones::UNPROVEN_LIFETIME,
            start + Tombstones::LIFETIME,
        ];
        assert_eq!(wake_ups, expected);
        assert_eq!(tombstones.len(), 0);
        let kept = tombstones.order.iter().map(VecDeque::capacity);
        assert!(kept.sum::<usize>() <= 128);
    }

    #[test]
    fn two_tombstones_do_not_answer_each_other_for_ever() {
        let now = Instant::now();
        let mut tombstones = Tombstones::default();
        tombstones.bury(now, name(1), terminate(1), true);
        let mut ask = |late| tombstones.find(now, id(1), None, late).is_some();
        let answered = (0..10).filter(|_| ask(Late::Terminate)).count();
        assert_eq!(answered, Tombstones::TERMINATES_ANSWERED as usize);
        assert!(ask(Late::Other));
    }

    #[test]
    fn what_is_meant_for_the_other_side_is_not_late() {
        let now = Instant::now();
        let mut tombstones = Tombstones::default();
        tombstones.bury(now, (id(1), Side::Client), terminate(1), true);
        let mut find = |side| tombstones.find(now, id(1), side, Late::Other).is_some();
        assert!(find(Some(Side::Client)));
        assert!(!find(Some(Side::Server)));
        assert!(find(None), "Go peers do not say it");
    }
}
