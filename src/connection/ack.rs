//! What to acknowledge, and when.
//!
//! An ACK leaves at once for a segment that opens a gap, fills one, or is a repetition, and for
//! every second one in a row, or for more if many come in a round trip; else after a short delay,
//! or with the next data. Every number is listed once; those beyond a gap again (`relist.rs`).

use std::{collections::VecDeque, time::Duration};

use arrayvec::ArrayVec;

use super::{queue::shrink, relist::Relist};
use crate::{
    moment::Moment,
    prefetch::prefetch,
    wire::{Ack, Numbers, Options, SeqNum, Timestamp},
};

/// The longest delay of an ACK, whatever the interval and the round-trip time.
pub(super) const MAX_DELAY: Duration = Duration::from_millis(10);
/// mKCP: a sender puts at most 128 numbers into one ACK.
const MAX_NUMBERS: usize = 128;
/// How many segments in a row share an ACK: a sixteenth of those in a round trip, within bounds.
const LEAST_BATCH: usize = 2;
const MOST_BATCH: usize = 8;
const ACKS_IN_ROUND_TRIP: usize = 16;
/// Numbers kept for listing. What is dropped beyond will be sent, and then listed, again.
const MAX_PENDING: usize = 8192;

/// How soon a segment wants its ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    AtOnce,
    /// At once, and it has been listed before.
    Repetition,
    InCompany,
}

/// A segment received, and the timestamp to echo.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) number: SeqNum,
    pub(super) timestamp: Timestamp,
    /// It had not been received before.
    pub(super) is_new: bool,
}

#[derive(Debug)]
pub(super) struct AckQueue {
    max_numbers: u16,
    batch: u16,
    /// The peer knows of everything before this.
    known: SeqNum,
    due: Option<Moment>,
    /// A connection that receives nothing has none.
    lists: Option<Box<Lists>>,
}

#[derive(Debug, Default)]
struct Lists {
    /// Received and not yet listed, oldest first.
    pending: VecDeque<Entry>,
    relist: Relist,
}

/// The numbers of one ACK.
pub(super) type Listed = ArrayVec<SeqNum, MAX_NUMBERS>;

impl Lists {
    /// Bytes of what waits to be listed, for the first time or again.
    fn bookkeeping(&self) -> usize {
        self.pending.len() * size_of::<Entry>() + self.relist.bookkeeping()
    }

    /// Drops what the peer knows of and lies in front; what lies behind waits until it does. A
    /// hostile peer can ask for this with each segment, so it must not take a look at all.
    fn forget_before(&mut self, known: SeqNum) {
        let is_known = |entry: &Entry| entry.number.precedes(known);
        while self.pending.front().is_some_and(is_known) {
            self.pending.pop_front();
        }
    }

    /// Takes so many of the oldest that wait to be listed and that the peer does not know of.
    #[inline]
    fn take_fresh(&mut self, known: SeqNum, most: usize, mut list: impl FnMut(Entry)) {
        self.forget_before(known);
        for _ in 0..most {
            let Some(entry) = self.pending.pop_front() else {
                return;
            };
            list(entry);
            self.forget_before(known);
        }
    }
}

impl AckQueue {
    /// `max_plaintext` bounds an ACK segment.
    pub(super) fn new(first: SeqNum, max_plaintext: usize) -> Self {
        let fit = max_plaintext.saturating_sub(crate::wire::ACK_OVERHEAD) / 4;
        Self {
            max_numbers: fit.clamp(1, MAX_NUMBERS) as u16,
            batch: LEAST_BATCH as u16,
            known: first,
            due: None,
            lists: None,
        }
    }

    /// So many segments come in a round trip.
    pub(super) fn adapt(&mut self, segments: usize) {
        let batch = (segments / ACKS_IN_ROUND_TRIP).clamp(LEAST_BATCH, MOST_BATCH);
        self.batch = batch as u16;
    }

