//! A policer: it lets a rate pass, and what it has saved up in its bucket besides, drops the rest
//! and delays nothing (RFC 2475). Providers keep customers to their rate by it, and UDP above all.
//!
//! Nothing tells it from chance but that less is lost when less is sent. The largest sample of the
//! bandwidth is always too large, for what the bucket saved up while less was sent passes at any
//! rate. So what arrives while as much is sent as the model says is compared with the model: where
//! it is clearly less, and clearly more is lost than the path loses by itself, what arrives becomes
//! the ceiling of the model, for some time.

use std::time::Duration;

use super::{
    super::{AckEvent, LossEvent},
    path::scale,
};
use crate::moment::{Micros, Moment};

/// By so many segments and so much time a cruise, or several, are judged: bursts, and losses that
/// come in bursts, are to be small against it.
const LEAST: u32 = 256;
const LEAST_TIME: Duration = Duration::from_millis(100);
/// So much more must be lost than the path loses by itself, in thousandths.
const EXCESS: u64 = 50;
/// To find one again that was found before, so much and so many are enough.
const EXCESS_AGAIN: u64 = 20;
const LEAST_AGAIN: u32 = LEAST / 4;
/// After so many cruises a ceiling is given up, for the path may have become faster: at first, and at
/// most. Whenever it is found again at once, it is believed for twice as long.
const FIRST_TERM: u8 = 2;
const LONGEST_TERM: u8 = 8;

/// What has been seen while cruising.
#[derive(Debug)]
pub(super) struct Policer {
    /// When the present cruise began, and since when what is acknowledged was sent in it.
    began: Moment,
    since: Option<Moment>,
    /// What the path lost by itself before, in thousandths.
    ambient: u16,
    tally: Tally,
    /// Payload bytes per second that pass, and for how many more cruises that is believed.
    ceiling: Option<(u64, u8)>,
    /// For how long the next one will be.
    term: u8,
}

/// What became of what was sent in cruises, since they were judged.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// Of the cruises before the present one.
    time: Micros,
    bytes: u64,
    acked: u32,
    lost: u32,
    /// The program was the limit.
    limited: bool,
}

/// What a cruise says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is no reason to watch on.
    Clean,
    /// Nothing new.
    Same,
    /// There is a policer, which had not been known.
    Policed,
}

impl Policer {
    /// To be made when something was lost in a cruise.
    pub(super) fn new(now: Moment) -> Self {
        Self {
            began: now,
            since: None,
            ambient: 0,
            tally: Tally::default(),
            ceiling: None,
            term: FIRST_TERM,
        }
    }

    /// Payload bytes per second that pass, if that is known.
    pub(super) fn ceiling(&self) -> Option<u64> {
        self.ceiling.map(|(rate, _)| rate)
    }

    pub(super) fn begin_cruise(&mut self, now: Moment, ambient: u64) {
        self.began = now;
        self.since = None;
        self.ambient = ambient as u16;
    }

    /// Something has arrived, what was sent at that time last if that is known.
    pub(super) fn on_ack(&mut self, event: &AckEvent, sent_at: Option<Moment>) {
        if event.rate.is_none_or(|sample| sample.app_limited) {
            self.tally.limited = true;
        }
        if self.since.is_some() {
            let segments = u32::try_from(event.acked_segments).unwrap_or(u32::MAX);
            self.tally.acked = self.tally.acked.saturating_add(segments);
            self.tally.bytes = self.tally.bytes.saturating_add(event.acked);
        } else if sent_at.is_some_and(|sent_at| sent_at >= self.began) {
            self.since = Some(event.now);
        }
    }

    pub(super) fn on_loss(&mut self, event: &LossEvent) {
        if self.since.is_some() && event.sent_at >= self.began {
            let segments = u32::try_from(event.segments).unwrap_or(u32::MAX);
            self.tally.lost = self.tally.lost.saturating_add(segments);
        }
    }

    /// The cruise is over. The model has had a bandwidth, and the path loses so much by itself, in
    /// thousandths.
    pub(super) fn end_cruise(&mut self, now: Moment, bandwidth: u64, ambient: u64) -> Verdict {
        if let Some(since) = self.since.take() {
            self.tally.time = (self.tally.time.get() + (now - since)).into();
        }
        if self.tally.time.get() < LEAST_TIME {
            return Verdict::Same;
        }
        self.age();
        let least = if self.was_found() { LEAST_AGAIN } else { LEAST };
        if self.tally.segments() < least && !self.tally.limited {
            return Verdict::Same;
        }
        let tally = std::mem::take(&mut self.tally);
        match tally.limited {
            true => Verdict::Same,
            false => self.judge(tally, bandwidth, ambient),
        }
    }

