//! The program at one end: writes and reads by a script, checks every byte, and ends.

use std::{net::Shutdown, time::Duration};

use mkcp::ConnectionError;

use crate::{
    clock::Time,
    node::{Node, Read},
};

/// What a program does.
#[derive(Clone, Debug)]
pub struct Script {
    /// When it starts to write.
    pub start: Time,
    /// How many bytes it writes in all.
    pub total: u64,
    pub write_size: usize,
    /// How long it rests after each write.
    pub write_gap: Duration,
    pub gate: Gate,
    pub read_size: usize,
    /// Where the reader stops reading for a while; in rising order.
    pub pauses: Vec<Pause>,
    pub ending: Ending,
    /// When it closes in any case.
    pub patience: Time,
}

/// What writing waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    Free,
    /// Requests of so many bytes, each sent when all before are answered in full.
    PingPong(u64),
    /// Every byte received allows one to be sent.
    Echo,
    /// Nothing is sent before so many bytes have come.
    After(u64),
}

#[derive(Clone, Copy, Debug)]
pub struct Pause {
    /// After so many bytes.
    pub after: u64,
    pub length: Duration,
}

/// When and how a program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Closes when it has written everything and read so many bytes.
    WhenDone(u64),
    /// The same, but waits for its last byte to be acknowledged.
    WhenFlushed(u64),
    /// Closes as soon as its last byte is queued.
    WhenWritten,
    /// Ends writing after its last byte, and closes when the peer's stream has ended.
    HalfClose,
    /// Closes when the peer's stream has ended.
    AfterPeer,
    CloseAt(Time),
    ResetAt(Time),
    /// Disappears without a word.
    VanishAt(Time),
}

impl Script {
    /// Writes so much as fast as it may, reads everything, and closes after the peer.
    pub fn sending(total: u64) -> Self {
        Self {
            start: Time::ZERO,
            total,
            write_size: 16 * 1024,
            write_gap: Duration::ZERO,
            gate: Gate::Free,
            read_size: 64 * 1024,
            pauses: Vec::new(),
            ending: Ending::AfterPeer,
            patience: Duration::from_secs(3600),
        }
    }

    pub fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }
}

/// How a program has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Closed,
    Reset,
    Vanished,
}

#[derive(Debug)]
pub struct App {
    pub script: Script,
    /// What the bytes look like that it writes.
    pattern: u64,
    /// What those look like that it expects, unless they may have been damaged.
    expected: Option<u64>,
    pub written: u64,
    pub received: u64,
    /// When and how the peer's stream ended for it.
    pub ended: Option<(Time, Result<(), ConnectionError>)>,
    pub write_shut: Option<Time>,
    pub left: Option<(Time, Left)>,
    paused_until: Time,
    write_after: Time,
    wake: Option<Time>,
}

impl App {
    pub fn new(script: Script, pattern: u64, expected: Option<u64>) -> Self {
        Self {
            script,
            pattern,
            expected,
            written: 0,
            received: 0,
            ended: None,
            write_shut: None,
            left: None,
            paused_until: Time::ZERO,
            write_after: Time::ZERO,
            wake: Some(Time::ZERO),
        }
    }

    pub fn next_wake(&self) -> Option<Time> {
        self.wake
    }

    pub fn has_left(&self) -> bool {
        self.left.is_some()
    }

    /// Whether it will write no more.
    pub fn has_written(&self) -> bool {
        self.write_shut.is_some() || self.has_left()
    }

    pub fn has_vanished(&self) -> bool {
        matches!(self.left, Some((_, Left::Vanished)))
    }

    /// Does all that can be done now.
    pub fn run(&mut self, now: Time, node: &mut dyn Node) {
        self.wake = None;
        if self.has_left() || !node.is_open() {
            return;
        }
        self.read(now, node);
        self.write(now, node);
        self.end(now, node);
    }

    /// Stops reading for a while.
    pub fn pause(&mut self, until: Time) {
        self.paused_until = until;
    }

