//! What a hostile peer's datagrams cost a connection, beside those of a good one.
//!
//! Each flood is prepared in full, so that only opening it, taking it and answering it is counted.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mkcp::{
    Config,
    internal::{
        config::derive,
        connection::{Connection, Side, State},
        packet::{NonceSource, PacketCodec},
        wire::{
            Ack, Command, CommandKind, Data, Numbers, Options, Segment, Segments, SeqNum, Timestamp,
        },
    },
};

const CONVERSATION: u16 = 7;
/// Datagrams of each flood.
pub(crate) const DATAGRAMS: u32 = 2048;
/// Datagrams that arrive together: a worker takes so many before it sends.
const TOGETHER: usize = 16;
const MS: Duration = Duration::from_millis(1);

/// Makes the datagram with an index.
type Make = fn(u32) -> Vec<u8>;

/// mKCP bounds the segments in a datagram by nothing but its length. One that is full of small
/// ones costs several times as much as a good one, and each of its segments a fraction.
const SMALL: u32 = 70;

/// A name, the segments in a datagram, and the datagrams. The first is what an upload brings; a
/// segment of the others may cost twice as much.
pub(crate) const FLOODS: [(&str, u32, Make); 13] = [
    ("good", 1, |index| data(index, index, &[1; 1326])),
    ("duplicates", 1, |_| data(0, 0, &[1; 1326])),
    ("duplicates-ahead", 1, |_| data(5, 0, &[1; 1326])),
    ("beyond-window", 1, |_| data(1 << 20, 0, &[1; 1326])),
    // Every second one of the first window from its end down, then again.
    ("out-of-order", 1, |index| {
        data(789 - 2 * (index % 395), 0, &[1; 1326])
    }),
    ("gap-filled-last", 1, |index| match index {
        0..2047 => data(index + 1, 0, &[1; 1326]),
        _ => data(0, 0, &[1; 1326]),
    }),
    ("full-acks-unsent", 1, |index| acks(1000 + index, 1)),
    ("full-acks-again", 1, |_| acks(u32::MAX, 0)),
    ("full-acks-behind-gap", 1, |_| acks(5, 0)),
    ("pings", 1, |_| ping()),
    ("data-in-one", SMALL, |index| {
        let small = |place| data(index * SMALL + place, index * SMALL, b"x");
        (0..SMALL).flat_map(small).collect()
    }),
    // The second half of what arrives together says of each segment that one more is known.
    ("data-in-one-known", SMALL, |index| {
        let first = index / 16 * 16 * SMALL;
        let known = |place| (index % 16).saturating_sub(8) * SMALL + place;
        let small = |place| data(index * SMALL + place, first + known(place), b"x");
        (0..SMALL).flat_map(small).collect()
    }),
    ("pings-in-one", SMALL, |_| ping().repeat(SMALL as usize)),
];

/// A connection under attack, with something written that nobody acknowledges.
pub(crate) struct Target {
    connection: Connection,
    codec: PacketCodec,
    nonces: NonceSource,
    now: Instant,
    flood: Vec<Vec<u8>>,
    out: Vec<u8>,
}

impl Target {
    pub(crate) fn new(make: Make) -> Self {
        let config = Arc::new(Config::default());
        let most = derive::max_plaintext(&config);
        let codec = PacketCodec::new(&config);
        let mut nonces = NonceSource::default();
        let mut sealed = |segments: Vec<u8>| {
            let mut datagram = Vec::new();
            let start = codec.begin(&mut datagram);
            datagram.extend(segments);
            let sealed = codec.seal(&mut datagram, start, &mut nonces);
            sealed.expect("it is short enough");
            datagram
        };
        let flood = (0..DATAGRAMS).map(|index| sealed(make(index))).collect();
        let now = Instant::now();
        let mut connection =
            Connection::new(Side::Client, CONVERSATION, config, most, 1 << 40, now);
        connection.write(&[2; 100_000]);
        let mut target = Self {
            connection,
            codec,
            nonces,
            now,
            flood,
            out: Vec::with_capacity(4096),
        };
        target.drive();
        target
    }

    /// Takes all of it, and answers, as a worker does.
    pub(crate) fn bear(&mut self) {
        for together in std::mem::take(&mut self.flood).chunks_mut(TOGETHER) {
            let datagrams = together.iter_mut().map(|datagram| ((), &mut datagram[..]));
            for ((), opened) in self.codec.open_each(datagrams) {
                let segments = opened.expect("it was sealed here");
                self.connection.handle_datagram(self.now, segments);
            }
            while let count @ 1.. = self.connection.read().len() {
                self.connection.consume(count);
            }
            self.drive();
            self.now += MS;
        }
        // One that has ended does no more work, and looks cheap.
        assert_eq!(self.connection.state(), State::Active);
    }

    fn drive(&mut self) {
        let due = self.connection.poll_timeout();
        if due.is_some_and(|(at, _)| at <= self.now) {
            self.connection.handle_timeout(self.now);
        }
        loop {
            self.out.clear();
            let start = self.codec.begin(&mut self.out);
            let sent = self.connection.poll_transmit(self.now, &mut self.out);
            if sent.is_none() {
                return;
            }
            let sealed = self.codec.seal(&mut self.out, start, &mut self.nonces);
            sealed.expect("it is short enough");
        }
    }
}

fn encoded(segment: Segment<'_>) -> Vec<u8> {
    let mut datagram = Vec::new();
    segment.encode(&mut datagram);
    assert_eq!(Segments::new(&datagram).count(), 1);
    datagram
}

fn data(number: u32, sending_next: u32, payload: &[u8]) -> Vec<u8> {
    encoded(Segment::Data(Data {
        conversation: CONVERSATION,
        options: Options::NONE,
        timestamp: Timestamp::new(1 + number / 64 * 50),
        number: SeqNum::new(number),
        sending_next: SeqNum::new(sending_next),
        payload,
    }))
}

/// 255 numbers from the first on, by steps.
fn acks(first: u32, step: u32) -> Vec<u8> {
    let numbers: Vec<SeqNum> = (0..255)
        .map(|place| SeqNum::new(first).plus(place * step))
        .collect();
    encoded(Segment::Ack(Ack {
        conversation: CONVERSATION,
        options: Options::NONE,
        receiving_window: SeqNum::new(32),
        receiving_next: SeqNum::ZERO,
        timestamp: Timestamp::new(5),
        numbers: Numbers::List(&numbers),
    }))
}

/// From a peer that knows of nothing yet: it would mean another connection otherwise.
fn ping() -> Vec<u8> {
    encoded(Segment::Command(Command {
        conversation: CONVERSATION,
        kind: CommandKind::Ping,
        options: Options::NONE,
        sending_next: SeqNum::ZERO,
        receiving_next: SeqNum::ZERO,
        peer_rto: 0,
    }))
}
