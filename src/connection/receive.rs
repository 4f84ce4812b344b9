//! The receive half: numbered segments to bytes in order, and how many more there is room for.

use super::{bytes::ByteQueue, gaps::Gaps, throttle::FIRST_WINDOW};
use crate::wire::SeqNum;

/// Round trips that the window covers: a sender that doubles its rate uses two, as does one whose
/// rate varies, and a segment that gets lost several times in a row holds up what follows.
const ROUND_TRIPS: u32 = 4;
const LOSSY_ROUND_TRIPS: u32 = 8;
/// After so many round trips in which nothing was missing, the path counts as one without loss.
const CALM_ROUNDS: u8 = 16;

/// How wide the gaps of a peer may be that has not proven its address: this, and so much more for
/// each segment that has come.
const UNPROVEN_GAP: u64 = 64;
const UNPROVEN_GAPS: u64 = 4;

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
    /// Dropped because memory is scarce.
    OverMemory,
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
    ready: ByteQueue,
    /// Once something has come out of order.
    gaps: Option<Box<Gaps>>,
    /// The first number that is not accepted. Never moves back.
    limit: SeqNum,
    /// The limit that the peer has been told.
    told_limit: SeqNum,
    /// There was no room for more than that.
    told_room: bool,
    /// Bytes that may be on their way: for now and at first ...
    budget: u32,
    first_budget: u32,
    /// ... and bytes that may be held, of what is on its way and of what is not read yet.
    max_budget: u32,
    /// The peer has proven its address. One that has not gets no more room than a multiple of what
    /// its reader has taken from it already, and its gaps are no wider than what it sent allows.
    proven: bool,
    taken: u32,
    /// Bytes that may be held at present, places for segments included. `u32::MAX` is no limit.
    allowance: u32,
    /// Something has been missing since the budget was last fitted.
    gap_opened: bool,
    /// Round trips in a row in which nothing was missing.
    whole_rounds: u8,
    /// What a segment is taken to hold when the budget is turned into numbers: the most that this
    /// side would send or the peer has sent.
    segment_size: u32,
    /// The most segments that the peer is told to send, if that is less than there is room for.
    throttle: Option<u32>,
    /// The number of the stream's last segment, if the peer has said it.
    last: Option<SeqNum>,
    /// Nobody will read: bytes are acknowledged and forgotten.
    discarding: bool,
}

impl ReceiveHalf {
    pub(super) fn prefetch_parts(&self) {
        self.ready.prefetch();
    }

