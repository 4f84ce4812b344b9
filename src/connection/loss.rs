//! Which segments are lost (RFC 9002, section 6, and RACK, RFC 8985).
//!
//! A segment is lost when others that were sent later have been acknowledged: three of them, or
//! one and enough time. If nothing comes back at all, a probe timer repeats the oldest segment,
//! with exponential back-off. Every transmission has an index of its own, so that a repeated
//! segment is judged by its latest copy.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    rtt::RttEstimator,
    send::{SendHalf, Status},
};
use crate::wire::SeqNum;

const PACKET_THRESHOLD: u64 = 3;
/// Needless repetitions show how much a path reorders; beyond this the time threshold decides.
const MAX_PACKET_THRESHOLD: u64 = 96;
const GRANULARITY: Duration = Duration::from_millis(1);
const MAX_PROBE_INTERVAL: Duration = Duration::from_secs(4);

#[derive(Clone, Copy, Debug)]
struct Transmission {
    index: u64,
    number: SeqNum,
    sent_at: Instant,
}

#[derive(Debug)]
pub(super) struct LossDetector {
    /// Transmissions not yet judged, oldest first.
    log: VecDeque<Transmission>,
    next_index: u64,
    largest_acked: Option<u64>,
    packet_threshold: u64,
    /// In eighths of the round-trip time.
    time_threshold: u32,
    loss_time: Option<Instant>,
    last_sent: Option<Instant>,
    probes: u32,
}

impl LossDetector {
    pub(super) fn new() -> Self {
        Self {
            log: VecDeque::new(),
            next_index: 0,
            largest_acked: None,
            packet_threshold: PACKET_THRESHOLD,
            time_threshold: 9,
            loss_time: None,
            last_sent: None,
            probes: 0,
        }
    }

    /// The index of the next transmission.
    pub(super) fn next_index(&self) -> u64 {
        self.next_index
    }

    pub(super) fn on_sent(&mut self, number: SeqNum, now: Instant) {
        self.log.push_back(Transmission {
            index: self.next_index,
            number,
            sent_at: now,
        });
        self.next_index += 1;
        self.last_sent = Some(now);
    }

    /// The peer has received this transmission.
    pub(super) fn on_received(&mut self, index: u64) {
        self.largest_acked = Some(
            self.largest_acked
                .map_or(index, |largest| largest.max(index)),
        );
    }

    /// The peer acknowledged something new.
    pub(super) fn on_progress(&mut self) {
        self.probes = 0;
    }

    /// A repetition was needless: the path reorders more than was assumed.
    pub(super) fn on_spurious(&mut self) {
        self.packet_threshold = (2 * self.packet_threshold).min(MAX_PACKET_THRESHOLD);
        self.time_threshold = (self.time_threshold + 1).min(16);
    }

    /// Marks what is lost in `send`. Returns how many segments and bytes.
    pub(super) fn detect(
        &mut self,
        now: Instant,
        rtt: &RttEstimator,
        send: &mut SendHalf,
    ) -> (u64, u64) {
        let mut lost = (0, 0);
        self.loss_time = None;
        let reordering = self.reordering_time(rtt);
        while let Some(&Transmission {
            index,
            number,
            sent_at,
        }) = self.log.front()
        {
            let judged = send.get(number).is_none_or(|sent| {
                sent.transmission != index || sent.status != Status::Outstanding
            });
            if judged {
                self.log.pop_front();
                continue;
            }
            let Some(largest) = self.largest_acked.filter(|&largest| index < largest) else {
                break;
            };
            let lost_at = sent_at + reordering;
            if index + self.packet_threshold > largest && lost_at > now {
                self.loss_time = Some(lost_at);
                break;
            }
            lost = (lost.0 + 1, lost.1 + send.mark_lost(number));
            self.log.pop_front();
        }
        if self.log.is_empty() {
            self.log = VecDeque::new();
        }
        lost
    }

    fn reordering_time(&self, rtt: &RttEstimator) -> Duration {
        let base = rtt.smoothed().unwrap_or(Duration::ZERO);
        (base * self.time_threshold / 8).max(GRANULARITY)
    }

