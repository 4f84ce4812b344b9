//! One connection of a Go peer: states, input, flush and the two loops that call it.

use std::{collections::VecDeque, time::Duration};

use mkcp::internal::wire::{
    Ack, Command, CommandKind, Data, Numbers, Options, Segment, Segments, SeqNum, Timestamp,
};

use super::{
    ack_list::AckContents,
    config::GoConfig,
    receiving::ReceivingWorker,
    round_trip::RoundTrip,
    sending::{Flush, Queued, ReceivedAck, SendingWorker},
    updater::Updater,
};
use crate::node::Read;

const INITIAL_RTO: u32 = 100;
const PING_INTERVAL: u32 = 3000;
const PING_LOOP: Duration = Duration::from_secs(5);
const PEER_TERMINATING_TIME: u32 = 4000;
const TERMINATING_TIME: u32 = 8000;
const READY_TO_CLOSE_TIME: u32 = 15_000;
const IDLE_TIME: u32 = 30_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Active,
    ReadyToClose,
    PeerClosed,
    Terminating,
    PeerTerminating,
    Terminated,
}

#[derive(Debug)]
pub struct Connection {
    conversation: u16,
    config: GoConfig,
    created: Duration,
    state: State,
    state_since: u32,
    last_incoming: u32,
    last_ping: u32,
    rtt: RoundTrip,
    sender: SendingWorker,
    receiver: ReceivingWorker,
    data_updater: Updater,
    ping_updater: Updater,
    outbox: VecDeque<Vec<u8>>,
    /// Whether unacknowledged data was thrown away by a change of state.
    pub discarded: bool,
    /// Whether received data was lost to the reader by a change of state.
    pub lost_unread: bool,
}

