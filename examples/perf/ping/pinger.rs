//! One stream on which messages go by the clock.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    time::Instant,
};

use mkcp::v2ray::MaybeTlsStream;

use crate::{payload::Answer, report::Report};

/// A stream with what is under way.
pub(super) struct Pinger<'a> {
    pub(super) stream: &'a MaybeTlsStream,
    /// When the messages that are not answered were due.
    pub(super) due: VecDeque<Instant>,
    /// Bytes of them that the stream has not taken.
    pub(super) unsent: usize,
    /// Bytes of the first answer that have come.
    received: usize,
    answer: Option<Answer>,
    pub(super) dead: bool,
}

impl<'a> Pinger<'a> {
    pub(super) fn new(stream: &'a MaybeTlsStream) -> Self {
        Self {
            stream,
            due: VecDeque::new(),
            unsent: 0,
            received: 0,
            answer: None,
            dead: false,
        }
    }

    /// Writes what the stream takes.
    pub(super) fn write(&mut self, message: &[u8]) -> io::Result<()> {
        let mut stream = self.stream;
        while self.unsent > 0 {
            let whole = self.unsent.is_multiple_of(message.len());
            let rest = if whole {
                message.len()
            } else {
                self.unsent % message.len()
            };
            match stream.write(&message[message.len() - rest..]) {
                Ok(count) => self.unsent -= count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads the answers that are there. What comes meanwhile, the selector tells of.
    pub(super) fn read(
        &mut self,
        size: usize,
        buffer: &mut [u8],
        report: &mut Report,
    ) -> io::Result<()> {
        let mut stream = self.stream;
        loop {
            let count = match stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let now = Instant::now();
            let mut bytes = &buffer[..count];
            while !bytes.is_empty() {
                let piece = bytes.len().min(size - self.received);
                self.check(&bytes[..piece])?;
                bytes = &bytes[piece..];
                self.received += piece;
                if self.received == size {
                    self.received = 0;
                    self.complete(now, size, report);
                }
            }
            // Under TLS more may lie behind it, of which the selector does not know.
            if count < buffer.len() && matches!(stream, MaybeTlsStream::Plain(_)) {
                return Ok(());
            }
        }
    }

    fn check(&mut self, bytes: &[u8]) -> io::Result<()> {
        let answer = *self.answer.get_or_insert_with(|| Answer::recognise(bytes));
        let right = answer != Answer::Other && answer.is_right(self.received as u64, bytes);
        right.then_some(()).ok_or_else(|| {
            let text = "the answer is neither what was sent nor its xor";
            io::Error::new(ErrorKind::InvalidData, text)
        })
    }

    fn complete(&mut self, now: Instant, size: usize, report: &mut Report) {
        if let Some(due) = self.due.pop_front() {
            report.add_latency("", now - due);
            report.add_bytes(size as u64);
        }
    }

    /// The stream takes no more part.
    pub(super) fn fail(&mut self, error: &io::Error, report: &mut Report) {
        report.add_error(error);
        report.add_count("unanswered", self.due.len() as u64);
        self.due.clear();
        self.unsent = 0;
        self.dead = true;
    }
}
