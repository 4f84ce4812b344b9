//! Segments as values, and how they are written.

use super::{
    ACK_OVERHEAD, COMMAND_ACK, COMMAND_DATA, COMMAND_LEN, COMMAND_PING, COMMAND_TERMINATE,
    DATA_OVERHEAD, SeqNum, Timestamp,
};

/// The option bits of a segment. Peers ignore those they do not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Options(u8);

impl Options {
    /// No option.
    pub const NONE: Self = Self(0);
    /// The sender's application has closed the stream in both directions.
    pub const CLOSE: Self = Self(1);
    /// Ours, ignored by Go peers: this Data segment is the last of the stream, or this Terminate
    /// comes after the last.
    pub const LAST: Self = Self(1 << 1);
    /// Ours, ignored by Go peers: the sender of this ACK or Data is one of ours. It compares
    /// numbers on a circle, so a stream to it may be longer than 2^32 segments; it acts at any time
    /// and not at ticks; and it keeps to the window that it is told.
    pub const WRAPS: Self = Self(1 << 2);
    /// Ours, ignored by Go peers: the sender is the end that opened the connection. Whoever gets a
    /// mark of its own is sent back what it said itself.
    pub const OPENER: Self = Self(1 << 3);
    /// The same of the end that accepted it.
    pub const ACCEPTOR: Self = Self(1 << 4);

    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    pub const fn bits(self) -> u8 {
        self.0
    }

    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One segment. A value that was read borrows from its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment<'a> {
    Data(Data<'a>),
    Ack(Ack<'a>),
    Command(Command),
}

/// A piece of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    pub conversation: u16,
    pub options: Options,
    /// The sender's clock at this transmission.
    pub timestamp: Timestamp,
    pub number: SeqNum,
    /// The lowest number that the sender still holds unacknowledged.
    pub sending_next: SeqNum,
    /// Never empty when sent; a read one can be.
    pub payload: &'a [u8],
}

/// An acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    pub conversation: u16,
    pub options: Options,
    /// The first number that would not be accepted: a limit, not a size.
    pub receiving_window: SeqNum,
    /// All numbers before this one have been received.
    pub receiving_next: SeqNum,
    /// The latest timestamp among the acknowledged segments.
    pub timestamp: Timestamp,
    /// Numbers that were received, in any order; at most 255.
    pub numbers: Numbers<'a>,
}

/// A segment without payload: Ping, Terminate, or one of an unknown kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    pub conversation: u16,
    pub kind: CommandKind,
    pub options: Options,
    /// The lowest number that the sender still holds unacknowledged.
    pub sending_next: SeqNum,
    /// All numbers before this one have been received.
    pub receiving_next: SeqNum,
    /// The sender's retransmission timeout in milliseconds.
    pub peer_rto: u32,
}

/// What a [`Command`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandKind {
    /// The connection is over.
    Terminate,
    /// Here are my fields.
    Ping,
    /// A command byte that nobody knows (4 to 255); it acts like a Ping.
    Unknown(u8),
}

impl CommandKind {
    pub(super) const fn from_byte(byte: u8) -> Self {
        match byte {
            COMMAND_TERMINATE => Self::Terminate,
            COMMAND_PING => Self::Ping,
            other => Self::Unknown(other),
        }
    }

    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Terminate => COMMAND_TERMINATE,
            Self::Ping => COMMAND_PING,
            Self::Unknown(byte) => byte,
        }
    }
}

/// The numbers of an ACK: those of a received one as they stand in the datagram, or a list.
#[derive(Clone, Copy, Debug)]
pub enum Numbers<'a> {
    /// Four bytes each, big-endian.
    Wire(&'a [u8]),
    List(&'a [SeqNum]),
}

impl<'a> Numbers<'a> {
    pub const EMPTY: Self = Numbers::List(&[]);

    pub fn len(self) -> usize {
        match self {
            Self::Wire(bytes) => bytes.len() / 4,
            Self::List(list) => list.len(),
        }
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    pub fn iter(self) -> impl Iterator<Item = SeqNum> + 'a {
        let (wire, list): (&[u8], &[SeqNum]) = match self {
            Self::Wire(bytes) => (bytes, &[]),
            Self::List(list) => (&[], list),
        };
        let read = wire
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&bytes| SeqNum::new(u32::from_be_bytes(bytes)));
        read.chain(list.iter().copied())
    }
}

