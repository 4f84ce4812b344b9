//! What a session is to do. The client draws it and tells the server in its first bytes.

use std::{io, ops::Range, time::Duration};

use rand::{Rng, rngs::SmallRng};

use crate::content::WrongByte;

const MAGIC: u32 = 0x736f_616b;
/// Small enough that many sessions take turns, large enough for a few segments.
const LONGEST_PIECE: u32 = 8 * 1024;
/// Slow readers take this much at a time.
const SLOW_PIECE: u32 = 4 * 1024;
const MOST_PIECES: u64 = 64;
const MOST_FOR_SLOW_READERS: u64 = 1024 * 1024;

/// How a session behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The client sends.
    Upload,
    /// The server sends.
    Download,
    /// Both send at the same time.
    Both,
    /// The client sends a piece, the server answers with one, and again.
    Ask,
    /// The same, with a long pause in the middle that only keep-alive fills.
    Idle,
    /// The client ends its writing before it reads.
    HalfClose,
    /// The client reads slowly.
    Slow,
    /// The client resets in the middle.
    ClientResets,
    /// The server resets in the middle.
    ServerResets,
    /// The client writes and drops its stream; the rest is delivered in the background.
    Drop,
    /// The client drops its stream before it wrote anything. The server never hears of it.
    Mute,
}

impl Kind {
    pub(crate) const ALL: [Self; 11] = [
        Self::Upload,
        Self::Download,
        Self::Both,
        Self::Ask,
        Self::Idle,
        Self::HalfClose,
        Self::Slow,
        Self::ClientResets,
        Self::ServerResets,
        Self::Drop,
        Self::Mute,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Download => "download",
            Self::Both => "both",
            Self::Ask => "ask",
            Self::Idle => "idle",
            Self::HalfClose => "half_close",
            Self::Slow => "slow",
            Self::ClientResets => "client_resets",
            Self::ServerResets => "server_resets",
            Self::Drop => "drop",
            Self::Mute => "mute",
        }
    }
}

/// What a client wants of the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) kind: Kind,
    /// Of the content.
    pub(crate) seed: u64,
    /// Bytes to the server.
    pub(crate) up: u64,
    /// Bytes from the server.
    pub(crate) down: u64,
    /// Bytes of a question or an answer, or what a slow reader takes at a time.
    pub(crate) piece: u32,
}

impl Order {
    /// Encoded.
    pub(crate) const LEN: usize = 32;

    /// Anything, with at most `most` bytes in a direction.
    pub(crate) fn draw(rng: &mut SmallRng, most: u64) -> Self {
        let kind = Kind::ALL[rng.random_range(0..Kind::ALL.len())];
        let mut size = || {
            // Small ones are as likely as large ones: uniform in the logarithm.
            let exponent = rng.random_range(0.0..=(most as f64).log2());
            exponent.exp2() as u64
        };
        let (large, small) = (size(), size().min(64 * 1024));
        let (up, down) = match kind {
            Kind::Upload => (large, 0),
            Kind::Download => (0, large),
            Kind::Both | Kind::HalfClose => (large, size()),
            Kind::Slow => (0, large.min(MOST_FOR_SLOW_READERS)),
            Kind::ClientResets => (large.max(2), small),
            Kind::ServerResets => (small, large.max(2)),
            Kind::Drop => (large, 0),
            Kind::Mute => (0, 0),
            Kind::Ask | Kind::Idle => (0, 0), // below
        };
        let piece = match kind {
            Kind::Slow => SLOW_PIECE,
            _ => rng.random_range(1..=LONGEST_PIECE),
        };
        let (up, down) = match kind {
            Kind::Ask | Kind::Idle => {
                let all = u64::from(piece) * rng.random_range(2..=MOST_PIECES);
                (all, all)
            }
            _ => (up, down),
        };
        Self {
            kind,
            seed: rng.random(),
            up,
            down,
            piece,
        }
    }

    /// For how long an idle session says nothing.
    pub(crate) fn pause(&self, longest: Duration) -> Duration {
        longest.mul_f64((self.seed % 1000) as f64 / 1000.0)
    }

    /// Where the questions begin and end, and so the answers.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Range<u64>> {
        let (all, piece) = (self.up, u64::from(self.piece.max(1)));
        let starts = (0..all).step_by(piece as usize);
        starts.map(move |start| start..all.min(start + piece))
    }

    pub(crate) fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..4].copy_from_slice(&MAGIC.to_be_bytes());
        bytes[4..8].copy_from_slice(&(self.piece << 8 | self.kind as u32).to_be_bytes());
        for (place, number) in bytes[8..]
            .chunks_exact_mut(8)
            .zip([self.seed, self.up, self.down])
        {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; Self::LEN]) -> io::Result<Self> {
        let number = |from: usize| u64::from_be_bytes(std::array::from_fn(|at| bytes[from + at]));
        let first = number(0);
        let kind = Kind::ALL.get((first & 0xff) as usize);
        let (Some(&kind), true) = (kind, first >> 32 == u64::from(MAGIC)) else {
            return Err(WrongByte::at(0).into());
        };
        Ok(Self {
            kind,
            seed: number(8),
            up: number(16),
            down: number(24),
            piece: (first as u32) >> 8,
        })
    }
}
