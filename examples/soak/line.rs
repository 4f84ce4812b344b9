//! One end of a session: a stream whose bytes are made and checked on the way.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
    ops::Range,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use mkcp::{ConnectionStats, v2ray::MaybeTlsStream};

use crate::{content::Content, ledger::Ledger, order::Order, watchdog::Watched};

/// Of the buffer on the stack of each thread that reads or writes.
const BUFFER: usize = 16 * 1024;
const RECEIPT: u64 = 16;
/// Between two reads of a slow reader.
const DAWDLING: Duration = Duration::from_millis(20);

/// How fast a reader takes what there is.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    Fast,
    /// So many bytes at a time, with pauses.
    Slow(usize),
}

pub(crate) struct Line<'a> {
    stream: MaybeTlsStream,
    watched: Watched,
    /// Counts the bytes that were right.
    checked: &'a AtomicU64,
}

impl<'a> Line<'a> {
    pub(crate) fn new(stream: MaybeTlsStream, watched: Watched, checked: &'a AtomicU64) -> Self {
        Self {
            stream,
            watched,
            checked,
        }
    }

    /// What the session is about to do, for those who look why it hangs or fails.
    pub(crate) fn begin(&self, step: &'static str) {
        self.watched.begin(step);
    }

    pub(crate) fn step(&self) -> &'static str {
        self.watched.step()
    }

    /// The session is now known by another name.
    pub(crate) fn rename(&self, name: &str) {
        self.watched.rename(name);
    }

    pub(crate) fn has_tls(&self) -> bool {
        matches!(self.stream, MaybeTlsStream::Tls(_))
    }

    pub(crate) fn send_order(&self, order: &Order) -> io::Result<()> {
        (&self.stream).write_all(&order.encode())?;
        self.watched.touch();
        Ok(())
    }

    pub(crate) fn receive_order(&self) -> io::Result<Order> {
        let mut bytes = [0; Order::LEN];
        (&self.stream).read_exact(&mut bytes)?;
        self.watched.touch();
        Order::decode(&bytes)
    }

    /// Writes a part of the content.
    pub(crate) fn send(&self, content: Content, part: Range<u64>) -> io::Result<()> {
        let mut buffer = [0; BUFFER];
        let mut at = part.start;
        while at < part.end {
            let most = (part.end - at).min(BUFFER as u64) as usize;
            let bytes = &mut buffer[..most];
            content.fill(at, bytes);
            let mut rest = &*bytes;
            while !rest.is_empty() {
                let count = (&self.stream).write(rest)?;
                if count == 0 {
                    return Err(ErrorKind::WriteZero.into());
                }
                self.watched.touch();
                rest = &rest[count..];
            }
            at += most as u64;
        }
        Ok(())
    }

    /// Reads a part of the content, and compares each byte.
    pub(crate) fn expect(&self, content: Content, part: Range<u64>, pace: Pace) -> io::Result<()> {
        let mut buffer = [0; BUFFER];
        let mut at = part.start;
        while at < part.end {
            let mut most = (part.end - at).min(BUFFER as u64) as usize;
            if let Pace::Slow(bytes) = pace {
                thread::sleep(DAWDLING);
                most = most.min(bytes);
            }
            let count = (&self.stream).read(&mut buffer[..most])?;
            if count == 0 {
                let text = format!("the stream ends after {at} of {} bytes", part.end);
                return Err(io::Error::other(text)); // Not even forgery can make a part look whole.
            }
            content.check(at, &buffer[..count])?;
            self.watched.touch();
            self.checked.fetch_add(count as u64, Relaxed);
            at += count as u64;
        }
        Ok(())
    }

    /// Reads the end of the stream.
    pub(crate) fn expect_end(&self) -> io::Result<()> {
        match (&self.stream).read(&mut [0])? {
            0 => Ok(()),
            _ => Err(io::Error::other("the stream goes on after its end")),
        }
    }

    /// Says that all bytes of the client have come and were right.
    pub(crate) fn send_receipt(&self, order: &Order) -> io::Result<()> {
        self.send(Content::receipt(order.seed), 0..RECEIPT)
    }

    pub(crate) fn expect_receipt(&self, order: &Order) -> io::Result<()> {
        self.expect(Content::receipt(order.seed), 0..RECEIPT, Pace::Fast)
    }

    pub(crate) fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.stream.get_ref().set_read_timeout(Some(timeout))
    }

    pub(crate) fn end_writing(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    pub(crate) fn reset(&self) {
        self.stream.get_ref().reset();
    }

    /// Closes after the peer has: it may be gone before it could say that it has the last bytes,
    /// which in TLS are the close_notify. That it does have the others it has said in the stream.
    pub(crate) fn close_as_second(&self, ledger: &Ledger) -> io::Result<()> {
        match self.close() {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                ledger.unconfirmed_closes.fetch_add(1, Relaxed);
                Ok(())
            }
            end => end,
        }
    }

    pub(crate) fn stats(&self) -> ConnectionStats {
        self.stream.get_ref().stats()
    }

    /// Whether nothing at all has come.
    pub(crate) fn is_unused(&self) -> bool {
        self.stats().bytes_read == 0
    }

    /// Ends the stream, and waits until the peer has everything.
    pub(crate) fn close(&self) -> io::Result<()> {
        self.stream.try_clone()?.close()
    }
}
