//! How much arrives in a round trip.
//!
//! A receiver that sends nothing has no samples of the round-trip time, but it needs none: once a
//! peer's SendingNext reaches a number that this side has acknowledged, a round trip has passed.

use crate::wire::SeqNum;

/// Measures what arrives within a round trip.
#[derive(Debug, Default)]
pub(super) struct RoundMeter {
    /// The round trip is over once the peer knows that everything before this has arrived.
    round_end: Option<SeqNum>,
    received: usize,
}

impl RoundMeter {
    /// An ACK with this ReceivingNext leaves.
    pub(super) fn on_ack_sent(&mut self, receiving_next: SeqNum) {
        if self.round_end.is_none() {
            self.round_end = Some(receiving_next);
            self.received = 0;
        }
    }

    /// Payload has arrived with this SendingNext. If a round trip is over, gives the bytes that
    /// came in it.
    pub(super) fn on_data(&mut self, sending_next: SeqNum, bytes: usize) -> Option<usize> {
        self.received += bytes;
        if sending_next.precedes(self.round_end?) {
            return None;
        }
        self.round_end = None;
        Some(self.received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_trip_is_over_when_the_peer_knows_what_it_began_with() {
        let mut meter = RoundMeter::default();
        let n = SeqNum::new;
        assert_eq!(meter.on_data(n(0), 1000), None);
        meter.on_ack_sent(n(1));
        meter.on_ack_sent(n(2));
        assert_eq!(meter.on_data(n(0), 1000), None);
        assert_eq!(meter.on_data(n(0), 1000), None);
        assert_eq!(meter.on_data(n(1), 500), Some(2500));
        assert_eq!(meter.on_data(n(2), 1000), None);
    }
}
