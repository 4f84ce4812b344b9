//! The send half: bytes to numbered segments, which of them the peer has, and which go next.

mod discarded;
mod echo;

use std::{collections::VecDeque, ops::Range};

use super::{UNPROVEN_BYTES, bytes::ByteQueue, congestion::rate::Snapshot, queue::shrink};
use crate::{
    moment::Moment,
    prefetch::prefetch,
    wire::{SeqNum, Timestamp},
};
pub(super) use discarded::Discarded;
pub(super) use echo::Echo;

/// mKCP: before the first ACK a peer takes 32 segments.
const INITIAL_LIMIT: u32 = 32;
/// Bytes taken from the application ahead of sending them: a few full system calls.
const UNSENT_LIMIT: usize = 128 * 1024;
/// A segment that has been sent more often than that is sent twice at a time: few are, and they
/// hold up everything behind them.
const OFTEN: u32 = 3;
/// Repetitions that are remembered; those beyond are sent only once.
const MOST_REPEATED: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Sent, neither acknowledged nor given up.
    Outstanding,
    /// Given up; it will be sent again.
    Lost,
    Acked,
}

/// A segment that has been sent. Its number and bytes never change.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    start: u64,
    pub(super) len: usize,
    pub(super) status: Status,
    /// How often it has been sent.
    pub(super) transmissions: u32,
    /// The index of its latest transmission among all of the connection.
    pub(super) transmission: u64,
    pub(super) sent_at: Moment,
    pub(super) timestamp: Timestamp,
    /// The timestamp of its first transmission.
    pub(super) first_timestamp: Timestamp,
    pub(super) rate: Snapshot,
}

/// A transmission that is about to happen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    pub(super) transmission: u64,
    pub(super) now: Moment,
    pub(super) timestamp: Timestamp,
    pub(super) rate: Snapshot,
}

/// What to send next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Candidate {
    /// A lost segment again.
    Repeat { number: SeqNum, len: usize },
    /// Bytes that have no number yet.
    New { len: usize },
    /// What has just been repeated, once more, because it has been lost often or keeps the peer's
    /// window closed.
    Copy { number: SeqNum, len: usize },
}

impl Candidate {
    pub(super) fn len(self) -> usize {
        match self {
            Self::Repeat { len, .. } | Self::New { len } | Self::Copy { len, .. } => len,
        }
    }
}

#[derive(Debug)]
pub(super) struct SendHalf {
    /// From the first byte that is not acknowledged to the last one written.
    bytes: ByteQueue,
    /// The stream offset of the first of `bytes`, and of the first that has no number.
    start: u64,
    numbered: u64,
    /// The segments from `first_unacked` to `next_number`.
    segments: VecDeque<Sent>,
    first_unacked: SeqNum,
    next_number: SeqNum,
    /// The first number that the peer does not accept.
    limit: SeqNum,
    /// Once something has got lost.
    repetition: Option<Box<Repetition>>,
    in_flight: u64,
    max_payload: u32,
    max_held: usize,
    /// Bytes that may be held at present, what is known of segments included.
    allowance: u32,
    /// The peer has proven its address.
    proven: bool,
    discarded: Discarded,
}

/// What is to be sent again, and what was lately.
#[derive(Debug, Default)]
struct Repetition {
    lost: VecDeque<SeqNum>,
    repeated: VecDeque<SeqNum>,
}

impl SendHalf {
    pub(super) fn prefetch_parts(&self) {
        self.bytes.prefetch();
        if let Some(first) = self.segments.front() {
            prefetch(first);
        }
    }

    /// `max_held` bounds the bytes held for repetition, and `UNPROVEN_BYTES` as long as the peer
    /// has not proven its address.
    pub(super) fn new(first: SeqNum, max_payload: usize, max_held: usize) -> Self {
        Self {
            bytes: ByteQueue::default(),
            start: 0,
            numbered: 0,
            segments: VecDeque::new(),
            first_unacked: first,
            next_number: first,
            limit: first.plus(INITIAL_LIMIT),
            repetition: None,
            in_flight: 0,
            max_payload: max_payload as u32,
            max_held,
            allowance: u32::MAX,
            proven: false,
            discarded: Discarded::Nothing,
        }
    }