    fn wake_at(&mut self, at: Time) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    fn read(&mut self, now: Time, node: &mut dyn Node) {
        while self.ended.is_none() {
            if now < self.paused_until {
                self.wake_at(self.paused_until);
                return;
            }
            match node.read(now, self.script.read_size) {
                Read::Bytes(bytes) => self.take(now, &bytes),
                Read::Wait => return,
                Read::End(result) => self.ended = Some((now, result)),
            }
        }
    }

    fn take(&mut self, now: Time, bytes: &[u8]) {
        if let Some(seed) = self.expected {
            let expected = pattern(seed, self.received, bytes.len());
            let wrong = bytes.iter().zip(&expected).position(|(a, b)| a != b);
            if let Some(at) = wrong {
                let offset = self.received + at as u64;
                panic!("received bytes differ from those sent at offset {offset}");
            }
        }
        self.received += bytes.len() as u64;
        let due = |pause: &Pause| pause.after <= self.received;
        if self.script.pauses.first().is_some_and(due) {
            self.paused_until = now + self.script.pauses.remove(0).length;
        }
    }

    fn write(&mut self, now: Time, node: &mut dyn Node) {
        if now < self.script.start {
            return self.wake_at(self.script.start);
        }
        while self.write_shut.is_none() && self.written < self.allowed() {
            if now < self.write_after {
                return self.wake_at(self.write_after);
            }
            let size = (self.allowed() - self.written).min(self.script.write_size as u64) as usize;
            let bytes = pattern(self.pattern, self.written, size);
            let taken = node.write(now, &bytes);
            self.written += taken as u64;
            if taken < size {
                return;
            }
            self.write_after = now + self.script.write_gap;
        }
    }

    /// How many bytes may have been written by now.
    fn allowed(&self) -> u64 {
        let gate = match self.script.gate {
            Gate::Free => u64::MAX,
            Gate::PingPong(size) => (self.received / size + 1) * size,
            Gate::Echo => self.received,
            Gate::After(bytes) if self.received < bytes => 0,
            Gate::After(_) => u64::MAX,
        };
        gate.min(self.script.total)
    }

    fn end(&mut self, now: Time, node: &mut dyn Node) {
        let all_written = self.written == self.script.total || node.has_write_ended();
        let leave = match self.script.ending {
            Ending::WhenDone(expected) => all_written && self.received >= expected,
            Ending::WhenFlushed(expected) => {
                all_written && self.received >= expected && node.is_flushed()
            }
            Ending::WhenWritten => all_written,
            Ending::HalfClose => {
                if all_written && self.write_shut.is_none() {
                    self.write_shut = Some(now);
                    node.shutdown(now, Shutdown::Write);
                }
                false
            }
            Ending::AfterPeer => false,
            Ending::CloseAt(at) | Ending::ResetAt(at) | Ending::VanishAt(at) => {
                self.has_come(now, at)
            }
        };
        let patience_is_over = self.has_come(now, self.script.patience);
        if leave || self.ended.is_some() || patience_is_over {
            self.leave(now, node);
        }
    }

    fn has_come(&mut self, now: Time, at: Time) -> bool {
        if now < at {
            self.wake_at(at);
        }
        now >= at
    }

    fn leave(&mut self, now: Time, node: &mut dyn Node) {
        let how = match self.script.ending {
            Ending::ResetAt(at) if now >= at => Left::Reset,
            Ending::VanishAt(at) if now >= at => Left::Vanished,
            _ => Left::Closed,
        };
        match how {
            Left::Closed => node.shutdown(now, Shutdown::Both),
            Left::Reset => node.reset(now),
            Left::Vanished => {}
        }
        self.write_shut.get_or_insert(now);
        self.left = Some((now, how));
        self.wake = None;
    }
}

/// The bytes of a stream from `offset` on: each depends on its place and on the seed.
fn pattern(seed: u64, offset: u64, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 8);
    let mut word = offset / 8;
    let skip = (offset % 8) as usize;
    while bytes.len() < length + skip {
        let mut mixed = (seed ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^= mixed >> 29;
        bytes.extend(mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9).to_be_bytes());
        word += 1;
    }
    bytes.truncate(length + skip);
    bytes.drain(..skip);
    bytes
}
