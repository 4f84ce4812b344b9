//! Numbers for the user. Plain data: a snapshot costs one copy, and growing it breaks nobody.

use std::{fmt, time::Duration};

use crate::error::DropReason;

/// What one connection has done and how it sees its path.
///
/// What is counted only ever grows. Of the moment are times, rates and windows, and the bytes in
/// flight and in the queues. While a connection is at work they may be of moments that lie a little
/// apart.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ConnectionStats {
    /// Smoothed round-trip time; zero until the first sample.
    pub rtt: Duration,
    /// Smallest round-trip time seen; zero until the first sample.
    pub min_rtt: Duration,
    /// Mean deviation of the round-trip time (RFC 6298 `RTTVAR`).
    pub rtt_variation: Duration,
    /// Present retransmission timeout, without back-off.
    pub rto: Duration,
    /// Payload bytes that congestion control allows in flight.
    pub congestion_window: u64,
    /// Payload bytes sent and neither acknowledged nor given up as lost.
    pub bytes_in_flight: u64,
    /// Bytes per second at which datagrams are spaced; zero while sending is not paced.
    pub pacing_rate: u64,
    /// Bytes that the application wrote.
    pub bytes_written: u64,
    /// Bytes that the application read.
    pub bytes_read: u64,
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// Datagrams received and understood.
    pub datagrams_received: u64,
    /// UDP payload bytes sent.
    pub bytes_on_wire_sent: u64,
    /// UDP payload bytes received and understood.
    pub bytes_on_wire_received: u64,
    /// Data segments sent, repetitions included.
    pub segments_sent: u64,
    /// Data segments sent again.
    pub segments_retransmitted: u64,
    /// Repetitions because later segments were acknowledged.
    pub retransmits_fast: u64,
    /// Repetitions because a timer fired.
    pub retransmits_timeout: u64,
    /// Repetitions that turned out to be needless: the first copy had arrived.
    pub spurious: u64,
    /// Data segments received that had been received before.
    pub duplicates_received: u64,
    /// Data segments received beyond the advertised window, and dropped.
    pub beyond_window: u64,
    /// Data segments received while memory was scarce
    /// ([`EndpointBuilder::memory_limit`](crate::EndpointBuilder::memory_limit)), and dropped.
    pub over_memory: u64,
    /// Datagrams that this end has sent itself, and that somebody has sent back to it; dropped.
    pub reflected: u64,
    /// ACK segments sent.
    pub acks_sent: u64,
    /// ACK segments received.
    pub acks_received: u64,
    /// Bytes written by the application and not yet acknowledged by the peer.
    pub send_queue: u64,
    /// Bytes received and not yet read by the application.
    pub receive_queue: u64,
    /// Segments that the peer is ready to take beyond those it has acknowledged.
    pub peer_window: u64,
    /// What woke this connection.
    pub wakes: WakeStats,
}

impl ConnectionStats {
    /// UDP payload bytes sent for each byte that the application wrote, or 0 before it wrote any.
    ///
    /// ```
    /// let mut stats = mkcp::ConnectionStats::default();
    /// stats.bytes_written = 1000;
    /// stats.bytes_on_wire_sent = 1050;
    /// assert_eq!(stats.overhead(), 1.05);
    /// ```
    pub fn overhead(&self) -> f64 {
        if self.bytes_written == 0 {
            return 0.0;
        }
        self.bytes_on_wire_sent as f64 / self.bytes_written as f64
    }
}

/// How often a connection was woken, by cause. An idle one is woken by keep-alive alone.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WakeStats {
    /// A datagram came.
    pub datagram: u64,
    /// The application read, wrote or closed.
    pub application: u64,
    /// A segment was due to be repeated or declared lost.
    pub loss: u64,
    /// Pacing allowed the next datagram.
    pub pacing: u64,
    /// An acknowledgement, or a small segment waiting for company, was due.
    pub delayed: u64,
    /// A Ping was due.
    pub keepalive: u64,
    /// A limit of the connection's life was due: idle, linger, or repeating a Terminate.
    pub lifetime: u64,
}

/// What an endpoint, all its sessions together, has done.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndpointStats {
    /// Sessions that exist now.
    pub sessions: u64,
    /// Those of them whose peers have not proven that they receive what is sent to their address.
    pub sessions_unvalidated: u64,
    /// Sessions opened by peers, ever.
    pub sessions_accepted: u64,
    /// Sessions opened from here, ever.
    pub sessions_connected: u64,
    /// Sessions that ended with an error.
    pub sessions_failed: u64,
    /// Those of them that were ended to make room, because nothing showed that anybody was there.
    pub sessions_displaced: u64,
    /// Times that a session followed its peer to another address.
    pub sessions_migrated: u64,
    /// Addresses, or IPv6 networks of 64 bits, that were proven in the last minutes.
    pub addresses_known: u64,
    /// Datagrams received, whatever became of them.
    pub datagrams_received: u64,
    /// UDP payload bytes received.
    pub bytes_received: u64,
    /// System calls that received them.
    pub receive_calls: u64,
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// UDP payload bytes sent.
    pub bytes_sent: u64,
    /// System calls that sent them.
    pub send_calls: u64,
    /// Datagrams that the kernel refused to send.
    pub send_errors: u64,
    /// Times that the kernel's send buffer was full.
    pub send_blocked: u64,
    /// Bytes of kernel receive buffer that the system granted.
    pub recv_buffer_size: u64,
    /// Bytes of kernel send buffer that the system granted.
    pub send_buffer_size: u64,
    /// Bytes held by all sessions for their applications and for repetition, and by those that are
    /// over for readers that have not come to their ends.
    pub memory: u64,
    /// Threads of the endpoint that died of a defect.
    pub threads_lost: u64,
    /// What was dropped, by reason.
    pub drops: DropStats,
}

/// Drops by [`DropReason`].
///
/// ```
/// let stats = mkcp::DropStats::default();
/// assert_eq!(stats.total(), 0);
/// assert_eq!(stats.get(mkcp::DropReason::BadSeal), 0);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DropStats {
    counts: [u64; DropReason::ALL.len()],
}

impl DropStats {
    /// How many were dropped for this reason.
    pub fn get(&self, reason: DropReason) -> u64 {
        self.counts[reason as usize]
    }

    /// How many were dropped in all.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL
            .iter()
            .map(|&reason| (reason, self.get(reason)))
    }

    pub(crate) fn set(&mut self, reason: DropReason, count: u64) {
        self.counts[reason as usize] = count;
    }
}

/// The reasons that had any.
impl fmt::Debug for DropStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = self.iter().filter(|&(_, count)| count > 0);
        f.debug_map().entries(counted).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_reasons_that_had_any() {
        let mut drops = DropStats::default();
        assert_eq!(format!("{drops:?}"), "{}");
        drops.set(DropReason::BadSeal, 3);
        drops.set(DropReason::OverMemory, 1);
        let shown = format!("{drops:?}");
        assert!(shown.contains("BadSeal: 3") && shown.contains("OverMemory: 1"));
        assert_eq!(shown.matches(':').count(), 2, "{shown}");
    }
}
