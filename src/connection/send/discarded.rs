//! What the peer will never get.

use std::collections::VecDeque;

use super::SendHalf;
use crate::wire::SeqNum;

/// What was thrown away although the peer has not acknowledged it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::connection) enum Discarded {
    Nothing,
    /// Bytes that have been sent: the peer may have them, and may yet say so.
    Sent,
    /// Among them some that have not been sent.
    Unsent,
}

impl SendHalf {
    /// Throws away everything that the peer has not acknowledged.
    pub(in crate::connection) fn discard(&mut self) {
        let discarded = match (self.unsent() > 0, self.is_empty()) {
            (true, _) => Discarded::Unsent,
            (false, false) => Discarded::Sent,
            (false, true) => Discarded::Nothing,
        };
        self.discarded = self.discarded.max(discarded);
        self.bytes.clear();
        self.segments = VecDeque::new();
        self.repetition = None;
        self.start = self.numbered;
        self.first_unacked = self.next_number;
        self.in_flight = 0;
    }

    /// Bytes are missing that have not even been taken.
    pub(in crate::connection) fn set_cut(&mut self) {
        self.discarded = Discarded::Unsent;
    }

    /// What was thrown away that the peer has not, as far as is known.
    pub(in crate::connection) fn discarded(&self) -> Discarded {
        self.discarded
    }

    /// The peer has everything before `next`: perhaps also what has been thrown away since.
    pub(in crate::connection) fn on_peer_has(&mut self, next: SeqNum) {
        if self.discarded == Discarded::Sent && next == self.next_number {
            self.discarded = Discarded::Nothing;
        }
    }
}
