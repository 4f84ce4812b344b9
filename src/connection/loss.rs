//! Which segments are lost (RFC 9002, section 6, and RACK, RFC 8985).
//!
//! A segment is lost when one that was sent later has been acknowledged and enough time has passed
//! for it to have been overtaken, or for the ACK that listed it to have been lost and followed by
//! another. A number of later ones, as in RFC 9002, proves nothing: with bursts of lost ACKs many
//! can be listed at once.
//!
//! A peer that ticks gets a tick more to list what a lost ACK had listed. But a few segments that
//! are missing among others were not lost with an ACK, and since every wait is felt in the small
//! windows of such peers, those are given up sooner.
//!
//! If nothing comes back at all, a probe timer repeats the oldest segment (`backoff.rs`). Every
//! transmission has an index of its own, so that a repeated segment is judged by its latest copy.

use std::{collections::VecDeque, time::Duration};

use super::{
    backoff,
    congestion::LossEvent,
    queue::Queue,
    rtt::RttEstimator,
    send::{SendHalf, Status},
};
use crate::{moment::Moment, prefetch::prefetch, wire::SeqNum};

/// How old a segment is when it is given up, in eighths of the round-trip time: at first, and when
/// needless repetitions have shown that the path reorders more.
const TIME_THRESHOLD: u8 = 9;
const MAX_TIME_THRESHOLD: u8 = 16;
/// After so much time without any, the threshold falls by a step.
const RELAX_AFTER: Duration = Duration::from_secs(5);
/// So many missing in a row may be due to a lost ACK of a peer that ticks.
const LONG_RUN: usize = 4;
/// One probe without an answer is common where much is lost.
const SILENT_PROBES: u32 = 3;
/// Transmissions that have been judged are kept up to this number, and as many again as there are
/// segments.
const JUDGED_KEPT: usize = 64;
const GRANULARITY: Duration = Duration::from_millis(1);

#[derive(Clone, Copy, Debug)]
struct Transmission {
    index: u64,
    number: SeqNum,
    sent_at: Moment,
}

impl Transmission {
    /// Whether it is the latest of its segment, and neither acknowledged nor given up.
    #[inline]
    fn is_open(&self, send: &SendHalf) -> bool {
        send.get(self.number).is_some_and(|sent| {
            sent.transmission == self.index && sent.status == Status::Outstanding
        })
    }
}

#[derive(Debug)]
pub(super) struct LossDetector {
    /// Transmissions not yet judged, oldest first.
    log: Queue<Transmission>,
    next_index: u64,
    /// The index after that of the latest transmission that the peer is known to have received.
    unacked: u64,
    time_threshold: u8,
    /// When that has changed.
    threshold_since: Option<Moment>,
    loss_time: Option<Moment>,
    last_sent: Option<Moment>,
    probes: u32,
    /// When the peer was last taken for back from a silence, if it has acknowledged nothing since.
    back_since: Option<Moment>,
}

impl LossDetector {
    pub(super) fn prefetch_parts(&self) {
        prefetch(&*self.log);
    }

    pub(super) fn new() -> Self {
        Self {
            log: Queue::default(),
            next_index: 0,
            unacked: 0,
            time_threshold: TIME_THRESHOLD,
            threshold_since: None,
            loss_time: None,
            last_sent: None,
            probes: 0,
            back_since: None,
        }
    }

    /// The index of the next transmission.
    pub(super) fn next_index(&self) -> u64 {
        self.next_index
    }

    /// A segment has been sent, of those in `send`.
    pub(super) fn on_sent(&mut self, number: SeqNum, now: Moment, send: &SendHalf) {
        let log = &mut *self.log;
        if log.len() == log.capacity() {
            make_room(log, send);
        }
        log.push_back(Transmission {
            index: self.next_index,
            number,
            sent_at: now,
        });
        self.next_index += 1;
        self.last_sent = Some(now);
    }

    /// The peer has received this transmission.
    pub(super) fn on_received(&mut self, index: u64) {
        self.unacked = self.unacked.max(index + 1);
    }

