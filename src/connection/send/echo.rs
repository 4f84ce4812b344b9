//! What an acknowledgement tells of who sends it, and when.

use super::{SendHalf, Status};
use crate::wire::{SeqNum, Timestamp};

impl SendHalf {
    /// Whether this segment is awaited, and left at the time that is echoed: at first, or the last
    /// time. A peer that has moved has received nothing of what was sent after it.
    pub(in crate::connection) fn is_echo(&self, number: SeqNum, echo: Timestamp) -> bool {
        let sent = self.get(number).filter(|sent| sent.status != Status::Acked);
        sent.is_some_and(|sent| echo == sent.timestamp || echo == sent.first_timestamp)
    }

    /// The number that follows the highest one that has been acknowledged.
    pub(in crate::connection) fn after_acknowledged(&self) -> SeqNum {
        let is_acked = |sent: &super::Sent| sent.status == Status::Acked;
        let acked = self.segments.iter().rposition(is_acked);
        let ahead = acked.map_or(0, |index| index as u32 + 1);
        self.first_unacked.plus(ahead)
    }
}
