//! One datagram: the disguising packet header and the seal around the segments.
#![warn(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects
)]

use crate::{config::Config, error::DropReason};

/// Opens and seals datagrams for one endpoint. Shared by all its threads.
#[derive(Debug)]
pub struct PacketCodec {}

/// Draws nonces from pages of system randomness, because asking for each costs ten times more.
/// Each sending thread has its own.
#[derive(Debug, Default)]
pub struct NonceSource {}

impl PacketCodec {
    /// For the header and security of this configuration.
    pub fn new(config: &Config) -> Self {
        let _ = config;
        todo!()
    }

    /// Bytes that header and seal add to the segments of a datagram.
    pub fn overhead(&self) -> usize {
        todo!()
    }

    /// Opens a datagram in place and returns its segments' bytes.
    pub fn open<'a>(&self, datagram: &'a mut [u8]) -> Result<&'a [u8], DropReason> {
        let _ = datagram;
        todo!()
    }

    /// Begins a datagram at the end of `buffer`: reserves what stands in front of the segments.
    /// Returns where the datagram begins; the caller appends segments, then calls `seal`.
    pub fn begin(&self, buffer: &mut Vec<u8>) -> usize {
        let _ = buffer;
        todo!()
    }

    /// Completes the datagram that `begin` began at `start`, in place: header, nonce, seal, tag.
    pub fn seal(&self, buffer: &mut Vec<u8>, start: usize, nonces: &mut NonceSource) {
        let _ = (buffer, start, nonces);
        todo!()
    }
}
