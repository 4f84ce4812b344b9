//! What a datagram changes.

use std::time::{Duration, Instant};

use super::{
    Connection, Side, State, Trigger,
    ack::Urgency,
    congestion::{AckEvent, rate::Sampled},
    counters::{Mishaps, Reported},
    keepalive::news_delay,
    receive::Accepted,
    send::{Sent, Status},
};
use crate::wire::{
    Ack, Command, CommandKind, Data, Numbers, Options, Segment, Segments, SeqNum, Timestamp,
};
use crate::{error::ConnectionError, moment::Moment};

/// After this many probes without an answer the path counts as silent.
const PROBES_BEFORE_SILENCE: u32 = 2;

/// mKCP: what is older is not believed.
const LONGEST_ECHO: Duration = Duration::from_secs(10);

/// What one acknowledgement brought.
#[derive(Debug, Default)]
struct News {
    segments: u64,
    bytes: u64,
    /// The latest transmission that surely arrived among those listed, and when it left.
    latest: Option<(u64, Moment)>,
    sampled: Sampled,
    /// A number was listed that had been acknowledged before.
    repeated: bool,
}

impl Connection {
    /// Takes the opened bytes of a datagram for this conversation. Anything is safe to pass, even
    /// what this end has sent itself: a seal has one key for both directions, so that somebody on
    /// the path can send it back.
    pub fn handle_datagram(&mut self, now: Instant, plaintext: &[u8]) {
        let now = self.clock.moment(now);
        if self.life.state == State::Terminated {
            return self.hear_after_end(plaintext);
        }
        let mut heard = false;
        for segment in Segments::new(plaintext) {
            // mKCP: reading stops at the first segment of another conversation.
            if segment.conversation() != self.conversation {
                break;
            }
            if !heard {
                if segment.options().contains(self.side.mark()) {
                    self.count_drop(|mishaps| &mishaps.reflected);
                    return;
                }
                heard = true;
                self.on_heard(now, plaintext.len(), &segment);
            }
            self.handle_segment(now, segment);
        }
        if heard {
            let unfinished = self.receive.is_unfinished(self.peer_sending_next);
            self.reminder.on_heard(now, unfinished, self.round_trip());
            self.allow_extra(now);
            self.break_silence(now);
            self.flush_if_closing(now);
            self.close_if_both_ended(now);
            if self.life.state == State::Terminating {
                self.life.on_talk();
            }
        }
    }

    /// As long as the last word is repeated: whoever goes on talking is told again, and whoever
    /// says that it is over knows.
    fn hear_after_end(&mut self, plaintext: &[u8]) {
        let Some(first) = Segments::new(plaintext).next() else {
            return;
        };
        let is_own = first.options().contains(self.side.mark());
        if is_own || first.conversation() != self.conversation || !self.life.repeats_terminate() {
            return;
        }
        match first {
            Segment::Command(command) if command.kind == CommandKind::Terminate => {
                self.life.on_last_word_heard();
            }
            _ => self.life.owe_answer(),
        }
    }

    fn on_heard(&mut self, now: Moment, len: usize, first: &Segment<'_>) {
        let wire_len = len + self.overhead();
        self.stats.datagrams_received.add(1);
        self.stats.bytes_on_wire_received.add(wire_len as u64);
        self.stats.wakes.datagram.add(1);
        self.validation.on_received(wire_len);
        self.life.on_heard(now);
        // A reader that takes its time holds the peer up.
        if self.life.state == State::PeerClosed && !self.receive.read().is_empty() {
            self.life.on_progress(now);
        }
        let opened_by_ping = self.side == Side::Server && matches!(first, Segment::Command(_));
        if !self.life.established && opened_by_ping {
            self.pings.owe();
        }
        self.life.established = true;
        self.pings.on_established();
    }

    fn handle_segment(&mut self, now: Moment, segment: Segment<'_>) {
        if segment.options().contains(Options::WRAPS) && !self.output.peer_wraps {
            self.output.peer_wraps = true;
            self.throttle.trust();
        }
        if self.is_of_another_life(&segment) {
            return self.fail(now, ConnectionError::Reset);
        }
        match segment {
            Segment::Data(data) => self.on_data(now, data),
            Segment::Ack(ack) => self.on_ack(now, ack),
            Segment::Command(command) => self.on_command(now, command),
        }
        // After the acknowledgement that the segment may bring, for closing discards what is not
        // acknowledged. The Go peers do it before, and need not know what was lost.
        if segment.options().contains(Options::CLOSE) {
            self.apply(now, Trigger::PeerClose);
            self.acks.hurry(now);
        }
    }

