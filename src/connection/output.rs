//! What leaves next.
//!
//! A datagram holds an acknowledgement if one is due or fits beside data, then Data, then a Ping
//! if nothing else says what it would say.

use std::{mem, time::Instant};

use super::{
    Connection, State, Timer,
    ack::Listed,
    keepalive::Quiet,
    send::{Candidate, Stamp},
    timer,
};
use crate::{
    error::ConnectionError,
    moment::Moment,
    wire::{COMMAND_LEN, Command, CommandKind, DATA_OVERHEAD, Data, Options, Segment, SeqNum},
};

/// mKCP: Go peers compare numbers plainly and stall at 2^32; a stream to one ends before.
const LAST_PLAIN_NUMBER: u32 = 0xffff_0000;

/// Why the last attempt to send stopped, and what overrides the usual limits.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) nodelay: bool,
    /// The next segment goes out whatever congestion control says.
    pub(super) probe: bool,
    /// Repetitions are due to later acknowledgements, not to a timer.
    pub(super) repeat_is_fast: bool,
    pub(super) peer_wraps: bool,
    /// It is being compared with others that the same path keeps back.
    pub(super) is_compared: bool,
    /// Another datagram may leave at the same time as the last one.
    has_more: bool,
    /// When the small segment at the end stops waiting for company.
    hold_until: Option<Moment>,
    /// When the peer's closed window is tried.
    window_probe_at: Option<Moment>,
    /// What the last attempt to send waits for, anew at each: a deadline that stood while something
    /// else was in the way would wake the driver for nothing.
    waits: Option<(Moment, Timer)>,
}

impl Connection {
    /// Appends the segments of one datagram to `datagram` and returns how many bytes that were,
    /// or `None` if there is nothing to send now.
    pub fn poll_transmit(&mut self, now: Instant, datagram: &mut Vec<u8>) -> Option<usize> {
        let now = self.clock.moment(now);
        let start = datagram.len();
        self.output.waits = None;
        self.output.has_more = true;
        if self.life.take_terminate(now) {
            // One that would exceed what an unproven address may be sent counts as lost.
            if self.validation.allows(COMMAND_LEN + self.overhead()) {
                Segment::Command(self.final_terminate()).encode(datagram);
            }
        } else if self.life.state.is_receiving() && self.validation.allows_datagram() {
            self.output.has_more = self.fill(now, start, datagram);
        }
        let len = datagram.len() - start;
        (len > 0).then(|| self.on_datagram(now, len))
    }

    /// Whether `poll_transmit`, which has just given a datagram, may give another at the same time.
    pub fn has_more(&self) -> bool {
        self.output.has_more
    }

    fn on_datagram(&mut self, now: Moment, len: usize) -> usize {
        let wire_len = len + self.overhead();
        self.stats.datagrams_sent.add(1);
        self.stats.bytes_on_wire_sent.add(wire_len as u64);
        self.validation.on_sent(now, wire_len);
        self.pings.on_sent(now);
        len
    }

    /// Returns whether there may be something for another datagram.
    fn fill(&mut self, now: Moment, start: usize, datagram: &mut Vec<u8>) -> bool {
        if self.receive.has_window_news() || self.reminds(now) {
            self.acks.request(now);
        }
        let mut candidate = self.sendable(now);
        let (mut has_data, mut is_full) = (false, false);
        self.append_ack(now, start, candidate, datagram);
        // A small segment that is held back by the pacer alone may wait for company once the ACK
        // has gone.
        let held_back = matches!(self.output.waits, Some((_, Timer::Pacing)));
        let asks_again = held_back && datagram.len() > start;
        while let Some(data) = candidate {
            let used = datagram.len() - start;
            let is_copy = matches!(data, Candidate::Copy { .. });
            // A copy in the datagram of what it copies would get lost with it.
            if used + DATA_OVERHEAD + data.len() > self.max_plaintext || is_copy && has_data {
                return true;
            }
            has_data = true;
            self.append_data(now, data, datagram);
            if self.exhaust_numbers(now) {
                datagram.truncate(start);
                return true;
            }
            is_full = datagram.len() - start + DATA_OVERHEAD >= self.max_plaintext;
            candidate = if is_full { None } else { self.sendable(now) };
        }
        let has_more = is_full || asks_again || self.acks.is_due(now);
        if !self.pings.is_due(now, self.quiet(), &self.config) {
            return has_more;
        }
        if datagram.len() - start + COMMAND_LEN > self.max_plaintext {
            return true;
        }
        let sending_next = self.send.first_unacked();
        Segment::Command(self.ping(sending_next)).encode(datagram);
        self.pings.on_ping_sent(now, sending_next);
        has_more
    }