    /// Whether this is a later transmission than any that the peer is known to have received.
    pub(super) fn is_later(&self, index: u64) -> bool {
        index >= self.unacked
    }

    /// The peer acknowledged something new.
    pub(super) fn on_progress(&mut self) {
        self.probes = 0;
        self.back_since = None;
    }

    /// The peer is heard again after a silence. If it has acknowledged something since the one
    /// before, it is asked as often again as at first.
    pub(super) fn on_silence_broken(&mut self, now: Moment) {
        if self.back_since.replace(now).is_none() {
            self.probes = 0;
        }
    }

    /// A repetition was needless: the path reorders more than was assumed. Once in a round trip
    /// this raises the threshold.
    pub(super) fn on_spurious(&mut self, now: Moment, rtt: &RttEstimator) {
        let round_trip = rtt.smoothed().unwrap_or_default();
        if self.has_stood(now, round_trip) {
            self.time_threshold = (self.time_threshold + 1).min(MAX_TIME_THRESHOLD);
            self.threshold_since = Some(now);
        }
    }

    fn relax(&mut self, now: Moment) {
        if self.time_threshold > TIME_THRESHOLD && self.has_stood(now, RELAX_AFTER) {
            self.time_threshold -= 1;
            self.threshold_since = Some(now);
        }
    }

    fn has_stood(&self, now: Moment, time: Duration) -> bool {
        self.threshold_since
            .is_none_or(|since| now.saturating_duration_since(since) >= time)
    }

    /// Marks what is lost in `send`. `tick` is the interval at which the peer acts, if it does.
    pub(super) fn detect(
        &mut self,
        now: Moment,
        rtt: &RttEstimator,
        tick: Duration,
        send: &mut SendHalf,
    ) -> Option<LossEvent> {
        let mut lost = None;
        self.loss_time = None;
        self.relax(now);
        while let Some(&transmission) = self.log.front() {
            let Transmission {
                index,
                number,
                sent_at,
            } = transmission;
            if !transmission.is_open(send) {
                self.log.pop_front();
                continue;
            }
            if self.is_later(index) {
                break;
            }
            let overtaken_alone = !tick.is_zero() && !self.is_run_long(send);
            let lost_at = match overtaken_alone {
                true => sent_at + self.tolerance_alone(rtt),
                false => sent_at + self.tolerance(rtt) + tick,
            };
            if lost_at > now {
                self.loss_time = Some(lost_at);
                break;
            }
            send.mark_lost(number);
            let before = lost.map_or(0, |lost: LossEvent| lost.segments);
            lost = Some(LossEvent {
                segments: before + 1,
                sent_at,
            });
            self.log.pop_front();
        }
        if lost.is_some() {
            // The pacer may hold the repetitions back for a while; nothing has to be asked before.
            self.last_sent = Some(now);
        }
        lost
    }

    /// Nothing of what has been sent will be sent again.
    pub(super) fn forget_sent(&mut self) {
        self.log = Queue::default();
    }

    pub(super) fn bookkeeping(&self) -> usize {
        self.log.len() * size_of::<Transmission>()
    }

    /// Gives back memory that holds nothing.
    pub(super) fn release_memory(&mut self) {
        self.log.release_memory();
    }

    /// Whether the oldest transmission and many that followed it are missing.
    fn is_run_long(&self, send: &SendHalf) -> bool {
        let is_missing = |sent: &&Transmission| {
            let segment = send.get(sent.number);
            segment.is_some_and(|segment| segment.status == Status::Outstanding)
        };
        let run = self.log.iter().take(LONG_RUN).take_while(is_missing);
        run.count() == LONG_RUN
    }

    /// How old a transmission must be to count as lost once a later one has been acknowledged.
    fn tolerance(&self, rtt: &RttEstimator) -> Duration {
        let base = rtt.smoothed().max(rtt.latest()).unwrap_or_default();
        (base * u32::from(self.time_threshold) / 8).max(GRANULARITY)
    }

