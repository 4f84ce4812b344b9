//! What an acknowledgement tells of who sends it, and when.

use super::{SendHalf, Status};
use crate::wire::{SeqNum, Timestamp};

/// Which transmission of a segment left at the time that is echoed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::connection) enum Echo {
    /// The latest, by its index.
    Latest(u64),
    /// The first of several.
    First,
}

impl SendHalf {
    /// Whether anything has been sent that is not acknowledged.
    pub(in crate::connection) fn is_answer_due(&self) -> bool {
        !self.segments.is_empty()
    }

    /// What is echoed of this segment, if it is awaited and left at that time: at first, or the
    /// last time. A peer that has moved has received nothing of what was sent after it.
    pub(in crate::connection) fn echo(&self, number: SeqNum, time: Timestamp) -> Option<Echo> {
        let sent = self.get(number)?;
        match sent.status {
            Status::Acked => None,
            _ if time == sent.timestamp => Some(Echo::Latest(sent.transmission)),
            _ if time == sent.first_timestamp => Some(Echo::First),
            _ => None,
        }
    }
}