    /// While data is in flight, its own repetition is sign enough. An address that is not proven
    /// gets nothing that it has not asked for.
    fn may_remind(&self) -> bool {
        self.send.in_flight() == 0 && self.validation.is_validated()
    }

    fn reminds(&mut self, now: Moment) -> bool {
        self.may_remind() && self.reminder.take(now, self.round_trip())
    }

    /// An ACK that is due, or that fits into the same datagram as the data.
    fn append_ack(
        &mut self,
        now: Moment,
        start: usize,
        candidate: Option<Candidate>,
        datagram: &mut Vec<u8>,
    ) {
        let Some(ack_len) = self.acks.next_len() else {
            return;
        };
        let beside_data = candidate
            .is_some_and(|data| ack_len + DATA_OVERHEAD + data.len() <= self.max_plaintext);
        if !self.acks.is_due(now) && !beside_data {
            return;
        }
        let options = self.options();
        let limit = self.receive.limit();
        let next = self.receive.next();
        let mut listed = Listed::new();
        let mut ack = self
            .acks
            .next_ack(now, self.conversation, next, limit, &mut listed);
        ack.options = ack.options.with(options);
        self.round.on_ack_sent(ack.receiving_next);
        Segment::Ack(ack).encode(datagram);
        debug_assert!(datagram.len() - start <= ack_len);
        self.receive.on_limit_told();
        self.stats.acks_sent.add(1);
    }

    /// The next segment that window, congestion control and pacing let pass.
    fn sendable(&mut self, now: Moment) -> Option<Candidate> {
        let Some(candidate) = self.sendable_unpaced(now) else {
            self.pacer.on_other_limit();
            return None;
        };
        if self.output.probe {
            return Some(candidate);
        }
        if let Some(at) = self.pacer.blocked_until(now, candidate.len()) {
            self.output.waits = Some((at, Timer::Pacing));
            return None;
        }
        Some(candidate)
    }

    /// The same, whatever pacing says.
    #[inline]
    fn sendable_unpaced(&mut self, now: Moment) -> Option<Candidate> {
        if !self.life.state.is_sending() {
            return None;
        }
        let candidate = self.send.candidate().or_else(|| self.window_probe(now));
        let Some(candidate) = candidate else {
            self.sampler.on_app_limited(self.send.in_flight());
            return None;
        };
        if self.output.probe {
            return Some(candidate);
        }
        let in_flight = self.send.in_flight();
        let after = in_flight + candidate.len() as u64;
        if in_flight > 0 && after > self.controller.window() {
            return None;
        }
        if self.waits_for_company(now, candidate) {
            return None;
        }
        Some(candidate)
    }

    /// The peer's window is closed and nothing is in flight that would bring news: after a while
    /// one segment is sent beyond it. From then on it is repeated as any other.
    fn window_probe(&mut self, now: Moment) -> Option<Candidate> {
        let blocked = self.send.window() == 0 && self.send.in_flight() == 0;
        if !blocked || self.send.unsent() == 0 {
            self.output.window_probe_at = None;
            return None;
        }
        let delay = self.window_probe_delay();
        let at = *self.output.window_probe_at.get_or_insert(now + delay);
        if at > now {
            self.output.waits = Some((at, Timer::Loss));
            return None;
        }
        self.send.candidate_beyond_window()
    }

    /// Whether a small segment is held back because others are in flight (as Nagle's algorithm,
    /// but only for a moment, and not if a datagram leaves for an acknowledgement anyway).
    fn waits_for_company(&mut self, now: Moment, candidate: Candidate) -> bool {
        let may_wait = self.is_rest(candidate)
            && !self.output.nodelay
            && !self.life.write_shut
            && self.life.state == State::Active
            && self.send.in_flight() > 0;
        if !may_wait {
            self.output.hold_until = None;
            return false;
        }
        let delay = self.company_delay();
        let until = *self.output.hold_until.get_or_insert(now + delay);
        // A time to wait that has begun goes on if it does not fit beside that.
        let waits = until > now && !self.acks.is_due(now);
        if waits {
            self.output.waits = Some((until, Timer::Delayed));
        }
        waits
    }

    /// Whether it is all that is left to send, and does not fill a segment.
    fn is_rest(&self, candidate: Candidate) -> bool {
        matches!(candidate, Candidate::New { len } if len + DATA_OVERHEAD < self.max_plaintext)
    }