impl Connection {
    pub fn new(conversation: u16, config: &GoConfig, now: Duration) -> Self {
        let mut ping_updater = Updater::new(PING_LOOP);
        ping_updater.wake(now, true);
        Self {
            conversation,
            config: config.clone(),
            created: now,
            state: State::Active,
            state_since: 0,
            last_incoming: 0,
            last_ping: 0,
            rtt: RoundTrip::new(INITIAL_RTO, config.tti),
            sender: SendingWorker::new(config),
            receiver: ReceivingWorker::new(config.receive_window),
            data_updater: Updater::new(Duration::from_millis(u64::from(config.tti))),
            ping_updater,
            outbox: VecDeque::new(),
            discarded: false,
            lost_unread: false,
        }
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn is_flushed(&self) -> bool {
        self.sender.is_empty()
    }

    // ---- the application's side

    /// Queues chunks of at most an MSS while there is room, none once writing has ended.
    pub fn write(&mut self, now: Duration, data: &[u8]) -> usize {
        if self.state != State::Active {
            return 0;
        }
        let mut written = 0;
        for chunk in data.chunks(self.config.mss) {
            if self.sender.is_full() {
                break;
            }
            self.sender.push(chunk);
            written += chunk.len();
        }
        self.wake_data_updater(now);
        written
    }

    /// Whether a read gives end of file at once, whatever has been received.
    pub fn discards_input(&self) -> bool {
        use State::*;
        matches!(self.state, ReadyToClose | Terminating | Terminated)
    }

    pub fn read(&mut self, now: Duration) -> Read {
        if self.discards_input() {
            return Read::End(Ok(()));
        }
        let bytes = self.receiver.read();
        if !bytes.is_empty() {
            self.wake_data_updater(now);
            return Read::Bytes(bytes);
        }
        if self.state == State::PeerTerminating {
            return Read::End(Ok(()));
        }
        Read::Wait
    }

    /// Ends both directions. No flush is woken, so that the peer learns of it up to 5 s later.
    pub fn close(&mut self, now: Duration) {
        let next = match self.state {
            State::Active => State::ReadyToClose,
            State::PeerClosed => State::Terminating,
            State::PeerTerminating => State::Terminated,
            _ => return,
        };
        self.enter(next, self.clock(now));
    }

    // ---- the network and the clock

    pub fn input(&mut self, now: Duration, plaintext: &[u8]) {
        let clock = self.clock(now);
        self.last_incoming = clock;
        let mut wake = false;
        for segment in Segments::new(plaintext) {
            if segment.conversation() != self.conversation {
                break;
            }
            if segment.options().contains(Options::CLOSE) {
                self.on_close_bit(clock);
            }
            match segment {
                Segment::Data(data) => {
                    self.receiver.accept(
                        data.number.get(),
                        data.timestamp.get(),
                        data.sending_next.get(),
                        data.payload,
                    );
                    wake = true;
                }
                Segment::Ack(ack) => {
                    self.on_ack(clock, &ack);
                    wake = true;
                }
                Segment::Command(command) => self.on_command(clock, &command),
            }
        }
        if wake {
            self.wake_data_updater(now);
        }
    }

    fn on_close_bit(&mut self, clock: u32) {
        match self.state {
            State::Active => self.enter(State::PeerClosed, clock),
            State::ReadyToClose => self.enter(State::Terminating, clock),
            _ => {}
        }
    }

    fn on_ack(&mut self, clock: u32, ack: &Ack<'_>) {
        let received = ReceivedAck {
            receiving_window: ack.receiving_window.get(),
            receiving_next: ack.receiving_next.get(),
            timestamp: ack.timestamp.get(),
            numbers: ack.numbers.iter().map(SeqNum::get).collect(),
        };
        self.sender.on_ack(clock, &received, &mut self.rtt);
    }

    fn on_command(&mut self, clock: u32, command: &Command) {
        if command.kind == CommandKind::Terminate {
            match self.state {
                State::Active | State::PeerClosed => self.enter(State::PeerTerminating, clock),
                State::ReadyToClose => self.enter(State::Terminating, clock),
                State::Terminating => self.enter(State::Terminated, clock),
                State::PeerTerminating | State::Terminated => {}
            }
        }
        self.sender.on_una(command.receiving_next.get());
        self.receiver.on_sending_next(command.sending_next.get());
        self.rtt.on_peer_rto(command.peer_rto, clock);
    }

    pub fn next_tick(&self) -> Option<Duration> {
        let ticks = [self.data_updater.next_tick(), self.ping_updater.next_tick()];
        ticks.into_iter().flatten().min()
    }

    pub fn tick(&mut self, now: Duration) {
        let wanted = self.data_updater_is_wanted();
        if self.data_updater.tick(now, wanted) {
            self.flush(now);
        }
        let wanted = self.state != State::Terminated;
        if self.ping_updater.tick(now, wanted) {
            self.flush(now);
        }
    }

    pub fn take_datagram(&mut self) -> Option<Vec<u8>> {
        self.outbox.pop_front()
    }

    fn wake_data_updater(&mut self, now: Duration) {
        let wanted = self.data_updater_is_wanted();
        if self.data_updater.wake(now, wanted) {
            self.flush(now);
        }
    }

    fn data_updater_is_wanted(&self) -> bool {
        !matches!(self.state, State::Terminating | State::Terminated)
            && (!self.sender.is_empty() || self.receiver.has_acks())
    }

    fn flush(&mut self, now: Duration) {
        let clock = self.clock(now);
        match self.state {
            State::Terminated => return,
            State::Active if clock.wrapping_sub(self.last_incoming) >= IDLE_TIME => self.close(now),
            _ => {}
        }
        if self.state == State::ReadyToClose && self.sender.is_empty() {
            self.enter(State::Terminating, clock);
        }
        let in_state = clock.wrapping_sub(self.state_since);
        match self.state {
            State::Terminating => {
                self.send_command(clock, CommandKind::Terminate);
                if in_state > TERMINATING_TIME {
                    self.enter(State::Terminated, clock);
                }
                return;
            }
            // Both go on with this pass and send their Terminate in the next.
            State::PeerTerminating if in_state > PEER_TERMINATING_TIME => {
                self.enter(State::Terminating, clock);
            }
            State::ReadyToClose if in_state > READY_TO_CLOSE_TIME => {
                self.enter(State::Terminating, clock);
            }
            _ => {}
        }
        for ack in self.receiver.flush(clock, self.rtt.rto) {
            self.send_ack(&ack);
        }
        match self.sender.flush(clock, self.rtt.rto) {
            Flush::Nothing => {}
            Flush::Ping => self.send_command(clock, CommandKind::Ping),
            Flush::Data(segments) => segments.iter().for_each(|s| self.send_data(s)),
        }
        if clock.wrapping_sub(self.last_ping) >= PING_INTERVAL {
            self.send_command(clock, CommandKind::Ping);
        }
    }

    fn enter(&mut self, state: State, clock: u32) {
        use State::*;
        if matches!(
            state,
            PeerClosed | Terminating | PeerTerminating | Terminated
        ) {
            self.discarded |= !self.sender.is_empty();
            self.sender.discard();
        }
        if matches!(state, ReadyToClose | Terminating | Terminated) {
            self.lost_unread |= self.receiver.is_readable();
        }
        self.state = state;
        self.state_since = clock;
    }

    fn clock(&self, now: Duration) -> u32 {
        (now - self.created).as_millis() as u32
    }

    // ---- segments, each in a datagram of its own

    fn options(&self) -> Options {
        if self.state == State::ReadyToClose {
            Options::CLOSE
        } else {
            Options::NONE
        }
    }

    fn send_data(&mut self, segment: &Queued) {
        self.send(Segment::Data(Data {
            conversation: self.conversation,
            options: self.options(),
            timestamp: Timestamp::new(segment.timestamp),
            number: SeqNum::new(segment.number),
            sending_next: SeqNum::new(self.sender.first_unacknowledged),
            payload: &segment.payload,
        }));
    }

    fn send_ack(&mut self, ack: &AckContents) {
        let numbers: Vec<SeqNum> = ack.numbers.iter().map(|&n| SeqNum::new(n)).collect();
        self.send(Segment::Ack(Ack {
            conversation: self.conversation,
            options: self.options(),
            receiving_window: SeqNum::new(self.receiver.limit()),
            receiving_next: SeqNum::new(self.receiver.next),
            timestamp: Timestamp::new(ack.timestamp),
            numbers: Numbers::List(&numbers),
        }));
    }

    fn send_command(&mut self, clock: u32, kind: CommandKind) {
        self.last_ping = clock;
        self.send(Segment::Command(Command {
            conversation: self.conversation,
            kind,
            options: self.options(),
            sending_next: SeqNum::new(self.sender.first_unacknowledged),
            receiving_next: SeqNum::new(self.receiver.next),
            peer_rto: self.rtt.rto,
        }));
    }

    fn send(&mut self, segment: Segment<'_>) {
        let mut datagram = Vec::with_capacity(segment.encoded_len());
        segment.encode(&mut datagram);
        self.outbox.push_back(datagram);
    }
}