    pub(super) fn set_proven(&mut self) {
        self.proven = true;
    }

    pub(super) fn set_allowance(&mut self, bytes: usize) {
        self.allowance = u32::try_from(bytes).unwrap_or(u32::MAX);
    }

    pub(super) fn is_proven(&self) -> bool {
        self.proven
    }

    pub(super) fn write(&mut self, data: &[u8]) -> usize {
        let taken = data.len().min(self.room());
        self.bytes.extend(&data[..taken]);
        taken
    }

    /// As `write`, from a queue. A chunk of it may be more than would be taken otherwise.
    pub(super) fn write_from(&mut self, queue: &mut ByteQueue) -> usize {
        let wanted = UNSENT_LIMIT.saturating_sub(self.unsent());
        let most = self.unheld();
        self.bytes.append_from(queue, wanted, most)
    }

    pub(super) fn room(&self) -> usize {
        let unsent = UNSENT_LIMIT.saturating_sub(self.unsent());
        unsent.min(self.unheld())
    }

    /// How many more bytes may be held.
    fn unheld(&self) -> usize {
        let most = match self.proven {
            true => self.max_held,
            false => self.max_held.min(UNPROVEN_BYTES),
        };
        let allowed = (self.allowance as usize).saturating_sub(self.bookkeeping());
        most.min(allowed).saturating_sub(self.bytes.len())
    }

    /// Bytes written that have no number yet.
    pub(super) fn unsent(&self) -> usize {
        self.bytes.len() - (self.numbered - self.start) as usize
    }

    /// The peer accepts numbers up to `limit`. Limits never move back.
    pub(super) fn raise_limit(&mut self, limit: SeqNum) {
        self.limit = self.limit.latest(limit);
    }

    /// Segments that the peer would accept beyond those sent.
    pub(super) fn window(&self) -> u32 {
        self.limit.since(self.next_number).unwrap_or(0)
    }

    /// Whether bytes wait for the peer's window to open.
    pub(super) fn is_blocked(&self) -> bool {
        self.window() == 0 && self.unsent() > 0
    }

    /// Whether all that is outstanding was sent to try a closed window.
    pub(super) fn is_beyond_window(&self) -> bool {
        !self.first_unacked.precedes(self.limit)
    }

    /// The next segment to send, a lost one before a new one.
    pub(super) fn candidate(&mut self) -> Option<Candidate> {
        let again = self.repetition.take().and_then(|mut repetition| {
            let again = repetition.next(self);
            self.repetition = Some(repetition);
            again
        });
        match again {
            None if self.window() > 0 => self.candidate_beyond_window(),
            again => again,
        }
    }

    /// As `candidate`, but new bytes even if the peer's window is closed.
    pub(super) fn candidate_beyond_window(&self) -> Option<Candidate> {
        let len = self.unsent().min(self.max_payload as usize);
        (len > 0).then_some(Candidate::New { len })
    }

    /// Records that a candidate is sent now. Returns its number and bytes.
    pub(super) fn transmit(&mut self, candidate: Candidate, stamp: Stamp) -> (SeqNum, &[u8]) {
        let number = match candidate {
            Candidate::Repeat { number, .. } => {
                self.note_repeated(number);
                number
            }
            Candidate::New { len } => self.assign_number(len, stamp),
            Candidate::Copy { number, .. } => {
                self.repetition().repeated.pop_front();
                number
            }
        };
        let range = self.get(number).map_or(0..0, |sent| self.range(sent));
        // Of a copy, what is known of the segment says all already.
        let is_copy = matches!(candidate, Candidate::Copy { .. });
        if let Some(sent) = self.get_mut(number).filter(|_| !is_copy) {
            sent.status = Status::Outstanding;
            sent.transmissions += 1;
            sent.transmission = stamp.transmission;
            sent.sent_at = stamp.now;
            sent.timestamp = stamp.timestamp;
            sent.rate = stamp.rate;
            self.in_flight += range.len() as u64;
        }
        (number, self.bytes.get(range))
    }