    pub(super) fn add(
        &mut self,
        number: SeqNum,
        timestamp: Timestamp,
        urgency: Urgency,
        now: Moment,
        delay: Duration,
    ) {
        let pending = &mut self.lists.get_or_insert_default().pending;
        // Repetitions of one segment must not make the list grow.
        let listed = urgency == Urgency::Repetition
            && pending
                .iter()
                .rev()
                .take(MAX_NUMBERS)
                .any(|entry| entry.number == number);
        if !listed && pending.len() < MAX_PENDING {
            pending.push_back(Entry {
                number,
                timestamp,
                is_new: urgency != Urgency::Repetition,
            });
        }
        let due = match urgency {
            Urgency::InCompany if pending.len() < self.batch.into() => now + delay,
            _ => now,
        };
        self.request(due);
    }

    /// Asks for an ACK at this time even if it lists nothing.
    pub(super) fn request(&mut self, at: Moment) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// What waits to be listed waits no longer.
    pub(super) fn hurry(&mut self, now: Moment) {
        if self.due.is_some() {
            self.request(now);
        }
    }

    /// The peer holds nothing unacknowledged before `sending_next`: it knows about those.
    pub(super) fn clear(&mut self, sending_next: SeqNum) {
        if self.known.precedes(sending_next) {
            self.known = sending_next;
            if let Some(lists) = &mut self.lists {
                lists.forget_before(sending_next);
            }
        }
    }

    /// Bytes of what waits to be listed.
    pub(super) fn bookkeeping(&self) -> usize {
        self.lists.as_deref().map_or(0, Lists::bookkeeping)
    }

    /// Keeps no more than so many bytes, and first of all what has not been listed yet. What is
    /// forgotten may be sent, and then listed, once more. A list that is too long loses half of
    /// what it may have, so that a peer cannot have it copied for each segment. Returns how many
    /// bytes are left.
    pub(super) fn keep_within(&mut self, bytes: usize) -> usize {
        let Some(lists) = &mut self.lists else {
            return 0;
        };
        if lists.bookkeeping() > bytes {
            lists.relist.clear();
            let most = bytes / size_of::<Entry>();
            if lists.pending.len() > most {
                lists.pending.truncate(most / 2);
                lists.pending.shrink_to(most);
            }
        }
        lists.bookkeeping()
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        self.due
    }

    pub(super) fn prefetch_parts(&self) {
        if let Some(lists) = self.lists.as_deref() {
            prefetch(lists);
        }
    }

    pub(super) fn is_due(&self, now: Moment) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// The most bytes that the next ACK can have, or `None` if there is nothing to say.
    pub(super) fn next_len(&self) -> Option<usize> {
        self.due?;
        let listed = |lists: &Lists| lists.pending.len() + lists.relist.due();
        let numbers = self.lists.as_deref().map_or(0, listed);
        let numbers = numbers.min(self.max_numbers.into());
        Some(crate::wire::ACK_OVERHEAD + 4 * numbers)
    }

