//! One connection, and what must hold for it whatever it is told.

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use mkcp::{
    Config,
    internal::{
        config::derive,
        connection::{Connection, Origin, Side},
        wire::Segments,
    },
};

pub const CONVERSATION: u16 = 7;

/// Whatever is written or comes as payload, where it does not matter what.
pub const BYTES: &[u8] = &[0x5a; 1 << 16];

/// Nothing makes a connection send more without waiting, unless it holds more bytes to be sent: in
/// the smallest datagrams there are only a few of them.
const MOST_AT_ONCE: usize = 16 * 1024;
/// With a linger time of nothing, closing begins and ends at the same time.
const MOST_WAKES_AT_ONCE: usize = 2;
const LARGEST_PAYLOAD: usize = 65_535;
/// What an end may send to an address that has proven nothing: so much for what it was sent, and a
/// floor, and one datagram more each second, and so many Terminates of 16 bytes.
const FACTOR: usize = 3;
const FLOOR: usize = 4096;
const TERMINATES: usize = 32 * 16;

pub struct End {
    pub connection: Connection,
    max_plaintext: usize,
    most_memory: usize,
    opened_at: Instant,
    heard: usize,
    said: usize,
}

impl End {
    pub fn new(side: Side, config: &Arc<Config>, seed: u8, origin: Origin, now: Instant) -> Self {
        let max_plaintext = derive::max_plaintext(config);
        // As much again of what is missing a part as of what is not read, and one segment.
        let most_received = 2 * derive::receive_window_bytes(config) + LARGEST_PAYLOAD;
        // Mixed, because the clock starts with its highest bits.
        let seed = u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self {
            connection: Connection::with_origin(
                side,
                CONVERSATION,
                Arc::clone(config),
                max_plaintext,
                seed,
                now,
                origin,
            ),
            max_plaintext,
            most_memory: most_received + derive::send_window_bytes(config),
            opened_at: now,
            heard: 0,
            said: 0,
        }
    }

    pub fn hear(&mut self, now: Instant, datagram: &[u8]) {
        self.heard += datagram.len();
        self.connection.handle_datagram(now, datagram);
    }

    pub fn deadline(&self) -> Option<Instant> {
        Some(self.connection.poll_timeout()?.0)
    }

    /// Lets the timers that are due fire. Returns what is sent then.
    pub fn wake(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        for _ in 0..MOST_WAKES_AT_ONCE {
            self.connection.handle_timeout(now);
            sent.extend(self.speak(now));
            if self.deadline().is_none_or(|at| at > now) {
                return sent;
            }
        }
        panic!("a busy loop: {:?}", self.connection.poll_timeout());
    }

    /// Everything that is to be sent now.
    pub fn speak(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let (mut sent, mut datagram) = (Vec::new(), Vec::new());
        let most = MOST_AT_ONCE.max(self.connection.memory());
        let mut has_more = true;
        while let Some(len) = self.connection.poll_transmit(now, &mut datagram) {
            assert!(has_more, "a datagram after the last");
            has_more = self.connection.has_more();
            assert_eq!(len, datagram.len());
            self.said += len;
            self.check_datagram(&datagram);
            sent.push(mem::take(&mut datagram));
            assert!(sent.len() <= most, "sends without end");
        }
        assert!(datagram.is_empty());
        self.check(now);
        sent
    }

    fn check_datagram(&self, datagram: &[u8]) {
        assert!(
            datagram.len() <= self.max_plaintext,
            "a datagram that does not fit"
        );
        let mut segments = Segments::new(datagram);
        assert!(segments.all(|segment| segment.conversation() == CONVERSATION));
        assert!(segments.rest().is_empty(), "a segment that cannot be read");
    }

    fn check(&self, now: Instant) {
        self.connection.check_invariants();
        let memory = self.connection.memory();
        assert!(memory <= self.most_memory, "{memory} bytes held");
        if !self.connection.is_validated() {
            let extras = 2 + now.duration_since(self.opened_at).as_secs() as usize;
            let floor = FLOOR.max(2 * self.max_plaintext) + TERMINATES;
            let most = FACTOR * self.heard + floor + extras * self.max_plaintext;
            assert!(
                self.said <= most,
                "{} bytes said, {} heard",
                self.said,
                self.heard
            );
        }
    }
}

/// The bytes of a stream from an offset on, at most 64 KiB. They repeat at a distance that segments
/// hardly have.
pub fn stream_bytes(from: u64, len: usize) -> &'static [u8] {
    &STREAM[(from % PERIOD as u64) as usize..][..len]
}

const PERIOD: usize = 251;
static STREAM: [u8; PERIOD + (1 << 16)] = {
    let mut bytes = [0; PERIOD + (1 << 16)];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = (at % PERIOD) as u8;
        at += 1;
    }
    bytes
};

pub fn milliseconds(count: u16) -> Duration {
    Duration::from_millis(count.into())
}