    /// Those lost often go first, for they hold up the most.
    fn note_repeated(&mut self, number: SeqNum) {
        let often = self
            .get(number)
            .is_some_and(|sent| sent.transmissions >= OFTEN);
        let repeated = &mut self.repetition().repeated;
        if often {
            repeated.truncate(MOST_REPEATED - 1);
            repeated.push_front(number);
        } else if repeated.len() < MOST_REPEATED {
            repeated.push_back(number);
        }
    }

    /// One at a time is enough to ask a peer that has not answered several times.
    pub(super) fn forgo_copies(&mut self) {
        if let Some(repetition) = &mut self.repetition {
            repetition.repeated.clear();
        }
    }

    fn repetition(&mut self) -> &mut Repetition {
        self.repetition.get_or_insert_default()
    }

    /// Where its bytes are.
    fn range(&self, sent: &Sent) -> Range<usize> {
        let from = (sent.start - self.start) as usize;
        from..from + sent.len
    }

    fn assign_number(&mut self, len: usize, stamp: Stamp) -> SeqNum {
        let number = self.next_number;
        self.segments.push_back(Sent {
            start: self.numbered,
            len,
            status: Status::Outstanding,
            transmissions: 0,
            transmission: stamp.transmission,
            sent_at: stamp.now,
            timestamp: stamp.timestamp,
            first_timestamp: stamp.timestamp,
            rate: stamp.rate,
        });
        self.numbered += len as u64;
        self.next_number = number.next();
        number
    }

    /// The peer has this segment. Gives what was known of it if that is news.
    pub(super) fn acknowledge(&mut self, number: SeqNum) -> Option<Sent> {
        let sent = self.get_mut(number)?;
        if sent.status == Status::Acked {
            return None;
        }
        let before = sent.clone();
        sent.status = Status::Acked;
        if before.status == Status::Outstanding {
            self.in_flight -= before.len as u64;
        }
        Some(before)
    }

    /// Whether the segment so far behind the first unacknowledged one has been sent and is not
    /// acknowledged.
    pub(super) fn is_awaited(&self, ahead: u32) -> bool {
        let sent = self.segments.get(ahead as usize);
        sent.is_some_and(|sent| sent.status != Status::Acked)
    }

    /// Forgets the acknowledged segments at the front, and their bytes.
    pub(super) fn release(&mut self) {
        while let Some(sent) = self.segments.front() {
            if sent.status != Status::Acked {
                break;
            }
            let len = sent.len;
            self.bytes.consume(len);
            self.start += len as u64;
            self.first_unacked = self.first_unacked.next();
            self.segments.pop_front();
        }
    }

    /// Gives back memory that holds nothing.
    pub(super) fn release_memory(&mut self) {
        self.bytes.release_memory();
        shrink(&mut self.segments);
        if self.bytes.is_empty() {
            self.segments = VecDeque::new();
            self.repetition = None;
        }
    }

    /// Gives up an outstanding segment; it will be sent again. Returns its bytes.
    pub(super) fn mark_lost(&mut self, number: SeqNum) -> u64 {
        let Some(sent) = self.get_mut(number) else {
            return 0;
        };
        if sent.status != Status::Outstanding {
            return 0;
        }
        sent.status = Status::Lost;
        let len = sent.len as u64;
        self.in_flight -= len;
        self.repetition().lost.push_back(number);
        len
    }

    /// The first unacknowledged segment goes before the others that are to be repeated, if it is one
    /// of them: the reader waits for it, and a peer short of memory may take nothing else.
    pub(super) fn hurry_first(&mut self) {
        let first = self.first_unacked;
        if let Some(repetition) = &mut self.repetition
            && repetition.lost.front() != Some(&first)
            && repetition.lost.contains(&first)
        {
            repetition.lost.retain(|&number| number != first);
            repetition.lost.push_front(first);
        }
    }