    /// Takes the next ACK, whose numbers are put into `listed`, which is empty. `next` is the first
    /// number not yet received, `limit` the window's.
    pub(super) fn next_ack<'a>(
        &mut self,
        now: Moment,
        conversation: u16,
        next: SeqNum,
        limit: SeqNum,
        listed: &'a mut Listed,
    ) -> Ack<'a> {
        let lists = self.lists.get_or_insert_default();
        let mut timestamp = Timestamp::ZERO;
        let mut receiving_next = next;
        let max_numbers = usize::from(self.max_numbers);
        let mut beyond_gap = ArrayVec::<Entry, MAX_NUMBERS>::new();
        lists.take_fresh(self.known, max_numbers, |entry| {
            listed.push(entry.number);
            timestamp = timestamp.take(entry.timestamp);
            // mKCP: a Go sender takes no sample from, and does not count, a number that the
            // ReceivingNext of the same ACK covers. Of a repetition it has done so already.
            if entry.is_new {
                receiving_next = receiving_next.earliest(entry.number);
            }
            if !entry.number.precedes(next) {
                beyond_gap.push(entry);
            }
        });
        let room = max_numbers - listed.len();
        lists.relist.take(room, next, |entry| {
            listed.push(entry.number);
            timestamp = timestamp.take(entry.timestamp);
        });
        for &entry in &beyond_gap {
            lists.relist.add(entry);
        }
        self.due = if lists.pending.is_empty() {
            None
        } else {
            Some(now)
        };
        Ack {
            conversation,
            options: Options::WRAPS,
            receiving_window: limit,
            receiving_next,
            timestamp,
            numbers: Numbers::List(listed),
        }
    }

    /// Gives back memory that holds nothing of use to a peer that has been told of all before
    /// `next`.
    pub(super) fn release_memory(&mut self, next: SeqNum) {
        let is_done =
            |lists: &mut Box<Lists>| lists.pending.is_empty() && lists.relist.is_done(next);
        self.lists.take_if(is_done);
        if let Some(lists) = &mut self.lists {
            shrink(&mut lists.pending);
            lists.relist.release_memory();
        }
    }

    pub(super) fn stop(&mut self) {
        self.lists = None;
        self.due = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(10);

    fn n(number: u32) -> SeqNum {
        SeqNum::new(number)
    }

    fn listed(ack: &Ack<'_>) -> Vec<u32> {
        ack.numbers.iter().map(SeqNum::get).collect()
    }

    #[test]
    fn one_segment_waits_and_the_second_in_a_row_does_not() {
        let now = Moment::START;
        let mut queue = AckQueue::new(SeqNum::ZERO, 1344);
        queue.add(n(0), Timestamp::new(7), Urgency::InCompany, now, DELAY);
        assert_eq!(queue.deadline(), Some(now + DELAY));
        queue.add(n(1), Timestamp::new(5), Urgency::InCompany, now, DELAY);
        assert!(queue.is_due(now));
        let mut numbers = Listed::new();
        let ack = queue.next_ack(now, 1, n(2), n(50), &mut numbers);
        assert_eq!(listed(&ack), [0, 1]);
        assert_eq!(
            (ack.timestamp, ack.receiving_window),
            (Timestamp::new(7), n(50))
        );
        assert_eq!(queue.deadline(), None);
    }

    #[test]
    fn receiving_next_never_covers_a_number_that_is_listed_for_the_first_time() {
        let now = Moment::START;
        let mut queue = AckQueue::new(SeqNum::ZERO, 1344);
        for number in 3..6 {
            queue.add(n(number), Timestamp::new(1), Urgency::InCompany, now, DELAY);
        }
        assert_eq!(
            queue
                .next_ack(now, 1, n(6), n(50), &mut Listed::new())
                .receiving_next,
            n(3)
        );
        queue.add(n(6), Timestamp::new(1), Urgency::AtOnce, now, DELAY);
        assert_eq!(
            queue
                .next_ack(now, 1, n(7), n(50), &mut Listed::new())
                .receiving_next,
            n(6)
        );
    }

    #[test]
    fn numbers_beyond_a_gap_are_listed_again() {
        let now = Moment::START;
        let mut queue = AckQueue::new(SeqNum::ZERO, 1344);
        queue.add(n(5), Timestamp::new(9), Urgency::AtOnce, now, DELAY);
        assert_eq!(
            listed(&queue.next_ack(now, 1, n(0), n(50), &mut Listed::new())),
            [5]
        );
        queue.add(n(6), Timestamp::new(10), Urgency::AtOnce, now, DELAY);
        let mut numbers = Listed::new();
        let ack = queue.next_ack(now, 1, n(0), n(50), &mut numbers);
        assert_eq!(
            (listed(&ack), ack.timestamp),
            (vec![6, 5], Timestamp::new(10))
        );
        assert_eq!(
            listed(&queue.next_ack(now, 1, n(6), n(50), &mut Listed::new())),
            [6]
        );
        assert!(listed(&queue.next_ack(now, 1, n(7), n(50), &mut Listed::new())).is_empty());
    }

    #[test]
    fn what_is_listed_again_alone_comes_with_its_timestamp() {
        let now = Moment::START;
        let mut queue = AckQueue::new(SeqNum::ZERO, 1344);
        queue.add(n(5), Timestamp::new(9), Urgency::AtOnce, now, DELAY);
        queue.next_ack(now, 1, n(0), n(50), &mut Listed::new());
        queue.request(now);
        let mut numbers = Listed::new();
        let ack = queue.next_ack(now, 1, n(0), n(50), &mut numbers);
        assert_eq!((listed(&ack), ack.timestamp), (vec![5], Timestamp::new(9)));
    }

    #[test]
    fn the_more_come_in_a_round_trip_the_more_share_an_ack() {
        let now = Moment::START;
        for (segments, batch) in [(0, 2), (64, 4), (10_000, 8)] {
            let mut queue = AckQueue::new(SeqNum::ZERO, 1344);
            queue.adapt(segments);
            for number in 0..batch {
                assert!(!queue.is_due(now));
                queue.add(n(number), Timestamp::new(1), Urgency::InCompany, now, DELAY);
            }
            assert!(queue.is_due(now));
        }
    }

    #[test]
    fn what_the_peer_knows_is_not_listed() {
        let now = Moment::START;
        let mut queue = AckQueue::new(SeqNum::ZERO, 1344);
        for number in [1, 2, 3] {
            queue.add(n(number), Timestamp::new(1), Urgency::AtOnce, now, DELAY);
        }
        queue.clear(n(3));
        assert_eq!(
            listed(&queue.next_ack(now, 1, n(4), n(50), &mut Listed::new())),
            [3]
        );
    }

    #[test]
    fn what_is_listed_for_the_first_time_is_forgotten_last() {
        let now = Moment::START;
        let mut queue = AckQueue::new(SeqNum::ZERO, 1344);
        let add = |queue: &mut AckQueue, numbers: std::ops::Range<u32>| {
            for number in numbers {
                queue.add(n(number), Timestamp::new(1), Urgency::AtOnce, now, DELAY);
            }
        };
        add(&mut queue, 1..5);
        queue.next_ack(now, 1, n(0), n(50), &mut Listed::new());
        add(&mut queue, 5..9);
        let held = queue.bookkeeping();
        assert_eq!(queue.keep_within(held), held);
        assert_eq!(queue.keep_within(held / 2), 4 * size_of::<Entry>());
        let one = size_of::<Entry>();
        assert_eq!(queue.keep_within(3 * one), one);
        assert_eq!(
            listed(&queue.next_ack(now, 1, n(0), n(50), &mut Listed::new())),
            [5]
        );
    }

    #[test]
    fn a_list_that_is_kept_short_is_not_copied_for_each_segment() {
        let now = Moment::START;
        let mut queue = AckQueue::new(SeqNum::ZERO, 1344);
        let room = |queue: &AckQueue| {
            queue
                .lists
                .as_ref()
                .map_or(0, |lists| lists.pending.capacity())
        };
        let mut copies = 0;
        for number in 0..10_000 {
            let before = room(&queue);
            queue.add(n(number), Timestamp::new(1), Urgency::AtOnce, now, DELAY);
            copies += usize::from(room(&queue) != before);
            let held = queue.keep_within(1000 * size_of::<Entry>());
            assert!(held <= 1000 * size_of::<Entry>());
        }
        assert!(copies < 50, "{copies} times");
    }

    #[test]
    fn a_long_list_is_spread_over_several_acks() {
        let now = Moment::START;
        let mut queue = AckQueue::new(SeqNum::ZERO, 17 + 4 * 10);
        for number in 0..25 {
            queue.add(n(number), Timestamp::new(1), Urgency::InCompany, now, DELAY);
        }
        let mut counts = Vec::new();
        while queue.is_due(now) {
            assert_eq!(
                queue.next_len(),
                Some(17 + 4 * (25 - counts.len() * 10).min(10))
            );
            counts.push(
                queue
                    .next_ack(now, 1, n(25), n(50), &mut Listed::new())
                    .numbers
                    .len(),
            );
        }
        assert_eq!(counts, [10, 10, 5]);
    }
}
