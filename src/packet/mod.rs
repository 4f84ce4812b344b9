//! One datagram: the disguising packet header and the seal around the segments.
//!
//! ```text
//! | packet header | nonce         | sealed segments | tag           |   AES-128-GCM
//! | packet header | hash | length | masked segments |                   simple
//! | packet header | segments                                        |   none
//! ```
//!
//! Both directions work in place. [`PacketCodec::open_each`] takes what a receive buffer holds.
//! In a send buffer, [`PacketCodec::begin`] and [`PacketCodec::end`] enclose the segments of each
//! datagram of a train, and [`PacketCodec::seal_train`] seals them all. Many datagrams at a time
//! are cheaper than one by one where there is no seed.
#![cfg_attr(
    not(test),
    warn(
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::arithmetic_side_effects
    )
)]

pub mod aead;
pub mod header;
mod nonce;
pub mod simple;

use std::{array, error, fmt, iter};

use crate::{
    config::{Config, Security, derive},
    error::DropReason,
};

use aead::{Aes128Gcm, NONCE_LEN};
use header::HeaderWriter;
use simple::LANES;

pub use nonce::NonceSource;

/// Opens and seals datagrams for one endpoint. Shared by all its threads.
#[derive(Debug)]
pub struct PacketCodec {
    header: HeaderWriter,
    header_len: usize,
    protection: Protection,
    overhead: usize,
}

/// The segments of a datagram, or why there are none.
type Opened<'a> = Result<&'a [u8], DropReason>;

/// [`Security`] with its key made.
#[derive(Debug)]
enum Protection {
    None,
    Simple,
    Aes128Gcm(Box<Aes128Gcm>),
}

impl PacketCodec {
    /// For the header and security of this configuration. The header's counters start at random.
    pub fn new(config: &Config) -> Self {
        Self::with_header(config, HeaderWriter::new(config.header()))
    }

    /// As `new`, with the header in a given state, which must be of the configured kind.
    pub fn with_header(config: &Config, header: HeaderWriter) -> Self {
        let header_len = derive::header_len(config.header());
        Self {
            header,
            header_len,
            protection: Protection::new(config.security()),
            overhead: header_len.saturating_add(derive::security_len(config.security())),
        }
    }

    /// Bytes that header and seal add to the segments of a datagram.
    pub fn overhead(&self) -> usize {
        self.overhead
    }

    /// Opens a datagram in place and returns its segments' bytes, of which there is at least one.
    ///
    /// # Errors
    ///
    /// `TooShort` or `BadSeal`; the datagram's bytes are scrambled then.
    pub fn open<'a>(&self, datagram: &'a mut [u8]) -> Opened<'a> {
        let body = self.body(datagram)?;
        match &self.protection {
            Protection::None => Ok(body),
            Protection::Simple => simple::open(body).ok_or(DropReason::BadSeal),
            Protection::Aes128Gcm(key) => key.open(body).ok_or(DropReason::BadSeal),
        }
    }

    /// The nonce of a datagram that has not been opened yet, if it has one. Two authentic datagrams
    /// with the same nonce are the same datagram.
    pub fn nonce(&self, datagram: &[u8]) -> Option<[u8; NONCE_LEN]> {
        match &self.protection {
            Protection::None | Protection::Simple => None,
            Protection::Aes128Gcm(_) => datagram.get(self.header_len..)?.first_chunk().copied(),
        }
    }

    /// Opens datagrams as `open` does, a few at a time, and gives each back in its turn, with the
    /// note that came with it.
    pub fn open_each<'a, T>(
        &self,
        datagrams: impl Iterator<Item = (T, &'a mut [u8])>,
    ) -> impl Iterator<Item = (T, Opened<'a>)> {
        let mut datagrams = datagrams.fuse();
        let groups = iter::from_fn(move || {
            let group = array::from_fn(|_| datagrams.next());
            group[0].is_some().then(|| self.open_group(group))
        });
        groups.flatten().flatten()
    }

    fn open_group<'a, T>(
        &self,
        group: [Option<(T, &'a mut [u8])>; LANES],
    ) -> [Option<(T, Opened<'a>)>; LANES] {
        if !matches!(self.protection, Protection::Simple) {
            return group.map(|entry| entry.map(|(note, datagram)| (note, self.open(datagram))));
        }
        let mut bodies: [&mut [u8]; LANES] = Default::default();
        let mut lanes = bodies.iter_mut();
        // Opened as far as can be said before the seals are looked at.
        let entries = group.map(|entry| {
            let lane = lanes.next();
            entry.map(|(note, datagram)| match (self.body(datagram), lane) {
                (Ok(body), Some(lane)) => {
                    *lane = body;
                    (note, DropReason::BadSeal)
                }
                _ => (note, DropReason::TooShort),
            })
        });
        let mut opened = simple::open_all(bodies).into_iter();
        entries.map(|entry| {
            let segments = opened.next().flatten();
            entry.map(|(note, otherwise)| (note, segments.ok_or(otherwise)))
        })
    }

    /// What stands behind the header.
    fn body<'a>(&self, datagram: &'a mut [u8]) -> Result<&'a mut [u8], DropReason> {
        // mKCP: a datagram must be longer than header, nonce and tag.
        if datagram.len() <= self.overhead {
            return Err(DropReason::TooShort);
        }
        // mKCP: the header is skipped unread.
        datagram
            .get_mut(self.header_len..)
            .ok_or(DropReason::TooShort)
    }
}