    /// The same for a few that are missing among others, of a peer that ticks: not to wait for its
    /// tick takes the place of what a round trip longer than the least would allow.
    fn tolerance_alone(&self, rtt: &RttEstimator) -> Duration {
        let base = rtt.min().unwrap_or_default();
        (base * u32::from(self.time_threshold) / 8).max(GRANULARITY)
    }

    /// Whether the time threshold has passed for the oldest transmission.
    pub(super) fn is_loss_due(&self, now: Moment) -> bool {
        self.loss_time.is_some_and(|at| at <= now)
    }

    /// When to probe, if anything is outstanding. `ack_delay` is how long the peer may hold back
    /// an acknowledgement.
    fn probe_time(
        &self,
        rtt: &RttEstimator,
        ack_delay: Duration,
        send: &SendHalf,
    ) -> Option<Moment> {
        let base = rtt.rto() + ack_delay;
        let probes = match send.is_thin() && !send.is_beyond_window() {
            true => self.probes.saturating_sub(2),
            false => self.probes,
        };
        // Whoever has not proven its address may have asked for nothing.
        let interval = if send.is_beyond_window() || !send.is_proven() {
            backoff::persist(base, probes)
        } else {
            backoff::interval(base, probes)
        };
        Some(self.last_sent? + interval)
    }

    /// Whether a probe had no answer yet.
    #[inline]
    pub(super) fn is_probing(&self) -> bool {
        self.probes > 0
    }

    /// Whether several probes had no answer.
    pub(super) fn is_unanswered(&self) -> bool {
        self.probes >= SILENT_PROBES
    }

    /// Whether a word of the peer ends a silence: several probes had no answer, the last of them
    /// for longer than one takes. A peer that talks and acknowledges nothing ends them, and is asked,
    /// as often as any is in the first seconds, for as long as it talks.
    pub(super) fn is_path_silent(&self, now: Moment, rtt: &RttEstimator) -> bool {
        let passed = |at: Moment, time| now.saturating_duration_since(at) >= time;
        self.is_unanswered()
            && self.last_sent.is_some_and(|at| passed(at, rtt.rto()))
            && self
                .back_since
                .is_none_or(|at| passed(at, backoff::EARLY_INTERVAL))
    }

    /// Counts a probe; returns how many there have been without an answer.
    pub(super) fn on_probe(&mut self) -> u32 {
        self.probes = self.probes.saturating_add(1);
        self.probes
    }

    pub(super) fn deadline(
        &self,
        rtt: &RttEstimator,
        ack_delay: impl FnOnce() -> Duration,
        send: &SendHalf,
    ) -> Option<Moment> {
        if send.in_flight() == 0 {
            return None;
        }
        self.loss_time
            .or_else(|| self.probe_time(rtt, ack_delay(), send))
    }
}

