//! What must hold on the wire for our end, seen from outside of it: the rules that every sender
//! has to keep so that no peer is harmed.

use std::collections::{HashMap, HashSet};

use mkcp::internal::wire::{
    Ack, Command, CommandKind, Data, Options, Segment, Segments, SeqNum, Timestamp,
};

use crate::clock::Time;

/// The peer's limit before its first ACK.
const INITIAL_LIMIT: u32 = 32;

/// What the sender's application has done, as far as the rules depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Licence {
    /// It no longer wants the peer's data: the Close bit may be set.
    pub may_close: bool,
    /// It has given up what is not delivered: Terminate may come before the data is acknowledged.
    pub may_abandon: bool,
    /// Bytes it has written.
    pub written: u64,
}

/// Watches one end of ours.
#[derive(Debug)]
pub struct WireMonitor {
    conversation: u16,
    max_plaintext: usize,
    opened_here: bool,
    sent: Sent,
    received: Received,
    silence: Silence,
    /// What ended it as the peer knows: after this, only Terminates may be sent.
    terminate_seen: bool,
    close_seen: bool,
}

/// What was sent, and what the peer is known to have.
#[derive(Debug)]
struct Sent {
    first: SeqNum,
    /// How many numbers were used.
    count: u32,
    bytes: u64,
    payloads: HashMap<u32, Vec<u8>>,
    acknowledged: HashSet<u32>,
    /// All before this are acknowledged.
    first_unacknowledged: SeqNum,
    limit: SeqNum,
    datagrams: u64,
}

/// What came, and what was said about it.
#[derive(Debug)]
struct Received {
    numbers: HashSet<u32>,
    /// All before this have come.
    next: SeqNum,
    /// With which timestamps each number came.
    timestamps: HashSet<(SeqNum, Timestamp)>,
    listed: HashSet<u32>,
    announced_limit: Option<SeqNum>,
}

/// How much is said while nothing is heard.
#[derive(Debug, Default)]
struct Silence {
    since: Time,
    datagrams: u32,
}

impl WireMonitor {
    pub fn new(conversation: u16, max_plaintext: usize, opened_here: bool) -> Self {
        Self::starting_at(conversation, max_plaintext, opened_here, SeqNum::ZERO)
    }

    /// For a connection whose numbers do not start at 0.
    pub fn starting_at(
        conversation: u16,
        max_plaintext: usize,
        opened_here: bool,
        first: SeqNum,
    ) -> Self {
        Self {
            conversation,
            max_plaintext,
            opened_here,
            sent: Sent {
                first,
                count: 0,
                bytes: 0,
                payloads: HashMap::new(),
                acknowledged: HashSet::new(),
                first_unacknowledged: first,
                limit: first.plus(INITIAL_LIMIT),
                datagrams: 0,
            },
            received: Received {
                numbers: HashSet::new(),
                next: first,
                timestamps: HashSet::new(),
                listed: HashSet::new(),
                announced_limit: None,
            },
            silence: Silence::default(),
            terminate_seen: false,
            close_seen: false,
        }
    }

    /// Whether the peer's numbers that were delivered have no gap, as far as they tell.
    pub fn has_gap(&self) -> bool {
        self.received
            .numbers
            .iter()
            .any(|&number| !SeqNum::new(number).precedes(self.received.next))
    }

    /// Whether all of so many bytes that the peer was to send has come.
    pub fn has_all_of(&self, peer: &Self, written: u64) -> bool {
        let sent = &peer.sent;
        sent.bytes == written && self.received.next == sent.first.plus(sent.count)
    }

    /// Whether the peer said that it is over.
    pub fn close_seen(&self) -> bool {
        self.close_seen || self.terminate_seen
    }

    /// The application did something that may cause datagrams.
    pub fn on_activity(&mut self, now: Time) {
        self.silence = Silence {
            since: now,
            datagrams: 0,
        };
    }

    // ---- what the peer's datagrams tell