    fn judge(&mut self, tally: Tally, bandwidth: u64, ambient: u64) -> Verdict {
        let (passed, excess) = (tally.rate(), tally.excess(ambient));
        if let Some((ceiling, _)) = &mut self.ceiling {
            if excess >= EXCESS_AGAIN {
                *ceiling = passed.min(*ceiling);
            }
            return Verdict::Same;
        }
        // Of one that was found before, this cruise may have spoilt the share.
        let is_back = self.was_found() && tally.excess(self.ambient.into()) >= EXCESS_AGAIN;
        if is_back || excess >= EXCESS && passed < scale(bandwidth, 9, 10) {
            self.ceiling = Some((passed, self.term));
            self.term = (2 * self.term).min(LONGEST_TERM);
            return Verdict::Policed;
        }
        if self.was_found() {
            self.term -= 1;
            return Verdict::Same;
        }
        match tally.lost {
            0 => Verdict::Clean,
            _ => Verdict::Same,
        }
    }

    fn was_found(&self) -> bool {
        self.term > FIRST_TERM
    }

    fn age(&mut self) {
        if let Some((_, left)) = &mut self.ceiling {
            *left -= 1;
            if *left == 0 {
                self.ceiling = None;
            }
        }
    }
}

impl Tally {
    fn segments(self) -> u32 {
        self.acked.saturating_add(self.lost)
    }

    fn rate(self) -> u64 {
        scale(self.bytes, 1_000_000, self.time.get().as_micros() as u64)
    }

    /// The share that was lost beyond this one, in thousandths.
    fn excess(self, ambient: u64) -> u64 {
        let share = u64::from(self.lost) * 1000 / u64::from(self.segments()).max(1);
        share.saturating_sub(ambient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::congestion::rate::RateSample;

    const CRUISE: Duration = Duration::from_millis(300);
    const RATE: u64 = 1_000_000;
    const PAYLOAD: u64 = 1000;

    struct Path {
        policer: Policer,
        now: Moment,
    }

    impl Path {
        fn new() -> Self {
            let now = Moment::START + CRUISE;
            let policer = Policer::new(now);
            Self { policer, now }
        }

        /// A cruise in which so much arrives of what is sent, where the model says `RATE` and that a
        /// tenth is lost by chance.
        fn cruise(&mut self, passed: u64, lost: u64, app_limited: bool) -> Verdict {
            self.policer.begin_cruise(self.now, 100);
            let sent_at = self.now;
            self.ack(0, app_limited, sent_at);
            let segments = passed * CRUISE.as_millis() as u64 / 1000 / PAYLOAD;
            self.now += CRUISE;
            self.ack(segments, app_limited, sent_at);
            let segments = lost;
            self.policer.on_loss(&LossEvent { segments, sent_at });
            self.policer.end_cruise(self.now, RATE, 100)
        }

        fn ack(&mut self, segments: u64, app_limited: bool, sent_at: Moment) {
            let event = AckEvent {
                now: self.now,
                acked: segments * PAYLOAD,
                acked_segments: segments,
                delivered: 0,
                in_flight: 0,
                rtt: None,
                tick: Duration::ZERO,
                rate: Some(RateSample {
                    bytes_per_second: RATE,
                    app_limited,
                    prior_delivered: 0,
                }),
            };
            self.policer.on_ack(&event, Some(sent_at));
        }
    }

    #[test]
    fn what_passes_is_the_ceiling_where_much_is_lost_and_less_arrives() {
        let mut path = Path::new();
        assert_eq!(path.cruise(RATE, 30, false), Verdict::Same, "chance");
        assert_eq!(path.cruise(RATE, 100, false), Verdict::Same, "all arrives");
        assert_eq!(path.policer.ceiling(), None);
        assert_eq!(path.cruise(RATE * 4 / 5, 120, false), Verdict::Policed);
        assert_eq!(path.policer.ceiling(), Some(RATE * 4 / 5));
        path.cruise(RATE * 7 / 10, 120, false);
        assert_eq!(path.policer.ceiling(), Some(RATE * 7 / 10), "even less");
    }

    #[test]
    fn each_time_it_is_found_it_is_believed_for_longer() {
        let mut path = Path::new();
        let mut lasted = Vec::new();
        for _ in 0..4 {
            assert_eq!(path.cruise(RATE * 4 / 5, 120, false), Verdict::Policed);
            let lasts = (1..)
                .find(|_| {
                    path.cruise(RATE * 4 / 5, 20, false);
                    path.policer.ceiling().is_none()
                })
                .unwrap();
            lasted.push(lasts);
        }
        assert_eq!(lasted, [2, 3, 5, 7]);
    }

    #[test]
    fn a_program_that_rests_says_nothing() {
        let mut path = Path::new();
        assert_eq!(path.cruise(RATE / 5, 120, true), Verdict::Same);
        assert_eq!(path.policer.ceiling(), None);
    }

    #[test]
    fn it_is_not_watched_on_where_nothing_is_lost() {
        let mut path = Path::new();
        assert_eq!(path.cruise(RATE, 0, false), Verdict::Clean);
    }
}