    /// Whether the time threshold has passed for the oldest transmission.
    pub(super) fn is_loss_due(&self, now: Instant) -> bool {
        self.loss_time.is_some_and(|at| at <= now)
    }

    /// When to probe, if anything is outstanding. `ack_delay` is how long the peer may hold back
    /// an acknowledgement.
    pub(super) fn probe_time(&self, rtt: &RttEstimator, ack_delay: Duration) -> Option<Instant> {
        let interval = (rtt.rto() + ack_delay) * 2u32.saturating_pow(self.probes.min(16));
        Some(self.last_sent? + interval.min(MAX_PROBE_INTERVAL.max(rtt.rto())))
    }

    /// Counts a probe; returns how many there have been without an answer.
    pub(super) fn on_probe(&mut self) -> u32 {
        self.probes = self.probes.saturating_add(1);
        self.probes
    }

    pub(super) fn deadline(
        &self,
        rtt: &RttEstimator,
        ack_delay: Duration,
        send: &SendHalf,
    ) -> Option<Instant> {
        if send.in_flight() == 0 {
            return None;
        }
        self.loss_time.or_else(|| self.probe_time(rtt, ack_delay))
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
        now: Instant,
        rtt: RttEstimator,
        send: SendHalf,
        loss: LossDetector,
    }

    impl Path {
        fn with_sent(count: usize) -> Self {
            let mut rtt = RttEstimator::default();
            rtt.sample(80 * MS);
            let send = SendHalf::new(SeqNum::ZERO, 10, 10_000);
            let mut path = Self {
                now: Instant::now(),
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
            self.loss.on_sent(number, self.now);
            true
        }

        fn ack(&mut self, number: u32) {
            let sent = self.send.acknowledge(SeqNum::new(number)).unwrap();
            self.loss.on_received(sent.transmission);
        }

        fn lost(&mut self) -> u64 {
            self.loss.detect(self.now, &self.rtt, &mut self.send).0
        }
    }

    #[test]
    fn three_later_acknowledgements_make_a_segment_lost() {
        let mut path = Path::with_sent(5);
        path.ack(1);
        path.ack(2);
        assert_eq!(path.lost(), 0);
        path.ack(3);
        assert_eq!(path.lost(), 1);
        assert_eq!(path.lost(), 0);
    }

    #[test]
    fn one_later_acknowledgement_and_time_make_a_segment_lost() {
        let mut path = Path::with_sent(2);
        path.ack(1);
        assert_eq!(path.lost(), 0);
        let at = path.loss.deadline(&path.rtt, MS, &path.send).unwrap();
        assert_eq!(at, path.now + 90 * MS);
        path.now = at;
        assert!(path.loss.is_loss_due(at));
        assert_eq!(path.lost(), 1);
    }

    #[test]
    fn a_repeated_segment_is_judged_by_its_latest_copy() {
        let mut path = Path::with_sent(5);
        path.ack(4);
        assert_eq!(path.lost(), 2);
        while path.transmit() {}
        assert_eq!(path.lost(), 0);
    }

    #[test]
    fn probes_back_off() {
        let mut path = Path::with_sent(1);
        let mut waits = Vec::new();
        for _ in 0..7 {
            let at = path.loss.deadline(&path.rtt, 20 * MS, &path.send).unwrap();
            waits.push((at - path.now).as_millis());
            path.loss.on_probe();
        }
        assert_eq!(waits, [260, 520, 1040, 2080, 4000, 4000, 4000]);
        path.loss.on_progress();
        let at = path.loss.deadline(&path.rtt, 20 * MS, &path.send).unwrap();
        assert_eq!(at, path.now + 260 * MS);
    }

    #[test]
    fn needless_repetitions_widen_the_threshold() {
        let mut path = Path::with_sent(8);
        path.loss.on_spurious();
        path.ack(5);
        assert_eq!(path.lost(), 0);
        path.ack(6);
        assert_eq!(path.lost(), 1);
    }
}