    pub fn on_delivered(&mut self, now: Time, datagram: &[u8]) {
        self.on_activity(now);
        for segment in Segments::new(datagram) {
            if segment.conversation() != self.conversation {
                break;
            }
            self.close_seen |= segment.options().contains(Options::CLOSE);
            match segment {
                Segment::Data(data) => self.received.take(&data),
                Segment::Ack(ack) => self.sent.on_ack(&ack),
                Segment::Command(command) => {
                    self.sent.on_una(command.receiving_next);
                    self.terminate_seen |= command.kind == CommandKind::Terminate;
                }
            }
        }
    }

    // ---- what our datagrams must keep to

    pub fn on_sent(&mut self, now: Time, datagram: &[u8], licence: Licence) {
        let length = datagram.len();
        let most = self.max_plaintext;
        assert!(length <= most, "a datagram of {length} bytes, {most} fit");
        self.count(now);
        let mut segments = Segments::new(datagram);
        for (place, segment) in segments.by_ref().enumerate() {
            assert_eq!(
                segment.conversation(),
                self.conversation,
                "a foreign conversation"
            );
            assert!(
                licence.may_close || !segment.options().contains(Options::CLOSE),
                "mKCP: the Close bit makes the peer discard its data, which is still wanted"
            );
            if self.opened_here && self.sent.datagrams == 0 && place == 0 {
                assert!(
                    !matches!(segment, Segment::Ack(_)) && !is_terminate(&segment),
                    "mKCP: {segment:?} cannot open a connection"
                );
            }
            assert!(
                !self.terminate_seen || is_terminate(&segment),
                "mKCP: {segment:?} after a Terminate makes a ghost session"
            );
            match segment {
                Segment::Data(data) => self.sent.check_data(&data),
                Segment::Ack(ack) => self.received.check_ack(&ack),
                Segment::Command(command) => self.check_command(&command, licence),
            }
        }
        assert!(
            segments.rest().is_empty(),
            "a datagram with an unreadable rest"
        );
        self.sent.datagrams += 1;
    }

    fn check_command(&self, command: &Command, licence: Licence) {
        self.received.check_receiving_next(command.receiving_next);
        let rto = command.peer_rto;
        assert!((20..=12_500).contains(&rto), "mKCP: a PeerRTO of {rto} ms");
        if command.kind != CommandKind::Terminate {
            // A peer that has closed discards everything, and so does the sender.
            if !self.close_seen {
                self.sent.check_sending_next(command.sending_next);
            }
            return;
        }
        // The peer that gets it clears what it would still acknowledge: it may say how far the
        // stream went.
        assert!(
            !command.options.contains(Options::CLOSE),
            "a Terminate with the Close bit"
        );
        let delivered = self.sent.is_all_acknowledged() && self.sent.bytes == licence.written;
        assert!(
            delivered || licence.may_abandon || self.close_seen(),
            "mKCP: Terminate before the data is acknowledged truncates the stream"
        );
    }

    /// Without news, an end may repeat itself a few times, then less and less.
    fn count(&mut self, now: Time) {
        self.silence.datagrams += 1;
        let silent = now.saturating_sub(self.silence.since);
        let window = self
            .sent
            .limit
            .since(self.sent.first_unacknowledged)
            .unwrap_or(0);
        let room = window.min(self.sent.count) + 64;
        let said = self.silence.datagrams;
        let most = room + 4 * silent.as_secs() as u32;
        assert!(
            said <= most,
            "{said} datagrams in {silent:?} without any news"
        );
    }
}

impl Sent {
    fn on_ack(&mut self, ack: &Ack<'_>) {
        self.limit = self.limit.latest(ack.receiving_window);
        let numbers = ack.numbers.iter().map(SeqNum::get);
        self.acknowledged.extend(numbers);
        self.on_una(ack.receiving_next);
    }

