//! One datagram: the disguising packet header and the seal around the segments.
//!
//! ```text
//! | packet header | nonce         | sealed segments | tag           |   AES-128-GCM
//! | packet header | hash | length | masked segments |                   simple
//! | packet header | segments                                        |   none
//! ```
//!
//! Both directions work in place: [`PacketCodec::open`] in the receive buffer, and
//! [`PacketCodec::begin`] and [`PacketCodec::seal`] at the end of a send buffer that may already
//! hold other datagrams.
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

use std::{error, fmt};

use crate::{
    config::{Config, Security, derive},
    error::DropReason,
};

use aead::Aes128Gcm;
use header::HeaderWriter;

pub use nonce::NonceSource;

/// Opens and seals datagrams for one endpoint. Shared by all its threads.
#[derive(Debug)]
pub struct PacketCodec {
    header: HeaderWriter,
    header_len: usize,
    protection: Protection,
    overhead: usize,
}

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
    pub fn open<'a>(&self, datagram: &'a mut [u8]) -> Result<&'a [u8], DropReason> {
        // mKCP: a datagram must be longer than header, nonce and tag.
        if datagram.len() <= self.overhead {
            return Err(DropReason::TooShort);
        }
        // mKCP: the header is skipped unread.
        let (_, body) = datagram
            .split_at_mut_checked(self.header_len)
            .ok_or(DropReason::TooShort)?;
        match &self.protection {
            Protection::None => Ok(body),
            Protection::Simple => simple::open(body).ok_or(DropReason::BadSeal),
            Protection::Aes128Gcm(key) => key.open(body).ok_or(DropReason::BadSeal),
        }
    }

    /// Begins a datagram at the end of `buffer`: reserves what stands in front of the segments.
    /// Returns where the datagram begins; the caller appends segments, then calls `seal`.
    ///
    /// Nothing else happens: to give the datagram up, truncate the buffer to where it began.
    pub fn begin(&self, buffer: &mut Vec<u8>) -> usize {
        let start = buffer.len();
        let reserved = self.header_len.saturating_add(self.protection.prefix_len());
        buffer.resize(start.saturating_add(reserved), 0);
        start
    }

    /// Completes the datagram that `begin` began at `start`, in place: header, nonce, seal, tag.
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
        let sealed = self.seal_in_place(buffer, start, nonces);
        if sealed.is_err() {
            buffer.truncate(start);
        }
        sealed
    }

    fn seal_in_place(
        &self,
        buffer: &mut Vec<u8>,
        start: usize,
        nonces: &mut NonceSource,
    ) -> Result<(), SealError> {
        let (header, body) = buffer
            .get_mut(start..)
            .and_then(|datagram| datagram.split_at_mut_checked(self.header_len))
            .ok_or(SealError::NotBegun)?;
        self.header.write(header, nonces)?;
        match &self.protection {
            Protection::None => {}
            Protection::Simple => simple::seal(body)?,
            Protection::Aes128Gcm(key) => {
                let tag = key.seal(nonces.draw()?, body)?;
                buffer.extend_from_slice(&tag);
            }
        }
        Ok(())
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
            Self::Aes128Gcm(_) => aead::NONCE_LEN,
        }
    }
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
