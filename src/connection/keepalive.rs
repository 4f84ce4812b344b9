//! When to send a Ping, the segment that only shows its fields.
//!
//! | occasion | why |
//! |---|---|
//! | a client opens | the server learns of the connection before there is data, and answers |
//! | the first datagram of a connection was a Ping | the answer that the client waits for |
//! | what was acknowledged is news that no Data will carry | a Go receiver repeats its ACKs until it hears; one of ours waits for longer before it asks |
//! | nothing was sent for a while | NAT mappings, and a Go peer that gives up after 30 s |
//! | nothing was heard for longer | the peer's Pings may have been lost; ours ask for more |
//! | the peer sent a Ping into a silence | it may be asking |

use std::time::Duration;

use super::reminder::PATIENCE;
use crate::{config::Config, moment::Moment, wire::SeqNum};

/// What a client waits before it opens with a Ping: its first write is a better opening.
const OPENING_DELAY: Duration = Duration::from_millis(2);
const OPENING_INTERVAL: Duration = Duration::from_millis(300);
const MAX_OPENING_INTERVAL: Duration = Duration::from_secs(4);
/// How long news of `first_unacked` wait for Data to carry them: less than a Go peer's tick.
const NEWS_DELAY: Duration = Duration::from_millis(25);
/// The same where the peer is one of ours and knows the round trip: it waits that long and its
/// patience before it asks. The other half is for its delayed ACK, and for jitter.
const NEWS_DELAY_TO_OURS: Duration = Duration::from_millis(PATIENCE.as_millis() as u64 / 2);
/// Least time between two Pings about the same `first_unacked`.
const REMINDER_INTERVAL: Duration = Duration::from_millis(100);
/// How often a peer that has become silent is asked, and how long this side must have been silent
/// to answer such a Ping.
const QUESTION_INTERVAL: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Pings {
    last_sent: Moment,
    /// The next opening Ping and the time to the one after it. Apart, for that is soon over.
    opening: Option<Box<(Moment, Duration)>>,
    /// The SendingNext that was sent last, and when.
    told: SeqNum,
    told_at: Option<Moment>,
    news_due: Option<Moment>,
    /// A Ping is owed at once.
    owed: bool,
}

impl Pings {
    pub(super) fn new(now: Moment, first: SeqNum) -> Self {
        Self {
            last_sent: now,
            opening: None,
            told: first,
            told_at: None,
            news_due: None,
            owed: false,
        }
    }

    pub(super) fn start_opening(&mut self, now: Moment) {
        self.opening = Some(Box::new((now + OPENING_DELAY, OPENING_INTERVAL)));
    }

    pub(super) fn on_established(&mut self) {
        self.opening = None;
    }

    pub(super) fn owe(&mut self) {
        self.owed = true;
    }

    /// A Ping came. Answering only after a silence keeps two ends from answering each other.
    pub(super) fn on_ping(&mut self, now: Moment, rtt: Duration) {
        self.owed |= now >= self.last_sent + QUESTION_INTERVAL.max(2 * rtt);
    }

    /// `first_unacked` may have advanced. `rtt` limits the rate.
    pub(super) fn on_acknowledged(
        &mut self,
        now: Moment,
        first_unacked: SeqNum,
        rtt: Duration,
        delay: Duration,
    ) {
        if first_unacked == self.told || self.news_due.is_some() {
            return;
        }
        let at = now + delay;
        self.news_due = Some(self.told_at.map_or(at, |told_at| at.max(told_at + rtt)));
    }

    /// The peer acknowledged again what it has been told to be known.
    pub(super) fn on_repeated_ack(&mut self, now: Moment, rto: Duration) {
        let due = self
            .told_at
            .is_none_or(|at| now >= at + rto.max(REMINDER_INTERVAL));
        if due && self.news_due.is_none() {
            self.news_due = Some(now);
        }
    }

    pub(super) fn last_sent(&self) -> Moment {
        self.last_sent
    }

    /// A datagram left.
    pub(super) fn on_sent(&mut self, now: Moment) {
        self.last_sent = now;
    }

    /// A segment with this SendingNext left.
    pub(super) fn on_told(&mut self, now: Moment, sending_next: SeqNum) {
        self.told = sending_next;
        self.told_at = Some(now);
        self.news_due = None;
    }

    /// A Ping left.
    pub(super) fn on_ping_sent(&mut self, now: Moment, sending_next: SeqNum) {
        self.owed = false;
        self.on_told(now, sending_next);
        if let Some(opening) = &mut self.opening {
            let (at, interval) = &mut **opening;
            *at = now + *interval;
            *interval = (*interval * 2).min(MAX_OPENING_INTERVAL);
        }
    }

    #[inline]
    pub(super) fn is_due(&self, now: Moment, quiet: Quiet, config: &Config) -> bool {
        let due = |at: Option<Moment>| at.is_some_and(|at| at <= now);
        self.owed || due(self.news_deadline()) || due(self.keepalive_deadline(quiet, config))
    }

    pub(super) fn news_deadline(&self) -> Option<Moment> {
        self.news_due
    }

