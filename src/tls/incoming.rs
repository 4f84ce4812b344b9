//! Ciphertext on its way from the stream to rustls, and the turn of the thread that moves it.

use std::io::{self, Read};

use crate::{
    stream::Stream,
    sync::{Monitor, Patience, Stalled, Wake},
};

const LEAST_BUFFER: usize = 4 * 1024;
const MOST_BUFFER: usize = 64 * 1024;

/// What has been received and not been opened yet.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The stream has ended.
    pub(super) ended: bool,
}

impl Incoming {
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How many bytes the last `fill` brought.
    pub(super) fn last_fill(&self) -> usize {
        self.end
    }

    /// Waits for more, or until `give_up` says so. To be called when all else has been taken.
    pub(super) fn fill(
        &mut self,
        stream: &Stream,
        patience: Patience,
        give_up: impl Fn() -> bool,
    ) -> io::Result<()> {
        (self.start, self.end) = (0, 0);
        if stream.received() == 0 {
            // An idle stream holds no memory.
            self.buffer = Vec::new();
            stream.wait_for_bytes(patience, &give_up)?;
            if give_up() {
                return Ok(());
            }
        }
        let size = stream.received().clamp(LEAST_BUFFER, MOST_BUFFER);
        if self.buffer.len() < size {
            self.buffer.resize(size, 0);
        }
        self.end = stream.read_at_once(&mut self.buffer)?;
        self.ended = self.end == 0;
        Ok(())
    }
}

/// Gives what has been received; takes nothing from the stream.
impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = (&self.buffer[self.start..self.end]).read(buffer)?;
        self.start += count;
        Ok(count)
    }
}

/// Lets one thread at a time read from the stream: records are to be opened in their order.
///
/// This is no lock: threads that wait for their turn time out, and see what has changed.
#[derive(Debug)]
pub(super) struct ReadTurns {
    idle: Monitor<Option<Box<Incoming>>>,
}

impl ReadTurns {
    pub(super) fn new() -> Self {
        Self {
            idle: Monitor::new(Some(Box::default())),
        }
    }

    /// Waits for the turn, or until `give_up` says so (`None`).
    pub(super) fn take(
        &self,
        patience: Patience,
        give_up: impl Fn() -> bool,
    ) -> Result<Option<Turn<'_>>, Stalled> {
        self.idle.wait(patience, |idle| {
            if give_up() {
                return Some((None, Wake::Nobody));
            }
            let incoming = idle.take()?;
            let turn = Turn {
                turns: self,
                incoming,
            };
            Some((Some(turn), Wake::Nobody))
        })
    }

    /// Has threads that wait for their turn ask again whether to give up.
    pub(super) fn wake(&self) {
        self.idle.update(|_| ((), Wake::All));
    }
}

/// The right to read from the stream, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a ReadTurns,
    pub(super) incoming: Box<Incoming>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let incoming = std::mem::take(&mut self.incoming);
        self.turns.idle.update(|idle| {
            *idle = Some(incoming);
            ((), Wake::All)
        });
    }
}