    /// Whether the peer believes that something has arrived here which has not, or has received
    /// what was never sent: it means a connection before this one, whose state was lost. Not so
    /// towards the end, when whoever throws its data away counts it as arrived.
    pub(super) fn is_of_another_life(&self, segment: &Segment<'_>) -> bool {
        let lost = |next| self.receive.next().precedes(next);
        let unsent = |next| self.send.next_number().precedes(next);
        let cannot_be = match segment {
            Segment::Data(data) => lost(data.sending_next),
            Segment::Ack(ack) => unsent(ack.receiving_next),
            Segment::Command(command) if command.kind == CommandKind::Terminate => false,
            Segment::Command(command) => {
                lost(command.sending_next) || unsent(command.receiving_next)
            }
        };
        let ends = self.life.state != State::Active || segment.options().contains(Options::CLOSE);
        cannot_be && !ends
    }

    fn on_data(&mut self, now: Moment, data: Data<'_>) {
        if !self.life.state.is_receiving() {
            return;
        }
        self.hold_back(now, &data);
        let accepted = self.receive.accept(data.number, data.payload);
        let urgency = match accepted {
            Accepted::BeyondWindow => {
                self.count_drop(|mishaps| &mishaps.beyond_window);
                // The peer probes a window that it believes closed, or does not know its limit.
                return self.acks.request(now);
            }
            Accepted::OverMemory => {
                self.count_drop(|mishaps| &mishaps.over_memory);
                return self.acks.request(now);
            }
            Accepted::Duplicate => {
                self.stats.mishaps().duplicates_received.add(1);
                self.repeat_answer(now);
                Urgency::Repetition
            }
            Accepted::InOrder | Accepted::OutOfOrder => Urgency::InCompany,
            Accepted::FilledGap | Accepted::OpenedGap => Urgency::AtOnce,
        };
        if accepted != Accepted::Duplicate {
            self.life.on_progress(now);
            self.measure_round(&data);
        }
        self.on_sending_next(data.sending_next);
        let delay = self.company_delay();
        self.acks
            .add(data.number, data.timestamp, urgency, now, delay);
        if data.options.contains(Options::LAST) {
            self.receive.set_last(data.number);
            self.acks.hurry(now);
        }
    }

    fn on_ack(&mut self, now: Moment, ack: Ack<'_>) {
        self.stats.acks_received.add(1);
        // A peer of ours that says nothing new has not heard that its acknowledgements have
        // arrived (`reminder.rs`).
        let is_known = ack.numbers.is_empty()
            && ack.receiving_next == self.send.first_unacked()
            && self.send.is_empty();
        let window = self.send.window();
        self.send.raise_limit(ack.receiving_window);
        let is_new = !is_known || self.send.window() > window;
        self.acknowledge(now, ack.receiving_next, ack.numbers, ack.timestamp);
        if self.output.peer_wraps && !is_new {
            self.pings.on_repeated_ack(now, self.rtt.rto());
        }
    }

    fn on_command(&mut self, now: Moment, command: Command) {
        if !self.could_be_own(&command) {
            self.acknowledge(now, command.receiving_next, Numbers::EMPTY, Timestamp::ZERO);
        }
        self.on_sending_next(command.sending_next);
        if command.kind == CommandKind::Terminate {
            self.on_terminate(now, &command);
        } else {
            self.pings.on_ping(now, self.round_trip());
        }
    }

    /// Whether this may be what this end says while it is closing, sent back to it. Its Ping has no
    /// mark then. What a peer acknowledges by such a Ping its ACKs acknowledge, too.
    fn could_be_own(&self, command: &Command) -> bool {
        let is_closing = self.life.state == State::ReadyToClose;
        is_closing && command.kind == CommandKind::Ping && command.options == Options::CLOSE
    }

    fn count_drop(&mut self, reason: fn(&Mishaps) -> &Reported) {
        reason(self.stats.mishaps()).add(1);
        self.has_dropped = true;
    }

    /// Tells a peer that floods to send less. Only a proven peer gets more room for what it sends
    /// nevertheless: anyone can forge a flood.
    fn hold_back(&mut self, now: Moment, data: &Data<'_>) {
        self.throttle.on_data(now, data, self.receive.told_limit());
        self.receive.set_throttle(self.throttle.window());
        if self.throttle.is_flooding() && self.validation.is_validated() {
            self.receive.brace();
        }
    }