    /// `budget` bytes may be on their way at first, and `max_budget` may be held.
    pub(super) fn new(
        first: SeqNum,
        budget: usize,
        max_budget: usize,
        segment_size: usize,
    ) -> Self {
        let [budget, max_budget] = [budget.min(max_budget), max_budget].map(brief);
        let mut half = Self {
            next: first,
            received: 0,
            ready: ByteQueue::default(),
            gaps: None,
            limit: first,
            told_limit: first,
            told_room: false,
            budget,
            first_budget: budget,
            max_budget,
            proven: false,
            taken: 0,
            allowance: u32::MAX,
            gap_opened: false,
            whole_rounds: 0,
            segment_size: segment_size as u32,
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
        let fits = held == 0 || held + payload.len() <= self.most_held();
        if !number.precedes(self.limit) || !fits || self.is_too_sparse(ahead) {
            return Accepted::BeyondWindow;
        }
        if !self.is_allowed(ahead as usize, payload.len()) {
            return Accepted::OverMemory;
        }
        // Only now: what is not accepted may be forged, and must not close the window.
        self.segment_size = self.segment_size.max(payload.len() as u32);
        if ahead > 0 {
            let kept = self
                .gaps
                .get_or_insert_default()
                .keep(ahead as usize, payload);
            self.gap_opened |= kept == Accepted::OpenedGap;
            return kept;
        }
        self.deliver(payload);
        self.advance();
        let filled = self.drain_gaps();
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

    /// Bytes that may be held at all.
    fn most_held(&self) -> usize {
        let most = match self.proven {
            true => self.max_budget,
            false => {
                let earned = self.taken.saturating_mul(LOSSY_ROUND_TRIPS);
                self.first_budget.max(earned).min(self.max_budget)
            }
        };
        most as usize
    }

    /// Bytes that may be held while others need memory, too.
    fn allowance(&self) -> usize {
        match self.allowance {
            u32::MAX => usize::MAX,
            bytes if self.proven => bytes as usize,
            // One segment, then, whatever the peer has been told.
            _ => 0,
        }
    }

    /// Whether there is memory for a segment. For the next there is, if nothing waits to be read.
    fn is_allowed(&self, ahead: usize, len: usize) -> bool {
        let allowance = self.allowance();
        if ahead == 0 {
            return self.ready.is_empty() || self.ready.len() + len <= allowance;
        }
        let none = Gaps::default();
        let places = self.gaps().unwrap_or(&none).bookkeeping_with(ahead);
        self.memory() + places + len <= allowance
    }

    /// Gaps cost memory too, and a forged number is as cheap as any.
    fn is_too_sparse(&self, ahead: u32) -> bool {
        let come = self.received + self.gaps().map_or(0, Gaps::count) as u64;
        !self.proven && u64::from(ahead) > UNPROVEN_GAP + UNPROVEN_GAPS * come
    }

    fn advance(&mut self) {
        self.next = self.next.next();
        self.received += 1;
    }

    /// Delivers what has become contiguous. Returns whether anything had waited.
    fn drain_gaps(&mut self) -> bool {
        let Some(mut gaps) = self.gaps.take() else {
            return false;
        };
        gaps.advance();
        let mut any = false;
        while let Some(payload) = gaps.take_first() {
            self.deliver(&payload);
            self.advance();
            any = true;
            gaps.recycle(payload);
        }
        self.gaps = Some(gaps);
        any
    }

    /// Gives back memory that holds nothing.
    pub(super) fn release_memory(&mut self) {
        self.ready.release_memory();
        match &mut self.gaps {
            Some(gaps) if !gaps.is_empty() => gaps.release_memory(),
            gaps => *gaps = None,
        }
    }

    fn deliver(&mut self, payload: &[u8]) {
        if !self.discarding {
            self.ready.extend(payload);
        }
    }

    fn raise_limit(&mut self) {
        let most = self.most_held().min(self.allowance());
        let unused = most.saturating_sub(self.ready.len());
        let room = self.window_bytes().min(unused) / self.segment_size();
        // Segments may be larger than the whole budget, but one has to get through.
        let least = usize::from(self.ready.is_empty());
        self.limit = self.limit.latest(self.next.plus(room.max(least) as u32));
    }

    /// Bytes that the window spans if none of them waits for its reader.
    fn window_bytes(&self) -> usize {
        let budget = self.budget as usize;
        budget.min(self.most_held()).min(self.allowance())
    }

    pub(super) fn set_proven(&mut self) {
        self.proven = true;
        self.raise_limit();
    }

    /// When memory is scarce, the window is small. What the peer has been told stands, but what it
    /// sends may be dropped.
    pub(super) fn set_allowance(&mut self, bytes: usize) {
        let bytes = brief(bytes);
        if std::mem::replace(&mut self.allowance, bytes) < bytes {
            self.raise_limit();
        }
    }

    /// The window is to cover several round trips, in each of which so many bytes come.
    pub(super) fn fit_round_trip(&mut self, bytes: usize) {
        let bytes = brief(bytes);
        let whole = !std::mem::take(&mut self.gap_opened) && !self.has_gap();
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
        self.segment_size as usize
    }

    /// The next bytes in order. More may follow once these are consumed.
    pub(super) fn read(&self) -> &[u8] {
        self.ready.front()
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.ready.consume(count);
        self.on_taken(count);
    }

    fn on_taken(&mut self, count: usize) {
        self.taken = self.taken.saturating_add(brief(count));
        self.raise_limit();
    }

    /// As `read` and `consume`, into a queue.
    pub(super) fn read_into(&mut self, queue: &mut ByteQueue, most: usize) -> usize {
        let count = queue.append_from(&mut self.ready, most, most);
        self.on_taken(count);
        count
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
        let news = self.limit().since(self.told_limit).unwrap_or(0);
        if news == 0 {
            return false;
        }
        let window = self.window_bytes() / self.segment_size();
        let window = u32::try_from(window).unwrap_or(u32::MAX);
        let throttle = self.throttle.filter(|_| self.told_room);
        let quarter = (window.min(throttle.unwrap_or(window)) / 4).max(1);
        let known = self.told_limit.since(self.next).unwrap_or(0);
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
        !self.next.precedes(sending_next) && self.waiting_bytes() == 0
    }

    /// Whether something is missing, or the peer, which knows of everything before `sending_next`,
    /// has not said yet that it knows what has arrived.
    pub(super) fn is_unfinished(&self, sending_next: SeqNum) -> bool {
        sending_next.precedes(self.next) || self.has_gap()
    }

    pub(super) fn has_received(&self) -> bool {
        self.received > 0
    }

    pub(super) fn ready_bytes(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn memory(&self) -> usize {
        self.ready.len() + self.waiting_bytes()
    }

    fn gaps(&self) -> Option<&Gaps> {
        self.gaps.as_deref()
    }

    fn has_gap(&self) -> bool {
        self.gaps().is_some_and(|gaps| !gaps.is_empty())
    }

    fn waiting_bytes(&self) -> usize {
        self.gaps().map_or(0, Gaps::bytes)
    }

    /// Bytes of the places for what waits, and for what is missing before it.
    pub(super) fn bookkeeping(&self) -> usize {
        self.gaps().map_or(0, Gaps::bookkeeping)
    }

    pub(super) fn check_invariants(&self) {
        if let Some(gaps) = self.gaps() {
            gaps.check_invariants();
        }
        assert!(
            !self.limit.precedes(self.told_limit),
            "the window moved back"
        );
    }
}

/// No setting is larger.
fn brief(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
