//! The bytes that are sent, and how an answer is recognised.

use std::{
    io::{self, Read, Write},
    sync::LazyLock,
    time::Instant,
};

use mkcp::v2ray::MaybeTlsStream;
use rand::{RngCore, SeedableRng, rngs::SmallRng};

/// What `serve --mode xor` does to each byte.
pub(crate) const XOR: u8 = 0x63;

/// A prime, so that no shift by whole segments or buffers looks right.
const PERIOD: usize = 1_048_573;
const WRITE: usize = 64 * 1024;

static PLAIN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut block = vec![0; PERIOD];
    SmallRng::seed_from_u64(0x6d6b_6370).fill_bytes(&mut block);
    block
});
static XORED: LazyLock<Vec<u8>> = LazyLock::new(|| PLAIN.iter().map(|byte| byte ^ XOR).collect());

/// Makes the bytes before the clock runs.
pub(crate) fn prepare() {
    LazyLock::force(&PLAIN);
    LazyLock::force(&XORED);
}

/// The first bytes of the payload.
pub(crate) fn first(count: usize) -> Vec<u8> {
    PLAIN.iter().cycle().take(count).copied().collect()
}

/// Writes the bytes `from..to` of the endless payload.
pub(crate) fn write(mut stream: &MaybeTlsStream, from: u64, to: u64) -> io::Result<()> {
    let mut at = from;
    while at < to {
        let piece = piece(&PLAIN, at, (to - at).min(WRITE as u64) as usize);
        stream.write_all(piece)?;
        at += piece.len() as u64;
    }
    Ok(())
}

/// Writes the endless payload until the time has come.
pub(crate) fn write_until(mut stream: &MaybeTlsStream, deadline: Instant) -> io::Result<()> {
    let mut at = 0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        stream.get_ref().set_write_timeout(Some(left))?;
        match stream.write(piece(&PLAIN, at, WRITE)) {
            Ok(count) => at += count as u64,
            Err(_) if Instant::now() >= deadline => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// What a server sends back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// What it was sent.
    Echo,
    /// What it was sent, each byte xor 0x63.
    Xor,
    /// Something of its own.
    Other,
}

impl Answer {
    /// What the server does, judged by the first bytes that it sends.
    pub(crate) fn recognise(first: &[u8]) -> Self {
        if matches(&PLAIN, 0, first) {
            Self::Echo
        } else if matches(&XORED, 0, first) {
            Self::Xor
        } else {
            Self::Other
        }
    }

    /// Whether these bytes are right at this place of the answer.
    pub(crate) fn is_right(self, at: u64, bytes: &[u8]) -> bool {
        match self {
            Self::Echo => matches(&PLAIN, at, bytes),
            Self::Xor => matches(&XORED, at, bytes),
            Self::Other => true,
        }
    }
}

/// Writes as much of the payload as the buffer holds, and waits until it is back.
pub(crate) fn round_trip(stream: &MaybeTlsStream, buffer: &mut [u8]) -> io::Result<()> {
    write(stream, 0, buffer.len() as u64)?;
    read_back(stream, buffer)
}

/// Reads the echo of the first bytes of the payload, or their xor.
pub(crate) fn read_back(mut stream: &MaybeTlsStream, buffer: &mut [u8]) -> io::Result<()> {
    stream.read_exact(buffer)?;
    match Answer::recognise(buffer) {
        Answer::Echo | Answer::Xor => Ok(()),
        Answer::Other => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the answer is neither what was sent nor its xor",
        )),
    }
}

fn matches(block: &[u8], mut at: u64, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let piece = piece(block, at, bytes.len());
        let (now, later) = bytes.split_at(piece.len());
        if now != piece {
            return false;
        }
        at += piece.len() as u64;
        bytes = later;
    }
    true
}

/// At most `length` bytes at this place, fewer at the end of the period.
fn piece(block: &[u8], at: u64, length: usize) -> &[u8] {
    let from = (at % PERIOD as u64) as usize;
    &block[from..PERIOD.min(from + length)]
}