    #[inline]
    pub(super) fn keepalive_deadline(&self, quiet: Quiet, config: &Config) -> Option<Moment> {
        let keepalive = config.keepalive();
        match quiet {
            Quiet::Repeating | Quiet::Unasked => None,
            Quiet::Probing => Some(self.last_sent + keepalive),
            Quiet::Asked { heard_at } => {
                let question =
                    (heard_at + keepalive * 3 / 2).max(self.last_sent + QUESTION_INTERVAL);
                let regular = question.min(self.last_sent + keepalive);
                Some(self.opening.as_ref().map_or(regular, |opening| opening.0))
            }
        }
    }
}

/// How long a peer can wait for news. One that has sent nothing has seen no round trip.
pub(super) fn news_delay(config: &Config, is_ours: bool, has_sent: bool) -> Duration {
    match is_ours && has_sent {
        true => NEWS_DELAY_TO_OURS,
        false => NEWS_DELAY.min(config.tti() / 2),
    }
}

/// What else goes on, as far as it bears on keep-alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quiet {
    /// Data is outstanding and will be repeated; that is enough of a sign.
    Repeating,
    /// The same, but it was repeated in vain, and the next time may be long after.
    Probing,
    /// The peer's address is not proven, and it has said nothing since it was last sent anything:
    /// it may be a victim of forged datagrams.
    Unasked,
    Asked {
        /// When the peer was last heard.
        heard_at: Moment,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn pings(now: Moment) -> Pings {
        Pings::new(now, SeqNum::ZERO)
    }

    fn keepalive_deadline(pings: &Pings, quiet: Quiet) -> Option<Moment> {
        pings.keepalive_deadline(quiet, &Config::default())
    }

    fn is_due(pings: &Pings, now: Moment, quiet: Quiet) -> bool {
        pings.is_due(now, quiet, &Config::default())
    }

    #[test]
    fn a_client_opens_with_back_off_until_it_is_answered() {
        let start = Moment::START;
        let mut pings = pings(start);
        pings.start_opening(start);
        let mut waits = Vec::new();
        let mut now = start;
        let quiet = Quiet::Asked { heard_at: start };
        for _ in 0..6 {
            let at = keepalive_deadline(&pings, quiet).unwrap();
            waits.push((at - now).as_millis());
            now = at;
            assert!(is_due(&pings, now, quiet));
            pings.on_ping_sent(now, SeqNum::ZERO);
        }
        assert_eq!(waits, [2, 300, 600, 1200, 2400, 4000]);
        pings.on_established();
        pings.on_sent(now);
        let quiet = Quiet::Asked { heard_at: now };
        assert_eq!(keepalive_deadline(&pings, quiet), Some(now + 10_000 * MS));
    }

    #[test]
    fn a_peer_that_became_silent_is_asked_more_often() {
        let start = Moment::START;
        let mut pings = pings(start);
        let quiet = Quiet::Asked { heard_at: start };
        let mut asked = Vec::new();
        for _ in 0..4 {
            let at = keepalive_deadline(&pings, quiet).unwrap();
            asked.push((at - start).as_millis());
            pings.on_sent(at);
        }
        assert_eq!(asked, [10_000, 15_000, 17_000, 19_000]);
    }

    #[test]
    fn who_waits_long_to_repeat_says_that_it_is_there() {
        let mut pings = pings(Moment::START);
        let now = Moment::START + 3000 * MS;
        pings.on_sent(now);
        let at = keepalive_deadline(&pings, Quiet::Probing);
        assert_eq!(at, Some(now + 10_000 * MS));
        for quiet in [Quiet::Repeating, Quiet::Unasked] {
            assert_eq!(keepalive_deadline(&pings, quiet), None);
        }
    }

    #[test]
    fn a_ping_into_a_silence_is_answered_and_the_answer_is_not() {
        let start = Moment::START;
        let mut pings = pings(start);
        pings.on_ping(start + 1999 * MS, 10 * MS);
        assert!(!is_due(&pings, start + 1999 * MS, Quiet::Unasked));
        pings.on_ping(start + 2000 * MS, 10 * MS);
        assert!(is_due(&pings, start + 2000 * MS, Quiet::Unasked));
    }

    #[test]
    fn news_wait_for_data_to_carry_them() {
        let now = Moment::START;
        let mut pings = pings(now);
        let una = SeqNum::new(1);
        pings.on_acknowledged(now, una, 10 * MS, NEWS_DELAY);
        assert_eq!(pings.news_deadline(), Some(now + 25 * MS));
        pings.on_told(now + 5 * MS, una);
        assert_eq!(pings.news_deadline(), None);
        let (una, rtt) = (SeqNum::new(2), 100 * MS);
        pings.on_acknowledged(now + 6 * MS, una, rtt, NEWS_DELAY);
        assert_eq!(pings.news_deadline(), Some(now + 105 * MS));
    }

    #[test]
    fn a_peer_that_repeats_itself_is_reminded_at_a_bounded_rate() {
        let now = Moment::START;
        let mut pings = pings(now);
        pings.on_told(now, SeqNum::new(1));
        pings.on_repeated_ack(now + 50 * MS, 60 * MS);
        assert_eq!(pings.news_deadline(), None);
        pings.on_repeated_ack(now + 100 * MS, 60 * MS);
        assert!(is_due(&pings, now + 100 * MS, Quiet::Unasked));
    }
}
