//! Small messages, one at a time: questions and their answers.
//!
//! Nothing follows them that would tell that one got lost; only time does, or the peer. Since they
//! are few and small, it is cheaper to repeat one for nothing than to let a program wait:
//!
//! | what | why |
//! |---|---|
//! | at most an eighth of the round trip is allowed for a delayed ACK, unless the peer ticks | an answer carries it, and what peers do else is part of the variation; but threads are late at times |
//! | the second and third probe come as soon as the first | three losses in a row are chance, not a dark path |
//! | a probe brings the last ACK again | it was lost with the datagram that is repeated |
//! | a repetition of the peer's is answered by one | it shows that the answer to the first got lost |
//!
//! Repeating them twice at once gains hardly more and costs twice as much. In the same datagram
//! it does harm: the second is acknowledged at once, before the program has answered the first, so
//! that the loss of the answer alone leaves nobody who asks for it.

use std::time::Duration;

use super::Connection;
use crate::moment::Moment;

impl Connection {
    /// How long an acknowledgement of what is outstanding may be held back, as far as a probe has
    /// to wait for it.
    pub(super) fn probe_allowance(&self) -> Duration {
        let usual = self.peer_ack_delay();
        match self.rtt.smoothed() {
            Some(rtt) if self.send.is_thin() && self.peer_tick().is_zero() => usual.min(rtt / 8),
            _ => usual,
        }
    }

    /// A probe leaves next.
    pub(super) fn acknowledge_beside_probe(&mut self, now: Moment) {
        if self.send.is_thin() && self.receive.is_unfinished(self.peer_sending_next) {
            self.acks.request(now);
        }
    }

    /// The peer sent something again that has arrived before. What left about a round trip ago, or
    /// earlier, would have kept it from that, by the acknowledgement beside it.
    pub(super) fn repeat_answer(&mut self, now: Moment) {
        if !self.send.is_thin() {
            return;
        }
        let (Some(oldest), Some(round_trip)) =
            (self.send.oldest_outstanding(), self.rtt.smoothed())
        else {
            return;
        };
        let could_have_arrived = self.send.get(oldest).is_some_and(|sent| {
            let age = now.saturating_duration_since(sent.sent_at);
            age >= round_trip * 7 / 8
        });
        if could_have_arrived {
            self.send.mark_lost(oldest);
            self.output.probe = true;
            self.output.repeat_is_fast = true;
        }
    }
}
