//! Datagrams as nobody's connection sends them.

use std::io;

use mkcp::{
    Config,
    internal::{
        packet::{NonceSource, PacketCodec},
        wire::{Command, CommandKind, Data, Options as Flags, Segment, SeqNum, Timestamp},
    },
};

/// Seals segments.
pub(crate) struct Sealer {
    codec: PacketCodec,
    nonces: NonceSource,
    buffer: Vec<u8>,
}

impl Sealer {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            codec: PacketCodec::new(config),
            nonces: NonceSource::default(),
            buffer: Vec::new(),
        }
    }

    /// A datagram of these segments.
    ///
    /// # Errors
    ///
    /// They are too long for one, or the system gives no random numbers.
    pub(crate) fn seal<'a>(
        &mut self,
        segments: impl IntoIterator<Item = Segment<'a>>,
    ) -> io::Result<&[u8]> {
        self.buffer.clear();
        let start = self.codec.begin(&mut self.buffer);
        for segment in segments {
            segment.encode(&mut self.buffer);
        }
        self.codec
            .seal(&mut self.buffer, start, &mut self.nonces)
            .map_err(io::Error::other)?;
        Ok(&self.buffer)
    }

    /// What is in a datagram, if it is one.
    pub(crate) fn open<'a>(&self, datagram: &'a mut [u8]) -> Option<&'a [u8]> {
        self.codec.open(datagram).ok()
    }
}

/// Data of a peer for which everything before `sending_next` has been acknowledged.
pub(crate) fn data(
    conversation: u16,
    number: u32,
    sending_next: u32,
    payload: &[u8],
) -> Segment<'_> {
    Segment::Data(Data {
        conversation,
        options: Flags::NONE,
        timestamp: Timestamp::ZERO,
        number: SeqNum::new(number),
        sending_next: SeqNum::new(sending_next),
        payload,
    })
}

pub(crate) fn command(conversation: u16, kind: CommandKind) -> Segment<'static> {
    Segment::Command(Command {
        conversation,
        kind,
        options: Flags::NONE,
        sending_next: SeqNum::ZERO,
        receiving_next: SeqNum::ZERO,
        peer_rto: 100,
    })
}
