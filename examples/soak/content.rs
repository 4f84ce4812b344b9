//! The bytes that a stream carries: known from a seed and the place alone, so that each is checked
//! as it arrives and none is kept.

use std::{error, fmt, io};

const WORD: usize = 8;

/// An endless sequence of bytes. Different keys give sequences that have nothing in common, so
/// that bytes of another stream or another place are found out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content {
    key: u64,
}

impl Content {
    /// What the client sends in the session of this seed.
    pub(crate) fn up(seed: u64) -> Self {
        Self { key: mix(seed) }
    }

    /// What the server sends.
    pub(crate) fn down(seed: u64) -> Self {
        Self { key: mix(!seed) }
    }

    /// What the server sends when all that the client sent was right.
    pub(crate) fn receipt(seed: u64) -> Self {
        Self {
            key: mix(seed.rotate_left(32)),
        }
    }

    /// Writes what stands at this place.
    pub(crate) fn fill(self, mut at: u64, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let word = self.word(at);
            let skip = (at % WORD as u64) as usize;
            let count = bytes.len().min(WORD - skip);
            let (now, later) = bytes.split_at_mut(count);
            now.copy_from_slice(&word[skip..skip + count]);
            at += count as u64;
            bytes = later;
        }
    }

    /// Compares with what stands at this place.
    pub(crate) fn check(self, mut at: u64, mut bytes: &[u8]) -> Result<(), WrongByte> {
        while !bytes.is_empty() {
            let word = self.word(at);
            let skip = (at % WORD as u64) as usize;
            let (now, later) = bytes.split_at(bytes.len().min(WORD - skip));
            if now != &word[skip..skip + now.len()] {
                return Err(WrongByte::at(at));
            }
            at += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }

    fn word(self, at: u64) -> [u8; WORD] {
        mix(self.key.wrapping_add(at / WORD as u64)).to_le_bytes()
    }
}

/// The mixing function of SplitMix64: neighbours become strangers.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The worst that can happen: a stream delivered something else than what was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WrongByte {
    near: u64,
}

impl WrongByte {
    pub(crate) fn at(place: u64) -> Self {
        Self { near: place }
    }

    pub(crate) fn is_in(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

impl fmt::Display for WrongByte {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a wrong byte near {}", self.near)
    }
}

impl error::Error for WrongByte {}

impl From<WrongByte> for io::Error {
    fn from(error: WrongByte) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}
