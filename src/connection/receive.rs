//! The receive half: numbered segments to bytes in order, and how many more there is room for.

use std::collections::VecDeque;

use super::{KEPT_BYTES, throttle::FIRST_WINDOW};
use crate::wire::SeqNum;

/// Round trips that the window covers: a sender that doubles its rate uses two, as does one whose
/// rate varies, and a segment that gets lost several times in a row holds up what follows.
const ROUND_TRIPS: usize = 4;
const LOSSY_ROUND_TRIPS: usize = 8;
/// After so many round trips in which nothing was missing, the path counts as one without loss.
const CALM_ROUNDS: u32 = 16;

/// What became of a Data segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    /// The next one; nothing was waiting for it.
    InOrder,
    /// The next one, and others had been waiting for it.
    FilledGap,
    /// Kept until those before it come.
    OutOfOrder,
    /// The same, and now more are missing than before.
    OpenedGap,
    /// Received before.
    Duplicate,
    /// Beyond the advertised window, or never possible, and dropped.
    BeyondWindow,
}

/// Reassembles the peer's stream.
///
/// Nothing that has been acknowledged is dropped; the window closes instead.
#[derive(Debug)]
pub(super) struct ReceiveHalf {
    /// The first number not yet received.
    next: SeqNum,
    /// How many numbers lie before `next`.
    received: u64,
    /// Bytes in order, not yet read.
    ready: VecDeque<u8>,
    /// Slot `i` is number `next + i`. Slot 0 is always empty.
    waiting: VecDeque<Option<Vec<u8>>>,
    waiting_bytes: usize,
    /// Memory for those to come.
    spare: Vec<Vec<u8>>,
    /// The first number that is not accepted. Never moves back.
    limit: SeqNum,
    /// The limit that the peer has been told.
    told_limit: SeqNum,
    /// There was no room for more than that.
    told_room: bool,
    /// Bytes that may be on their way: for now and at first ...
    budget: usize,
    first_budget: usize,
    /// ... and bytes that may be held, of what is on its way and of what is not read yet.
    max_budget: usize,
    /// Something has been missing since the budget was last fitted.
    gap_opened: bool,
    /// Round trips in a row in which nothing was missing.
    whole_rounds: u32,
    /// What a segment is taken to hold when the budget is turned into numbers: the most that this
    /// side would send or the peer has sent.
    segment_size: usize,
    /// The most segments that the peer is told to send, if that is to be less than there is room for.
    throttle: Option<u32>,
    /// The number of the stream's last segment, if the peer has said it.
    last: Option<SeqNum>,
    /// Nobody will read: bytes are acknowledged and forgotten.
    discarding: bool,
}

impl ReceiveHalf {
    /// `budget` bytes may be on their way at first, and `max_budget` may be held.
    pub(super) fn new(
        first: SeqNum,
        budget: usize,
        max_budget: usize,
        segment_size: usize,
    ) -> Self {
        let mut half = Self {
            next: first,
            received: 0,
            ready: VecDeque::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            spare: Vec::new(),
            limit: first,
            told_limit: first,
            told_room: false,
            budget: budget.min(max_budget),
            first_budget: budget.min(max_budget),
            max_budget,
            gap_opened: false,
            whole_rounds: 0,
            segment_size,
            throttle: Some(FIRST_WINDOW),
            last: None,
            discarding: false,
        };
        half.raise_limit();
        // mKCP: what a peer assumes until it is told.
        half.told_limit = half.limit.earliest(first.plus(FIRST_WINDOW));
        half
    }

    pub(super) fn accept(&mut self, number: SeqNum, payload: &[u8]) -> Accepted {
        let Some(ahead) = number.since(self.next) else {
            return self.behind(number);
        };
        // A peer may use larger segments than was assumed, so that the count alone is no bound. The
        // next one is what everything else waits for, so that only what is ready counts.
        let held = if ahead > 0 {
            self.memory()
        } else {
            self.ready.len()
        };
        let fits = held == 0 || held + payload.len() <= self.max_budget;
        if !number.precedes(self.limit) || !fits {
            return Accepted::BeyondWindow;
        }
        // Only now: what is not accepted may be forged, and must not close the window.
        self.segment_size = self.segment_size.max(payload.len());
        if ahead > 0 {
            return self.keep(ahead as usize, payload);
        }
        self.deliver(payload);
        self.waiting.pop_front();
        self.advance();
        let filled = self.drain_waiting();
        self.raise_limit();
        if filled {
            Accepted::FilledGap
        } else {
            Accepted::InOrder
        }
    }

    /// mKCP: a number that was not received must not be acknowledged, so it is no duplicate.
    fn behind(&self, number: SeqNum) -> Accepted {
        let distance = self.next.since(number).unwrap_or(u32::MAX);
        if u64::from(distance) <= self.received {
            Accepted::Duplicate
        } else {
            Accepted::BeyondWindow
        }
    }

    fn advance(&mut self) {
        self.next = self.next.next();
        self.received += 1;
    }

