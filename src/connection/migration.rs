//! A peer at a new address: what shows that it is the same one, and what has to be learnt anew.
//!
//! mKCP has no key for each connection: whoever knows the seed can write whatever a peer could, and
//! numbers begin at zero. What nobody can make up is when a segment was sent, because clocks start
//! at random (`clock.rs`). So a datagram is the peer's if it acknowledges a segment that is in
//! flight and echoes its timestamp. It is that once only: a copy acknowledges nothing new.
//!
//! Where the peer is now, only its latest says (RFC 9000, section 9.3): what it has sent from one
//! place may arrive after what it has sent from the next. An acknowledgement is later than another
//! if it is that of a later transmission.
//!
//! Who has once seen the clock knows it ever after, the peer too. From a move on it shows another
//! time, so that nobody can vouch for an address at which nothing was received.

use std::time::{Duration, Instant};

use super::{Connection, congestion, pacing, rtt, send::Echo};
use crate::{
    config::derive,
    moment::Moment,
    wire::{Segment, Segments},
};

/// For so long after the peer was last heard, its datagrams from elsewhere wait for one that proves
/// where it is. Go peers say every tick what they have received, and again until that is known.
const PATIENCE: Duration = Duration::from_secs(5);
/// After such a silence of the address in use, what comes from another was not overtaken.
const OVERTAKING: Duration = Duration::from_millis(300);

/// Since when a path is in use, unless it always was: what was sent before says nothing of it.
#[derive(Clone, Debug, Default)]
pub(super) struct PathStart(Option<Box<Moved>>);

#[derive(Clone, Copy, Debug)]
struct Moved {
    at: Moment,
    /// The index of the first transmission on the new path.
    first: u64,
}

impl PathStart {
    fn new(at: Moment, first: u64) -> Self {
        Self(Some(Box::new(Moved { at, first })))
    }

    /// Whether this transmission, of so many, was made on the path.
    pub(super) fn has_carried(&self, transmission: u64) -> bool {
        self.0
            .as_ref()
            .is_none_or(|moved| transmission >= moved.first)
    }

    /// Whether what was sent at this time left on the path.
    pub(super) fn was_used_at(&self, time: Moment) -> bool {
        self.0.as_ref().is_none_or(|moved| time >= moved.at)
    }
}

impl Connection {
    /// Whether a datagram proves that the peer is where it comes from.
    pub fn is_proof_of_peer(&self, now: Instant, plaintext: &[u8]) -> bool {
        let now = self.clock.moment(now);
        if !self.could_be_of_peer(plaintext) {
            return false;
        }
        let quiet = self.silence(now) >= OVERTAKING;
        let is_latest = |echo| match echo {
            Echo::Latest(transmission) => quiet || self.loss.is_later(transmission),
            Echo::First => quiet,
        };
        Segments::new(plaintext).any(|segment| match segment {
            Segment::Ack(ack) => {
                let mut numbers = ack.numbers.iter();
                numbers.any(|number| self.send.echo(number, ack.timestamp).is_some_and(is_latest))
            }
            Segment::Data(_) | Segment::Command(_) => false,
        })
    }

    /// Whether a datagram may be the peer's, and one that proves it can be expected soon.
    pub fn expects_proof_of_peer(&self, now: Instant, plaintext: &[u8]) -> bool {
        let now = self.clock.moment(now);
        self.silence(now) < PATIENCE
            && self.send.is_answer_due()
            && self.could_be_of_peer(plaintext)
    }

    /// For how long nothing has come from the address in use.
    fn silence(&self, now: Moment) -> Duration {
        now.saturating_duration_since(self.life.heard_at())
    }

    /// Whether all numbers lie where the peer's would.
    pub fn could_be_of_peer(&self, plaintext: &[u8]) -> bool {
        Segments::new(plaintext).all(|segment| {
            segment.conversation() == self.conversation
                && !self.is_of_another_life(&segment)
                && match segment {
                    Segment::Data(data) => data.number.precedes(self.receive.limit()),
                    Segment::Ack(_) | Segment::Command(_) => true,
                }
        })
    }

    /// The peer is at another address. Until it has shown that it receives what is sent there from
    /// now on, it is sent as little as a new one. `seed` must be unguessable.
    pub fn on_migrated(&mut self, now: Instant, seed: u64) {
        let now = self.clock.moment(now);
        self.clock.jump((seed >> 34) as u32 + 1);
        self.validation.restart(now, self.loss.next_index());
        self.life.answering = true;
    }

    /// The path is another one, too, and not only the peer's port: nothing that was measured holds
    /// (RFC 9000, section 9.4).
    pub fn forget_path(&mut self, now: Instant, seed: u64) {
        let now = self.clock.moment(now);
        let max_payload = derive::max_segment_payload(self.max_plaintext);
        self.controller = congestion::controller(&self.config, max_payload, seed);
        self.pacer = pacing::Pacer::new(now, max_payload, self.controller.pacing_rate());
        self.rtt = rtt::RttEstimator::default();
        self.path = PathStart::new(now, self.loss.next_index());
    }
}