    fn on_una(&mut self, una: SeqNum) {
        self.first_unacknowledged = self.first_unacknowledged.latest(una);
        while self.acknowledged.remove(&self.first_unacknowledged.get()) {
            self.first_unacknowledged = self.first_unacknowledged.next();
        }
        // What has arrived was within the window, though only a Ping, which tells no limit, may
        // have said so.
        self.limit = self.limit.latest(self.first_unacknowledged);
    }

    fn is_all_acknowledged(&self) -> bool {
        self.first_unacknowledged == self.first.plus(self.count)
    }

    fn check_data(&mut self, data: &Data<'_>) {
        let number = data.number;
        assert!(!data.payload.is_empty(), "mKCP: an empty Data segment");
        // One segment may probe a closed window, once all before it are acknowledged.
        let probes = number == self.limit && number == self.first_unacknowledged;
        assert!(
            number.precedes(self.limit) || probes,
            "{number:?} is beyond the limit {:?}",
            self.limit
        );
        let index = number.since(self.first).expect("numbers start at 0");
        assert!(index <= self.count, "mKCP: {number:?} skips a number");
        if index == self.count {
            self.count += 1;
            self.bytes += data.payload.len() as u64;
            self.payloads.insert(number.get(), data.payload.to_vec());
        } else {
            let known = self
                .first_unacknowledged
                .since(number)
                .is_some_and(|gap| gap > 0)
                || self.acknowledged.contains(&number.get());
            assert!(!known, "{number:?} is repeated although it is acknowledged");
            let same = self.payloads[&number.get()] == data.payload;
            assert!(same, "mKCP: {number:?} is repeated with another payload");
        }
        self.check_sending_next(data.sending_next);
    }

    fn check_sending_next(&self, sending_next: SeqNum) {
        assert!(
            !self.first_unacknowledged.precedes(sending_next),
            "mKCP: SendingNext {sending_next:?} is above the first unacknowledged {:?}",
            self.first_unacknowledged
        );
    }
}

impl Received {
    fn take(&mut self, data: &Data<'_>) {
        self.timestamps.insert((data.number, data.timestamp));
        if data.number.precedes(self.next) {
            return;
        }
        self.numbers.insert(data.number.get());
        while self.numbers.remove(&self.next.get()) {
            self.next = self.next.next();
        }
    }

    fn check_receiving_next(&self, receiving_next: SeqNum) {
        assert!(
            !self.next.precedes(receiving_next),
            "mKCP: ReceivingNext {receiving_next:?} covers what has not come, from {:?}",
            self.next
        );
    }

    fn check_ack(&mut self, ack: &Ack<'_>) {
        self.check_receiving_next(ack.receiving_next);
        // A Go sender takes 0 for an echo, too: of the beginning of the connection.
        let echo = ack.timestamp;
        let mut listed = ack.numbers.iter();
        let is_echo = match ack.numbers.is_empty() {
            true => echo == Timestamp::ZERO,
            false => listed.any(|number| self.timestamps.contains(&(number, echo))),
        };
        assert!(is_echo, "mKCP: an invented echo {echo:?}");
        let mut news = false;
        let mut largest: Option<SeqNum> = None;
        for number in ack.numbers.iter() {
            let came = number.precedes(self.next) || self.numbers.contains(&number.get());
            assert!(came, "mKCP: an ACK for {number:?}, which has not come");
            news |= self.listed.insert(number.get());
            largest = Some(largest.map_or(number, |largest| largest.latest(number)));
        }
        if let (true, Some(largest)) = (news, largest) {
            assert!(
                !largest.precedes(ack.receiving_next),
                "mKCP: ReceivingNext {:?} covers the largest listed number {largest:?}",
                ack.receiving_next
            );
        }
        let limit = self.announced_limit.unwrap_or(ack.receiving_window);
        assert!(
            !ack.receiving_window.precedes(limit),
            "the window shrinks from {limit:?} to {:?}",
            ack.receiving_window
        );
        self.announced_limit = Some(ack.receiving_window);
    }
}

fn is_terminate(segment: &Segment<'_>) -> bool {
    matches!(segment, Segment::Command(command) if command.kind == CommandKind::Terminate)
}
