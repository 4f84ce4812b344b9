//! What a connection counts itself. The rest of its statistics is asked of its parts, when somebody
//! wants to know.

use crate::stats::{ConnectionStats, WakeStats};

/// As the fields of [`ConnectionStats`] with these names.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) bytes_written: u64,
    pub(super) bytes_read: u64,
    pub(super) datagrams_sent: u64,
    pub(super) datagrams_received: u64,
    pub(super) bytes_on_wire_sent: u64,
    pub(super) bytes_on_wire_received: u64,
    pub(super) segments_sent: u64,
    pub(super) retransmits_fast: u64,
    pub(super) retransmits_timeout: u64,
    pub(super) spurious: u64,
    pub(super) duplicates_received: u64,
    pub(super) beyond_window: u64,
    pub(super) over_memory: u64,
    pub(super) reflected: u64,
    pub(super) acks_sent: u64,
    pub(super) acks_received: u64,
    pub(super) wakes: WakeStats,
}

impl Counters {
    /// Statistics in which everything else is still missing.
    pub(super) fn stats(&self) -> ConnectionStats {
        ConnectionStats {
            bytes_written: self.bytes_written,
            bytes_read: self.bytes_read,
            datagrams_sent: self.datagrams_sent,
            datagrams_received: self.datagrams_received,
            bytes_on_wire_sent: self.bytes_on_wire_sent,
            bytes_on_wire_received: self.bytes_on_wire_received,
            segments_sent: self.segments_sent,
            segments_retransmitted: self.retransmits_fast + self.retransmits_timeout,
            retransmits_fast: self.retransmits_fast,
            retransmits_timeout: self.retransmits_timeout,
            spurious: self.spurious,
            duplicates_received: self.duplicates_received,
            beyond_window: self.beyond_window,
            over_memory: self.over_memory,
            reflected: self.reflected,
            acks_sent: self.acks_sent,
            acks_received: self.acks_received,
            wakes: self.wakes,
            ..ConnectionStats::default()
        }
    }
}