    /// Once in a round trip, the window and the pace of acknowledgements follow what has come.
    fn measure_round(&mut self, data: &Data<'_>) {
        if let Some(bytes) = self.round.on_data(data.sending_next, data.payload.len()) {
            self.receive.fit_round_trip(bytes);
            self.acks.adapt(bytes / self.receive.segment_size());
        }
    }

    /// The peer knows that everything before `number` has arrived.
    fn on_sending_next(&mut self, number: SeqNum) {
        self.acks.clear(number);
        self.life.answering |= self.peer_sending_next.precedes(number);
        self.peer_sending_next = self.peer_sending_next.latest(number);
    }

    fn on_terminate(&mut self, now: Moment, command: &Command) {
        // An answer to ours says nothing about the peer's stream, unless that has ended too.
        let answers_ours = self.life.has_said_over() && !command.options.contains(Options::LAST);
        if self.life.peer_final.is_none() && !answers_ours {
            self.on_peer_final(command.sending_next);
        }
        self.life.owe_answer();
        self.apply(now, Trigger::PeerTerminate);
    }

    /// The peer's stream ends before this number.
    fn on_peer_final(&mut self, number: SeqNum) {
        self.life.peer_final = Some(number);
        if !self.receive.has_last() && !self.receive.is_complete_until(number) {
            self.life.error.get_or_insert(ConnectionError::Reset);
        }
    }

    /// The peer has everything before `next`, and the listed numbers.
    fn acknowledge(&mut self, now: Moment, next: SeqNum, numbers: Numbers<'_>, echo: Timestamp) {
        self.send.on_peer_has(next);
        let mut news = News::default();
        let first = self.send.first_unacked();
        let outstanding = self.send.next_number().since(first).unwrap_or(0);
        // Those listed come first, because the echo belongs to them: a Go peer whose reader is
        // quick covers all of them by the ReceivingNext of the same ACK.
        // Most of a flood is passed over here, and cheaply.
        numbers.iter().for_each(|number| match number.since(first) {
            None => news.repeated = true,
            Some(ahead) if self.send.is_awaited(ahead) => {
                self.acknowledge_one(now, number, Some(echo), &mut news);
            }
            Some(_) => {}
        });
        // A peer cannot have what was never sent.
        for count in 0..next.since(first).filter(|&n| n <= outstanding).unwrap_or(0) {
            self.acknowledge_one(now, first.plus(count), None, &mut news);
        }
        self.send.release();
        if news.segments > 0 {
            self.on_news(now, &news);
        } else if news.repeated {
            self.pings.on_repeated_ack(now, self.rtt.rto());
        }
    }

    fn acknowledge_one(
        &mut self,
        now: Moment,
        number: SeqNum,
        echo: Option<Timestamp>,
        news: &mut News,
    ) {
        let Some(sent) = self.send.acknowledge(number) else {
            return;
        };
        news.segments += 1;
        news.bytes += sent.len as u64;
        self.sampler.on_delivered(now, sent.len as u64);
        let echo = echo.filter(|&echo| echo != Timestamp::ZERO);
        if !self.validation.is_validated() && echo.is_some_and(|echo| self.is_proof(echo, &sent)) {
            self.on_proof();
        }
        let latest_copy = match echo {
            _ if sent.transmissions == 1 => true,
            _ if self.is_too_young(now, &sent) => false,
            Some(echo) => self.is_echo_of_latest(now, echo, &sent),
            None => return,
        };
        if !latest_copy {
            self.stats.mishaps().spurious.add(1);
            self.sample_by_echo(now, echo);
        }
        if !latest_copy || sent.status == Status::Lost {
            self.loss.on_spurious(now, &self.rtt);
        }
        if latest_copy {
            self.loss.on_received(sent.transmission);
            if !self.path.has_carried(sent.transmission) {
                return;
            }
            news.sampled.on_certain(sent.rate, sent.sent_at);
            if echo.is_some()
                && news
                    .latest
                    .is_none_or(|(index, _)| index < sent.transmission)
            {
                news.latest = Some((sent.transmission, sent.sent_at));
            }
        }
    }

