//! Datagrams made by hand.

use mkcp::{
    Config,
    internal::{
        packet::{NonceSource, PacketCodec, simple},
        wire::{Ack, Command, CommandKind, Data, Numbers, Options, Segment, SeqNum, Timestamp},
    },
};

/// The conversation unless something else is said.
pub(super) const CONVERSATION: u16 = 7;

/// Who sends: a socket of the client, in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Speaker {
    pub(super) socket: usize,
    pub(super) conversation: u16,
}

/// Segments, and what is done to them on their way.
#[derive(Clone, Debug, Default)]
pub(super) struct Datagram {
    plaintext: Vec<u8>,
    damage: Option<Damage>,
    /// Which of the client's sockets sends it.
    pub(super) socket: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Damage {
    /// Sealed as a peer with another seed would.
    WrongSeal,
    /// One bit is changed.
    Flip(Region),
    /// The checksum is right and the length is not. Without a seed only.
    WrongLength,
}

/// A part of a datagram.
#[derive(Clone, Copy, Debug)]
pub(super) enum Region {
    Header,
    /// The nonce, or the checksum.
    Front,
    /// Where the seedless seal keeps the length.
    Length,
    Segments,
    /// The last byte: the tag, where there is one.
    Back,
}

/// A Data segment whose sender holds everything from 0 on.
pub(super) fn data(number: u32, payload: &str) -> Datagram {
    data_after(number, 0, payload)
}

/// A Data segment whose sender holds everything from `sending_next` on.
pub(super) fn data_after(number: u32, sending_next: u32, payload: &str) -> Datagram {
    Datagram::of(Segment::Data(Data {
        conversation: CONVERSATION,
        options: Options::NONE,
        timestamp: Timestamp::new(100 + number % 100),
        number: SeqNum::new(number),
        sending_next: SeqNum::new(sending_next),
        payload: payload.as_bytes(),
    }))
}

/// An ACK of a peer that has received everything before `receiving_next`.
pub(super) fn ack(receiving_next: u32) -> Datagram {
    Datagram::of(Segment::Ack(Ack {
        conversation: CONVERSATION,
        options: Options::NONE,
        receiving_window: SeqNum::new(receiving_next + 100),
        receiving_next: SeqNum::new(receiving_next),
        timestamp: Timestamp::new(1),
        numbers: Numbers::EMPTY,
    }))
}

/// A Ping with these two fields.
pub(super) fn ping(sending_next: u32, receiving_next: u32) -> Datagram {
    command(CommandKind::Ping, sending_next, receiving_next)
}

/// The Terminate of a peer that sent everything before `sending_next` and received nothing.
pub(super) fn terminate(sending_next: u32) -> Datagram {
    command(CommandKind::Terminate, sending_next, 0)
}

pub(super) fn command(kind: CommandKind, sending_next: u32, receiving_next: u32) -> Datagram {
    Datagram::of(Segment::Command(Command {
        conversation: CONVERSATION,
        kind,
        options: Options::NONE,
        sending_next: SeqNum::new(sending_next),
        receiving_next: SeqNum::new(receiving_next),
        peer_rto: 100,
    }))
}

impl Datagram {
    fn of(segment: Segment<'_>) -> Self {
        let mut plaintext = Vec::new();
        segment.encode(&mut plaintext);
        Self {
            plaintext,
            ..Self::default()
        }
    }

    /// In another conversation; segments that are added later keep theirs.
    pub(super) fn conversation(mut self, conversation: u16) -> Self {
        self.plaintext[..2].copy_from_slice(&conversation.to_be_bytes());
        self
    }

    /// From another of the client's sockets.
    pub(super) fn through_socket(self, socket: usize) -> Self {
        Self { socket, ..self }
    }

    /// With the Close option.
    pub(super) fn closing(self) -> Self {
        self.marked(Options::CLOSE)
    }

    /// With these options; segments that are added later keep theirs.
    pub(super) fn marked(mut self, options: Options) -> Self {
        self.plaintext[3] |= options.bits();
        self
    }

    /// With the segments of another one behind its own.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.plaintext.extend(other.plaintext);
        self
    }

    /// Without its last bytes.
    pub(super) fn cut(mut self, bytes: usize) -> Self {
        self.plaintext.truncate(self.plaintext.len() - bytes);
        self
    }

    pub(super) fn damaged(mut self, damage: Damage) -> Self {
        self.damage = Some(damage);
        self
    }

    /// As bytes for a server with this configuration.
    pub(super) fn seal(&self, config: &Config, nonces: &mut NonceSource) -> Vec<u8> {
        let mut datagram = match self.damage {
            Some(Damage::WrongSeal) => {
                let other = Config::builder().header(config.header().clone());
                let other = other.seed("another seed").build().unwrap();
                self.seal_by(&PacketCodec::new(&other), nonces)
            }
            _ => self.seal_by(&PacketCodec::new(config), nonces),
        };
        match self.damage {
            Some(Damage::Flip(region)) => {
                let at = region.within(&datagram, config);
                datagram[at] ^= 0x10;
            }
            Some(Damage::WrongLength) => self.lie_about_length(&mut datagram),
            Some(Damage::WrongSeal) | None => {}
        }
        datagram
    }

    fn seal_by(&self, codec: &PacketCodec, nonces: &mut NonceSource) -> Vec<u8> {
        let mut datagram = Vec::new();
        let start = codec.begin(&mut datagram);
        datagram.extend(&self.plaintext);
        codec.seal(&mut datagram, start, nonces).unwrap();
        datagram
    }

    /// Seals once more, with a length that is one too small.
    fn lie_about_length(&self, datagram: &mut [u8]) {
        let header = datagram.len() - simple::OVERHEAD - self.plaintext.len();
        let body = &mut datagram[header..];
        let length = self.plaintext.len() as u16 - 1;
        body[4..6].copy_from_slice(&length.to_be_bytes());
        body[simple::OVERHEAD..].copy_from_slice(&self.plaintext);
        simple::seal_all([body, &mut [], &mut [], &mut []]);
    }
}

impl Region {
    /// A byte of this region.
    fn within(self, datagram: &[u8], config: &Config) -> usize {
        let header = mkcp::internal::config::derive::header_len(config.header());
        match self {
            Self::Header => header - 1,
            Self::Front => header + 1,
            Self::Length => header + 5,
            Self::Segments => datagram.len() - 20,
            Self::Back => datagram.len() - 1,
        }
    }
}