    fn append_data(&mut self, now: Moment, candidate: Candidate, datagram: &mut Vec<u8>) {
        let timestamp = self.clock.timestamp(now);
        let in_flight = self.send.in_flight();
        if self.is_rest(candidate) {
            // It may be a few bytes that say nothing about the path.
            let all = in_flight + candidate.len() as u64;
            self.sampler.on_app_limited(all);
        }
        let stamp = Stamp {
            transmission: self.loss.next_index(),
            now,
            timestamp,
            rate: self.sampler.on_sent(now, in_flight),
        };
        if !self.send.is_proven() {
            self.validation.ask();
        }
        let options = self.options();
        let sending_next = self.send.first_unacked();
        let ends_stream = options.contains(Options::CLOSE) && self.is_last(candidate);
        let (number, payload) = self.send.transmit(candidate, stamp);
        let data = Data {
            conversation: self.conversation,
            options: if ends_stream {
                options.with(Options::LAST)
            } else {
                options
            }
            .with(Options::WRAPS),
            timestamp,
            number,
            sending_next,
            payload,
        };
        Segment::Data(data).encode(datagram);
        if !matches!(candidate, Candidate::Copy { .. }) {
            self.loss.on_sent(number, now, &self.send);
        }
        self.pacer.on_sent(now, candidate.len());
        self.pings.on_told(now, sending_next);
        if mem::take(&mut self.output.probe) && self.loss.is_unanswered() {
            self.send.forgo_copies();
        }
        self.output.hold_until = None;
        self.output.window_probe_at = None;
        self.count_segment(candidate);
    }

    fn is_last(&self, candidate: Candidate) -> bool {
        match candidate {
            Candidate::Repeat { number, .. } | Candidate::Copy { number, .. } => {
                self.send.unsent() == 0 && number.next() == self.send.next_number()
            }
            Candidate::New { len } => self.send.unsent() == len,
        }
    }

    fn count_segment(&self, candidate: Candidate) {
        let stats = &self.stats;
        stats.segments_sent.add(1);
        if !matches!(candidate, Candidate::New { .. }) {
            if self.output.repeat_is_fast {
                stats.mishaps().retransmits_fast.add(1);
            } else {
                stats.mishaps().retransmits_timeout.add(1);
            }
        }
    }

    /// Ends the connection if its numbers are used up and the peer may not bear a wrap.
    fn exhaust_numbers(&mut self, now: Moment) -> bool {
        let plain = self.stats.acks_received.get() > 0 && !self.output.peer_wraps;
        let exhausted = plain && self.send.next_number().get() >= LAST_PLAIN_NUMBER;
        if exhausted {
            self.fail(now, ConnectionError::NumbersExhausted);
        }
        exhausted
    }

    /// mKCP: the Close option is set on everything sent in ReadyToClose.
    fn options(&self) -> Options {
        let mark = self.side.mark();
        match self.life.state {
            State::ReadyToClose => mark.with(Options::CLOSE),
            _ => mark,
        }
    }

    fn ping(&self, sending_next: SeqNum) -> Command {
        Command {
            conversation: self.conversation,
            kind: CommandKind::Ping,
            // For a Ping with Close a Go peer wakes its writers only if it has no other option.
            options: match self.life.state {
                State::ReadyToClose => Options::CLOSE,
                _ => self.side.mark(),
            },
            sending_next,
            receiving_next: self.receive.next(),
            peer_rto: self.rtt.peer_rto(),
        }
    }

    #[inline]
    fn quiet(&self) -> Quiet {
        let repeats = self.send.in_flight() > 0;
        if repeats && !self.loss.is_probing() {
            return Quiet::Repeating;
        }
        let heard_at = self.life.heard_at();
        if !self.validation.is_validated() && heard_at <= self.pings.last_sent() {
            Quiet::Unasked
        } else if repeats {
            Quiet::Probing
        } else {
            Quiet::Asked { heard_at }
        }
    }

    /// When `handle_timeout` wants to be called next, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        let (at, timer) = self.deadline()?;
        Some((self.clock.instant(at), timer))
    }

    pub(super) fn deadline(&self) -> Option<(Moment, Timer)> {
        let on = |timer, at: Option<Moment>| at.map(|at| (at, timer));
        let lifetime = on(Timer::Lifetime, self.life.deadline());
        // What cannot be sent needs no waking.
        if !self.life.state.is_receiving() {
            return lifetime;
        }
        if !self.validation.allows_datagram() {
            let data_waits = !self.send.is_empty();
            let extra = self.validation.deadline().filter(|_| data_waits);
            return timer::earliest([lifetime, on(Timer::Loss, extra)]);
        }
        let reminder = self.reminder.deadline().filter(|_| self.may_remind());
        let keepalive = self.pings.keepalive_deadline(self.quiet(), &self.config);
        timer::earliest([
            lifetime,
            on(Timer::Delayed, reminder),
            on(Timer::Loss, self.loss_deadline()),
            self.output.waits,
            on(Timer::Delayed, self.acks.deadline()),
            on(Timer::Delayed, self.pings.news_deadline()),
            on(Timer::Keepalive, keepalive),
        ])
    }
}