    /// Whether an acknowledgement with this echo shows that its sender has received this segment at
    /// the address where it is now. Clocks start at random, so that it cannot be guessed.
    #[cold]
    fn is_proof(&self, echo: Timestamp, sent: &Sent) -> bool {
        let transmission = match echo {
            echo if echo == sent.timestamp => sent.transmission,
            // On a path longer than the first timeout all are repeated before they are acknowledged.
            // Which transmission that was is not known any more.
            echo if echo == sent.first_timestamp => 0,
            _ => return false,
        };
        self.validation.is_proven_by(transmission)
    }

    /// On a path longer than the first timeout, every segment is repeated before it can be
    /// acknowledged; until there is a sample, the echo is the only one to be had.
    fn sample_by_echo(&mut self, now: Moment, echo: Option<Timestamp>) {
        if let Some(echo) = echo
            && self.rtt.smoothed().is_none()
        {
            let age = self.clock.age(now, echo);
            if age < LONGEST_ECHO {
                self.rtt.sample(age);
            }
        }
    }

    /// The latest copy cannot have arrived and been answered yet, so an earlier one did.
    fn is_too_young(&self, now: Moment, sent: &Sent) -> bool {
        let age = now.saturating_duration_since(sent.sent_at);
        self.rtt.min().is_some_and(|min| age < min * 7 / 8)
    }

    /// An echo older than the latest copy proves that an earlier copy arrived (Eifel, RFC 3522).
    fn is_echo_of_latest(&self, now: Moment, echo: Timestamp, sent: &Sent) -> bool {
        self.clock.age(now, echo) <= self.clock.age(now, sent.timestamp)
    }

    fn on_news(&mut self, now: Moment, news: &News) {
        self.loss.on_progress();
        let rtt = news
            .latest
            .map(|(_, sent_at)| now.saturating_duration_since(sent_at));
        if let Some(rtt) = rtt {
            self.rtt.sample(rtt);
        }
        let event = AckEvent {
            now,
            acked: news.bytes,
            acked_segments: news.segments,
            delivered: self.sampler.delivered(),
            in_flight: self.send.in_flight(),
            rtt,
            tick: self.peer_tick(),
            rate: self.sampler.sample(now, &news.sampled),
        };
        self.controller.on_ack(&event);
        self.detect_losses(now);
        self.pacer.set_bursts(self.controller.bursts());
        self.pacer.set_rate(now, self.controller.pacing_rate());
        let (is_ours, has_sent) = (self.output.peer_wraps, self.receive.has_received());
        let delay = news_delay(&self.config, is_ours, has_sent);
        let (una, rtt) = (self.send.first_unacked(), self.round_trip());
        self.pings.on_acknowledged(now, una, rtt, delay);
    }

    /// Gives up what must be lost. Returns whether anything was.
    pub(super) fn detect_losses(&mut self, now: Moment) -> bool {
        let tick = self.peer_tick();
        let lost = self.loss.detect(now, &self.rtt, tick, &mut self.send);
        if let Some(lost) = &lost {
            self.output.repeat_is_fast = true;
            if self.path.was_used_at(lost.sent_at) {
                self.controller.on_loss(lost);
            }
        }
        lost.is_some()
    }

    /// Nothing came back for a while: repeat the oldest segment to learn more. If it is known to be
    /// lost but had to wait, the oldest of those in flight counts as lost as well.
    pub(super) fn probe(&mut self, now: Moment) {
        let Some(oldest) = self.send.oldest_outstanding() else {
            return;
        };
        self.send.mark_lost(oldest);
        self.send.hurry_first();
        self.output.probe = true;
        self.output.repeat_is_fast = false;
        self.acknowledge_beside_probe(now);
        let probes = self.loss.on_probe();
        if probes >= PROBES_BEFORE_SILENCE && !self.send.is_beyond_window() {
            self.controller.on_timeout();
            self.pacer.set_rate(now, self.controller.pacing_rate());
        }
    }

    /// The peer is heard again after a silence: there is no need to wait for the next probe. One
    /// whose window is closed has not been silent.
    fn break_silence(&mut self, now: Moment) {
        let silent = self.loss.is_path_silent(now, &self.rtt) && !self.send.is_beyond_window();
        if silent && self.loss_deadline().is_some() {
            self.loss.on_silence_broken(now);
            self.probe(now);
        }
    }

    fn flush_if_closing(&mut self, now: Moment) {
        if self.life.state == State::ReadyToClose && self.send.is_empty() {
            self.apply(now, Trigger::Flushed);
        }
    }

    /// How long the peer may hold back what this side waits for.
    pub(super) fn window_probe_delay(&self) -> Duration {
        self.rtt.rto() + self.config.tti()
    }
}
