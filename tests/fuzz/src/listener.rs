//! Segments of somebody who has listened to an end: its numbers lie close to those that matter.

use arbitrary::Arbitrary;
use mkcp::internal::wire::{
    Ack, Command, CommandKind, Data, Numbers, Options, Segment, Segments, SeqNum, Timestamp,
};

use super::end::{BYTES, CONVERSATION};

/// A segment for an end, whose own words it may repeat.
#[derive(Arbitrary, Debug)]
pub enum Spoken {
    Data {
        options: u8,
        timestamp: Time,
        number: Number,
        sending_next: Number,
        len: u16,
    },
    Ack {
        options: u8,
        receiving_window: Number,
        receiving_next: Number,
        timestamp: Time,
        numbers: Vec<Number>,
    },
    Command {
        kind: u8,
        options: u8,
        sending_next: Number,
        receiving_next: Number,
        peer_rto: u32,
    },
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Number {
    /// From the next that the end expects.
    Expected(i8),
    /// From the first that it does not take.
    Limit(i8),
    /// From the next that it will send.
    Sent(i8),
    Any(u32),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Time {
    /// One that the end has sent, counted from the last.
    Echo(u8),
    Any(u32),
}

/// What one end has said.
#[derive(Default)]
pub struct Listener {
    expected: SeqNum,
    limit: SeqNum,
    sent: SeqNum,
    timestamps: Vec<Timestamp>,
}

impl Listener {
    pub fn new(first: SeqNum) -> Self {
        Self {
            expected: first,
            limit: first,
            sent: first,
            ..Self::default()
        }
    }

    pub fn hear(&mut self, datagrams: &[Vec<u8>]) {
        for segment in datagrams
            .iter()
            .flat_map(|datagram| Segments::new(datagram))
        {
            match segment {
                Segment::Data(data) => {
                    self.sent = self.sent.latest(data.number.next());
                    self.timestamps.push(data.timestamp);
                }
                Segment::Ack(ack) => {
                    self.expected = ack.receiving_next;
                    self.limit = ack.receiving_window;
                }
                Segment::Command(command) => self.expected = command.receiving_next,
            }
        }
    }

    /// Appends a segment to a datagram for that end.
    pub fn speak(&self, spoken: &Spoken, datagram: &mut Vec<u8>) {
        let mut list = Vec::new();
        let segment = match *spoken {
            Spoken::Data {
                options,
                timestamp,
                number,
                sending_next,
                len,
            } => Segment::Data(Data {
                conversation: CONVERSATION,
                options: Options::from_bits(options),
                timestamp: self.time(timestamp),
                number: self.number(number),
                sending_next: self.number(sending_next),
                payload: &BYTES[..len.into()],
            }),
            Spoken::Ack {
                options,
                receiving_window,
                receiving_next,
                timestamp,
                ref numbers,
            } => {
                list.extend(numbers.iter().map(|&number| self.number(number)));
                Segment::Ack(Ack {
                    conversation: CONVERSATION,
                    options: Options::from_bits(options),
                    receiving_window: self.number(receiving_window),
                    receiving_next: self.number(receiving_next),
                    timestamp: self.time(timestamp),
                    numbers: Numbers::List(&list),
                })
            }
            Spoken::Command {
                kind,
                options,
                sending_next,
                receiving_next,
                peer_rto,
            } => Segment::Command(Command {
                conversation: CONVERSATION,
                kind: match kind {
                    2 => CommandKind::Terminate,
                    _ => CommandKind::Ping,
                },
                options: Options::from_bits(options),
                sending_next: self.number(sending_next),
                receiving_next: self.number(receiving_next),
                peer_rto,
            }),
        };
        segment.encode(datagram);
    }

    fn number(&self, number: Number) -> SeqNum {
        let from = |start: SeqNum, offset: i8| start.plus(i32::from(offset) as u32);
        match number {
            Number::Expected(offset) => from(self.expected, offset),
            Number::Limit(offset) => from(self.limit, offset),
            Number::Sent(offset) => from(self.sent, offset),
            Number::Any(number) => SeqNum::new(number),
        }
    }

    fn time(&self, time: Time) -> Timestamp {
        match time {
            Time::Echo(back) => {
                let sent = self.timestamps.iter().rev().nth(back.into());
                sent.copied().unwrap_or_default()
            }
            Time::Any(time) => Timestamp::new(time),
        }
    }
}