    fn keep(&mut self, slot: usize, payload: &[u8]) -> Accepted {
        let opened = slot > self.waiting.len();
        if self.waiting.len() <= slot {
            self.waiting.resize_with(slot + 1, || None);
        }
        if self.waiting[slot].is_some() {
            return Accepted::Duplicate;
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.extend_from_slice(payload);
        self.waiting[slot] = Some(bytes);
        self.waiting_bytes += payload.len();
        self.gap_opened |= opened;
        if opened {
            Accepted::OpenedGap
        } else {
            Accepted::OutOfOrder
        }
    }

    /// Delivers what became contiguous.
    fn drain_waiting(&mut self) -> bool {
        let mut any = false;
        while let Some(Some(_)) = self.waiting.front() {
            let Some(Some(mut payload)) = self.waiting.pop_front() else {
                break;
            };
            self.waiting_bytes -= payload.len();
            self.deliver(&payload);
            self.advance();
            any = true;
            if (self.spare.len() + 1) * payload.capacity() <= KEPT_BYTES {
                payload.clear();
                self.spare.push(payload);
            }
        }
        any
    }

    /// Gives back memory that holds nothing.
    pub(super) fn release_memory(&mut self) {
        if self.ready.is_empty() {
            self.ready = VecDeque::new();
        }
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        self.spare = Vec::new();
    }

    fn deliver(&mut self, payload: &[u8]) {
        if !self.discarding {
            self.ready.extend(payload);
        }
    }

    fn raise_limit(&mut self) {
        let unused = self.max_budget.saturating_sub(self.ready.len());
        let room = self.budget.min(unused) / self.segment_size;
        // Segments may be larger than the whole budget, but one has to get through.
        let least = usize::from(self.ready.is_empty());
        self.limit = self.limit.latest(self.next.plus(room.max(least) as u32));
    }

    /// The window is to cover several round trips, in each of which so many bytes come.
    pub(super) fn fit_round_trip(&mut self, bytes: usize) {
        let whole = !std::mem::take(&mut self.gap_opened) && self.waiting.is_empty();
        self.whole_rounds = match whole {
            true => self.whole_rounds.saturating_add(1),
            false => 0,
        };
        let (wanted, least) = if self.whole_rounds < CALM_ROUNDS {
            (bytes.saturating_mul(LOSSY_ROUND_TRIPS), self.budget)
        } else {
            // It shrinks slowly, and what the peer has been told stands.
            let shrunk = self.budget - self.budget / 8;
            (
                bytes.saturating_mul(ROUND_TRIPS),
                self.first_budget.max(shrunk),
            )
        };
        self.budget = wanted.max(least).min(self.max_budget);
        self.raise_limit();
    }

    pub(super) fn segment_size(&self) -> usize {
        self.segment_size
    }

    /// The next bytes in order. More may follow once these are consumed.
    pub(super) fn read(&self) -> &[u8] {
        self.ready.as_slices().0
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.ready.drain(..count.min(self.ready.len()));
        if self.ready.is_empty() && self.ready.capacity() > KEPT_BYTES {
            self.ready = VecDeque::new();
        }
        self.raise_limit();
    }

    pub(super) fn discard(&mut self) {
        self.discarding = true;
        self.consume(self.ready.len());
    }

    pub(super) fn next(&self) -> SeqNum {
        self.next
    }

    /// The limit to tell the peer.
    pub(super) fn limit(&self) -> SeqNum {
        let wanted = match self.throttle {
            Some(window) => self.limit.earliest(self.next.plus(window)),
            None => self.limit,
        };
        self.told_limit.latest(wanted)
    }

    pub(super) fn on_limit_told(&mut self) {
        self.told_limit = self.limit();
        self.told_room = self.told_limit == self.limit;
    }

    pub(super) fn told_limit(&self) -> SeqNum {
        self.told_limit
    }

    pub(super) fn set_throttle(&mut self, window: Option<u32>) {
        self.throttle = window;
    }

    /// Makes room for everything that a peer which heeds no window can have on its way.
    pub(super) fn brace(&mut self) {
        self.budget = self.max_budget;
        self.raise_limit();
    }

    /// Whether the peer should hear of the window although no segment asks for an ACK: it has
    /// opened by a quarter, and the peer knows of less than that. A throttle that was the limit
    /// when the peer heard last is no news: the segments that it lets through ask for ACKs.
    pub(super) fn has_window_news(&self) -> bool {
        let budget = u32::try_from(self.budget / self.segment_size).unwrap_or(u32::MAX);
        let throttle = self.throttle.filter(|_| self.told_room);
        let quarter = (budget.min(throttle.unwrap_or(budget)) / 4).max(1);
        let known = self.told_limit.since(self.next).unwrap_or(0);
        let news = self.limit().since(self.told_limit).unwrap_or(0);
        known < quarter && news >= quarter
    }

    /// The peer said that the segment with this number is its last.
    pub(super) fn set_last(&mut self, number: SeqNum) {
        self.last.get_or_insert(number);
    }

    /// Whether the segment that the peer called its last has been received in order.
    pub(super) fn has_last(&self) -> bool {
        self.last.is_some_and(|last| last.precedes(self.next))
    }

    /// Whether nothing is missing of a stream of which the peer holds unacknowledged only what
    /// lies at or behind `sending_next`.
    pub(super) fn is_complete_until(&self, sending_next: SeqNum) -> bool {
        !self.next.precedes(sending_next) && self.waiting_bytes == 0
    }

    /// Whether something is missing, or the peer, which knows of everything before `sending_next`,
    /// has not said yet that it knows what has arrived.
    pub(super) fn is_unfinished(&self, sending_next: SeqNum) -> bool {
        sending_next.precedes(self.next) || !self.waiting.is_empty()
    }

    pub(super) fn ready_bytes(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn memory(&self) -> usize {
        self.ready.len() + self.waiting_bytes
    }

    pub(super) fn check_invariants(&self) {
        assert!(
            !matches!(self.waiting.front(), Some(Some(_))),
            "contiguous bytes left waiting"
        );
        let waiting: usize = self
            .waiting
            .iter()
            .flatten()
            .map(|payload| payload.len())
            .sum();
        assert_eq!(waiting, self.waiting_bytes);
        assert!(
            !self.limit.precedes(self.told_limit),
            "the window moved back"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half() -> ReceiveHalf {
        ReceiveHalf::new(SeqNum::ZERO, 100, 100, 10)
    }

    fn n(number: u32) -> SeqNum {
        SeqNum::new(number)
    }

    #[test]
    fn segments_are_put_in_order() {
        let mut half = half();
        assert_eq!(half.accept(n(2), b"c"), Accepted::OpenedGap);
        assert_eq!(half.accept(n(0), b"a"), Accepted::InOrder);
        assert_eq!(half.accept(n(2), b"x"), Accepted::Duplicate);
        assert_eq!(half.accept(n(0), b"x"), Accepted::Duplicate);
        assert_eq!(half.accept(n(u32::MAX), b"x"), Accepted::BeyondWindow);
        assert_eq!(half.read(), b"a");
        assert_eq!(half.accept(n(1), b"b"), Accepted::FilledGap);
        assert_eq!(half.next(), n(3));
        half.consume(1);
        assert_eq!(half.read(), b"bc");
        half.check_invariants();
    }

    #[test]
    fn the_window_closes_while_nobody_reads_and_opens_again() {
        let mut half = half();
        assert_eq!(half.limit(), n(10));
        for number in 0..10 {
            assert_eq!(half.accept(n(number), &[0; 10]), Accepted::InOrder);
        }
        assert_eq!(half.limit(), n(10));
        assert_eq!(half.accept(n(10), &[0; 10]), Accepted::BeyondWindow);
        assert!(!half.has_window_news());
        half.consume(30);
        assert_eq!(half.limit(), n(13));
        assert!(half.has_window_news());
        half.on_limit_told();
        assert!(!half.has_window_news());
    }

    #[test]
    fn a_peer_that_is_held_back_hears_that_a_closed_window_has_opened() {
        let mut half = ReceiveHalf::new(SeqNum::ZERO, 1000, 1000, 10);
        half.set_throttle(Some(8));
        for number in 0..100 {
            half.accept(n(number), &[0; 10]);
            half.on_limit_told();
            assert!(!half.has_window_news());
        }
        assert_eq!(half.limit(), half.next());
        half.consume(500);
        assert_eq!(half.limit(), n(108));
        assert!(half.has_window_news());
    }

    #[test]
    fn a_large_segment_that_is_not_accepted_does_not_close_the_window() {
        let mut half = half();
        assert_eq!(half.accept(n(50), &[0; 90]), Accepted::BeyondWindow);
        half.accept(n(0), &[0; 10]);
        assert_eq!(half.limit, n(10));
        half.consume(10);
        assert_eq!(half.limit, n(11));
    }

    #[test]
    fn large_segments_cannot_exceed_the_largest_budget() {
        let mut half = half();
        assert_eq!(half.accept(n(1), &[0; 150]), Accepted::OpenedGap);
        assert_eq!(half.accept(n(2), &[0; 60]), Accepted::BeyondWindow);
    }

    #[test]
    fn numbers_wrap() {
        let mut half = ReceiveHalf::new(n(u32::MAX), 100, 200, 10);
        assert_eq!(half.accept(n(0), b"b"), Accepted::OpenedGap);
        assert_eq!(half.accept(n(u32::MAX), b"a"), Accepted::FilledGap);
        assert_eq!((half.read(), half.next()), (&b"ab"[..], n(1)));
    }

    #[test]
    fn the_end_is_known_by_the_last_segment_or_by_what_the_peer_still_holds() {
        let mut half = half();
        half.set_last(n(1));
        half.accept(n(0), b"a");
        assert!(!half.has_last());
        assert!(half.is_complete_until(n(1)) && !half.is_complete_until(n(2)));
        half.accept(n(1), b"b");
        assert!(half.has_last());
    }
}