    /// The oldest segment that is outstanding.
    pub(super) fn oldest_outstanding(&self) -> Option<SeqNum> {
        let is_outstanding = |sent: &Sent| sent.status == Status::Outstanding;
        let index = self.segments.iter().position(is_outstanding)?;
        Some(self.first_unacked.plus(index as u32))
    }

    /// The latest segment sent, if it is outstanding and nothing is left to send behind it.
    pub(super) fn outstanding_tail(&self) -> Option<SeqNum> {
        let tail = self.segments.back()?;
        let is_tail = tail.status == Status::Outstanding && self.unsent() == 0;
        is_tail.then(|| self.next_number.minus(1))
    }

    pub(super) fn get(&self, number: SeqNum) -> Option<&Sent> {
        self.segments
            .get(number.since(self.first_unacked)? as usize)
    }

    fn get_mut(&mut self, number: SeqNum) -> Option<&mut Sent> {
        self.segments
            .get_mut(number.since(self.first_unacked)? as usize)
    }

    pub(super) fn first_unacked(&self) -> SeqNum {
        self.first_unacked
    }

    pub(super) fn next_number(&self) -> SeqNum {
        self.next_number
    }

    /// Whether everything has been sent, and what the peer has not acknowledged is no more than
    /// fits into one segment.
    pub(super) fn is_thin(&self) -> bool {
        self.unsent() == 0 && self.bytes.len() <= self.max_payload as usize
    }

    /// Payload bytes outstanding.
    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Whether nothing waits for being sent or acknowledged.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Segments that have been sent, from the first that is not acknowledged.
    pub(super) fn outstanding(&self) -> usize {
        self.segments.len()
    }

    /// Bytes held.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of what is known of the segments that have been sent.
    pub(super) fn bookkeeping(&self) -> usize {
        self.segments.len() * size_of::<Sent>()
    }

    pub(super) fn check_invariants(&self) {
        let outstanding = self
            .segments
            .iter()
            .filter(|sent| sent.status == Status::Outstanding);
        let in_flight: usize = outstanding.map(|sent| sent.len).sum();
        assert_eq!(in_flight as u64, self.in_flight);
        let numbered: usize = self.segments.iter().map(|sent| sent.len).sum();
        assert_eq!(numbered as u64, self.numbered - self.start);
        assert_eq!(
            self.next_number.since(self.first_unacked),
            Some(self.segments.len() as u32)
        );
        assert!(
            self.segments
                .front()
                .is_none_or(|sent| sent.status != Status::Acked)
        );
    }
}

impl Repetition {
    /// A lost segment, or one that has just been repeated.
    #[inline]
    fn next(&mut self, send: &SendHalf) -> Option<Candidate> {
        while let Some(&number) = self.lost.front() {
            match send.get(number) {
                Some(sent) if sent.status == Status::Lost => {
                    return Some(Candidate::Repeat {
                        number,
                        len: sent.len,
                    });
                }
                _ => self.lost.pop_front(),
            };
        }
        self.copy(send)
    }

    /// A repetition once more: if it has been lost often and others follow, or if only that keeps
    /// the peer's window closed to what is waiting. A few bytes that are not answered may be due to
    /// a dark path.
    fn copy(&mut self, send: &SendHalf) -> Option<Candidate> {
        while let Some(&number) = self.repeated.front() {
            let outstanding = |sent: &&Sent| sent.status == Status::Outstanding;
            if let Some(sent) = send.get(number).filter(outstanding) {
                let often = sent.transmissions > OFTEN && !send.is_thin();
                let copied = often || send.is_blocked();
                let len = sent.len;
                return copied.then_some(Candidate::Copy { number, len });
            }
            self.repeated.pop_front();
        }
        None
    }
}

#[cfg(test)]
mod tests;