// Sealing.
impl PacketCodec {
    /// Begins a datagram at the end of `buffer`: reserves what stands in front of the segments.
    /// Returns where the datagram begins; the caller appends segments, then calls `seal`, or `end`
    /// and later `seal_train`.
    ///
    /// Nothing else happens: to give the datagram up, truncate the buffer to where it began.
    pub fn begin(&self, buffer: &mut Vec<u8>) -> usize {
        let start = buffer.len();
        let reserved = self.header_len.saturating_add(self.protection.prefix_len());
        buffer.resize(start.saturating_add(reserved), 0);
        start
    }

    /// Ends a datagram: reserves what stands behind the segments.
    pub fn end(&self, buffer: &mut Vec<u8>) {
        let reserved = self.protection.suffix_len();
        buffer.resize(buffer.len().saturating_add(reserved), 0);
    }

    /// Ends and seals the datagram that `begin` began at `start`.
    ///
    /// # Errors
    ///
    /// The buffer is truncated to `start` then: what could not be sealed must not be sent.
    pub fn seal(
        &self,
        buffer: &mut Vec<u8>,
        start: usize,
        nonces: &mut NonceSource,
    ) -> Result<(), SealError> {
        let length = buffer.len();
        self.end(buffer);
        let sealed = match buffer.get_mut(start..) {
            Some(datagram) if datagram.len() >= self.overhead => {
                self.seal_train(datagram, datagram.len(), nonces)
            }
            _ => Err(Unsealed {
                from: 0,
                error: SealError::NotBegun,
            }),
        };
        sealed.map_err(|unsealed| {
            buffer.truncate(start.min(length));
            unsealed.error
        })
    }

    /// Seals datagrams that begin every `stride` bytes and were ended: header, nonce, seal, tag.
    ///
    /// # Errors
    ///
    /// What could not be sealed must not be sent: the first such datagram and all behind it.
    pub fn seal_train(
        &self,
        train: &mut [u8],
        stride: usize,
        nonces: &mut NonceSource,
    ) -> Result<(), Unsealed> {
        let stride = stride.max(1);
        let mut from = 0_usize;
        for group in train.chunks_mut(stride.saturating_mul(LANES)) {
            let mut failed = Ok(());
            let mut bodies: [&mut [u8]; LANES] = Default::default();
            for (lane, datagram) in bodies.iter_mut().zip(group.chunks_mut(stride)) {
                match self.seal_header(datagram, nonces) {
                    Ok(body) => *lane = body,
                    Err(error) => {
                        failed = Err(Unsealed { from, error });
                        break;
                    }
                }
                from = from.saturating_add(stride);
            }
            if matches!(self.protection, Protection::Simple) {
                simple::seal_all(bodies);
            }
            failed?;
        }
        Ok(())
    }

    /// Writes the header and seals as far as is done for each datagram alone. Returns what stands
    /// behind the header.
    fn seal_header<'a>(
        &self,
        datagram: &'a mut [u8],
        nonces: &mut NonceSource,
    ) -> Result<&'a mut [u8], SealError> {
        let (header, body) = datagram
            .split_at_mut_checked(self.header_len)
            .ok_or(SealError::NotBegun)?;
        self.header.write(header, nonces)?;
        match &self.protection {
            Protection::None => {}
            Protection::Simple => simple::write_length(body)?,
            Protection::Aes128Gcm(key) => key.seal(nonces.draw()?, body)?,
        }
        Ok(body)
    }
}

impl Protection {
    fn new(security: &Security) -> Self {
        match security {
            Security::None => Self::None,
            Security::Simple => Self::Simple,
            Security::Aes128Gcm(seed) => Self::Aes128Gcm(Box::new(Aes128Gcm::new(seed.as_bytes()))),
        }
    }

    /// Bytes between the packet header and the segments.
    fn prefix_len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Simple => simple::OVERHEAD,
            Self::Aes128Gcm(_) => NONCE_LEN,
        }
    }

    /// Bytes behind the segments.
    fn suffix_len(&self) -> usize {
        match self {
            Self::None | Self::Simple => 0,
            Self::Aes128Gcm(_) => aead::TAG_LEN,
        }
    }
}

/// Where in a train, and why, sealing stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsealed {
    /// Everything before this byte is sealed.
    pub from: usize,
    pub error: SealError,
}

/// Why a datagram could not be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealError {
    /// The operating system gave no random bytes.
    NoRandomness,
    /// The segments are longer than any datagram.
    TooLong,
    /// The buffer holds no datagram that `begin` began at this place. A defect of the caller.
    NotBegun,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRandomness => "the system's random generator failed",
            Self::TooLong => "segments too long for a datagram",
            Self::NotBegun => "no datagram was begun here",
        })
    }
}

impl error::Error for SealError {}

#[cfg(test)]
mod tests;