impl PartialEq for Numbers<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Numbers<'_> {}

impl<'a> Segment<'a> {
    pub fn conversation(&self) -> u16 {
        match self {
            Segment::Data(data) => data.conversation,
            Segment::Ack(ack) => ack.conversation,
            Segment::Command(command) => command.conversation,
        }
    }

    pub fn options(&self) -> Options {
        match self {
            Segment::Data(data) => data.options,
            Segment::Ack(ack) => ack.options,
            Segment::Command(command) => command.options,
        }
    }

    /// How many bytes [`encode`](Self::encode) appends.
    pub fn encoded_len(&self) -> usize {
        match self {
            Segment::Data(data) => DATA_OVERHEAD.saturating_add(data.payload.len()),
            Segment::Ack(ack) => ACK_OVERHEAD.saturating_add(ack.numbers.len().saturating_mul(4)),
            Segment::Command(_) => COMMAND_LEN,
        }
    }

    /// Appends the segment. A payload is cut after 65535 bytes and a list after 255 numbers,
    /// which is what their length fields can say.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Segment::Data(data) => data.encode(out),
            Segment::Ack(ack) => ack.encode(out),
            Segment::Command(command) => command.encode(out),
        }
    }
}

fn prefix(out: &mut Vec<u8>, conversation: u16, command: u8, options: Options) {
    out.extend_from_slice(&conversation.to_be_bytes());
    out.extend_from_slice(&[command, options.bits()]);
}

impl Data<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        prefix(out, self.conversation, COMMAND_DATA, self.options);
        out.extend_from_slice(&self.timestamp.get().to_be_bytes());
        out.extend_from_slice(&self.number.get().to_be_bytes());
        out.extend_from_slice(&self.sending_next.get().to_be_bytes());
        let length = u16::try_from(self.payload.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        let sent = self.payload.get(..usize::from(length));
        out.extend_from_slice(sent.unwrap_or(self.payload));
    }
}

impl Ack<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        prefix(out, self.conversation, COMMAND_ACK, self.options);
        out.extend_from_slice(&self.receiving_window.get().to_be_bytes());
        out.extend_from_slice(&self.receiving_next.get().to_be_bytes());
        out.extend_from_slice(&self.timestamp.get().to_be_bytes());
        let count = u8::try_from(self.numbers.len()).unwrap_or(u8::MAX);
        out.push(count);
        for number in self.numbers.iter().take(usize::from(count)) {
            out.extend_from_slice(&number.get().to_be_bytes());
        }
    }
}

impl Command {
    fn encode(&self, out: &mut Vec<u8>) {
        prefix(out, self.conversation, self.kind.to_byte(), self.options);
        out.extend_from_slice(&self.sending_next.get().to_be_bytes());
        out.extend_from_slice(&self.receiving_next.get().to_be_bytes());
        out.extend_from_slice(&self.peer_rto.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(segment: Segment<'_>) -> String {
        let mut out = Vec::new();
        segment.encode(&mut out);
        assert_eq!(out.len(), segment.encoded_len());
        out.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn segments_are_written_as_upstream_writes_them() {
        let data = Data {
            conversation: 0x1234,
            options: Options::NONE,
            timestamp: Timestamp::new(1000),
            number: SeqNum::new(7),
            sending_next: SeqNum::new(5),
            payload: b"hello",
        };
        assert_eq!(
            encoded(Segment::Data(data)),
            "12340100000003e80000000700000005000568656c6c6f"
        );
        let numbers = [SeqNum::new(0x10), SeqNum::new(0x12)];
        let ack = Ack {
            conversation: 0x1234,
            options: Options::NONE,
            receiving_window: SeqNum::new(0x318),
            receiving_next: SeqNum::new(0x10),
            timestamp: Timestamp::new(1000),
            numbers: Numbers::List(&numbers),
        };
        assert_eq!(
            encoded(Segment::Ack(ack)),
            "123400000000031800000010000003e8020000001000000012"
        );
        let ping = Command {
            conversation: 0x1234,
            kind: CommandKind::Ping,
            options: Options::CLOSE,
            sending_next: SeqNum::new(1),
            receiving_next: SeqNum::new(2),
            peer_rto: 100,
        };
        assert_eq!(
            encoded(Segment::Command(ping)),
            "12340301000000010000000200000064"
        );
    }
}