/// Before the log grows, what has been judged goes if that is most of it: a peer that never
/// acknowledges, but has something repeated again and again, would otherwise make it grow without
/// end.
#[cold]
fn make_room(log: &mut VecDeque<Transmission>, send: &SendHalf) {
    if log.len() > JUDGED_KEPT + 2 * send.outstanding() {
        log.retain(|sent| sent.is_open(send));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        connection::{congestion::rate::Snapshot, send::Stamp},
        wire::Timestamp,
    };

    const MS: Duration = Duration::from_millis(1);

    struct Path {
        now: Moment,
        rtt: RttEstimator,
        send: SendHalf,
        loss: LossDetector,
    }

    impl Path {
        fn with_sent(count: usize) -> Self {
            let mut rtt = RttEstimator::default();
            rtt.sample(80 * MS);
            let mut send = SendHalf::new(SeqNum::ZERO, 10, 10_000);
            send.set_proven();
            let mut path = Self {
                now: Moment::START,
                rtt,
                send,
                loss: LossDetector::new(),
            };
            path.send.write(&vec![0; count * 10]);
            while path.transmit() {}
            path
        }

        fn transmit(&mut self) -> bool {
            let Some(candidate) = self.send.candidate() else {
                return false;
            };
            let stamp = Stamp {
                transmission: self.loss.next_index(),
                now: self.now,
                timestamp: Timestamp::new(1),
                rate: Snapshot::at(self.now),
            };
            let (number, _) = self.send.transmit(candidate, stamp);
            self.loss.on_sent(number, self.now, &self.send);
            true
        }

        fn ack(&mut self, number: u32) {
            let sent = self.send.acknowledge(SeqNum::new(number)).unwrap();
            self.loss.on_received(sent.transmission);
        }

        fn lost(&mut self) -> u64 {
            self.loss
                .detect(self.now, &self.rtt, Duration::ZERO, &mut self.send)
                .map_or(0, |lost| lost.segments)
        }
    }

    #[test]
    fn one_later_acknowledgement_and_time_make_a_segment_lost() {
        let mut path = Path::with_sent(2);
        path.ack(1);
        assert_eq!(path.lost(), 0);
        let at = path.loss.deadline(&path.rtt, || MS, &path.send).unwrap();
        assert_eq!(at, path.now + 90 * MS);
        path.now = at;
        assert!(path.loss.is_loss_due(at));
        assert_eq!(path.lost(), 1);
    }

    #[test]
    fn a_repeated_segment_is_judged_by_its_latest_copy() {
        let mut path = Path::with_sent(5);
        path.now += 90 * MS;
        path.ack(4);
        assert_eq!(path.lost(), 4);
        while path.transmit() {}
        path.now += 80 * MS;
        assert_eq!(path.lost(), 0);
    }

    #[test]
    fn of_a_peer_that_ticks_single_segments_are_given_up_at_once_and_many_late() {
        let mut path = Path::with_sent(3 + 2 * LONG_RUN);
        path.ack(2);
        let tick = 50 * MS;
        let lost = |path: &mut Path| {
            let lost = path.loss.detect(path.now, &path.rtt, tick, &mut path.send);
            lost.map_or(0, |lost| lost.segments)
        };
        path.now += 90 * MS;
        assert_eq!(lost(&mut path), 2);
        path.ack(2 + 2 * LONG_RUN as u32);
        assert_eq!(lost(&mut path), 0);
        path.now += 50 * MS;
        assert_eq!(lost(&mut path), 2 * LONG_RUN as u64 - 1);
    }

    #[test]
    fn probes_back_off_until_something_is_acknowledged() {
        // A small message is asked for three times as often before they do.
        let cases = [
            (1, [50, 50, 50, 100, 200, 250, 250]),
            (2, [50, 100, 200, 250, 250, 250, 250]),
        ];
        for (segments, expected) in cases {
            let mut path = Path::with_sent(segments);
            path.rtt = RttEstimator::default();
            path.rtt.sample(10 * MS);
            let wait = |path: &Path| {
                let at = path.loss.deadline(&path.rtt, || 20 * MS, &path.send);
                (at.unwrap() - path.now).as_millis()
            };
            let mut waits = Vec::new();
            for _ in 0..40 {
                waits.push(wait(&path));
                path.loss.on_probe();
            }
            assert_eq!(waits[..7], expected);
            assert_eq!(waits[39], 4000);
            path.loss.on_progress();
            assert_eq!(wait(&path), 50);
        }
    }

    #[test]
    fn needless_repetitions_widen_the_threshold_for_a_while() {
        let mut path = Path::with_sent(2);
        for _ in 0..3 {
            path.loss.on_spurious(path.now, &path.rtt);
        }
        path.ack(1);
        assert_eq!(path.lost(), 0);
        let at = path.loss.deadline(&path.rtt, || MS, &path.send).unwrap();
        assert_eq!(at, path.now + 100 * MS);
        path.now += RELAX_AFTER;
        path.lost();
        assert_eq!(path.loss.time_threshold, TIME_THRESHOLD);
    }
}
