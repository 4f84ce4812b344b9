//! Reading the segments of a datagram.

use super::{
    Ack, COMMAND_ACK, COMMAND_DATA, Command, CommandKind, Data, Numbers, Options, PREFIX_LEN,
    Segment, SeqNum, Timestamp,
};

/// The segments of a datagram, up to the first that does not parse.
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    rest: &'a [u8],
}

impl<'a> Segments<'a> {
    /// Reads a datagram's plaintext.
    pub fn new(datagram: &'a [u8]) -> Self {
        Self { rest: datagram }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        let mut reader = Reader(self.rest);
        let segment = reader.segment()?;
        self.rest = reader.0;
        Some(segment)
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn segment(&mut self) -> Option<Segment<'a>> {
        if self.0.len() < PREFIX_LEN {
            return None;
        }
        let conversation = self.u16()?;
        let command = self.u8()?;
        let options = Options::from_bits(self.u8()?);
        Some(match command {
            COMMAND_DATA => Segment::Data(self.data(conversation, options)?),
            COMMAND_ACK => Segment::Ack(self.ack(conversation, options)?),
            other => Segment::Command(Command {
                conversation,
                kind: CommandKind::from_byte(other),
                options,
                sending_next: self.number()?,
                receiving_next: self.number()?,
                peer_rto: self.u32()?,
            }),
        })
    }

    fn data(&mut self, conversation: u16, options: Options) -> Option<Data<'a>> {
        // mKCP: a byte must follow the fixed part, so an empty payload parses only if another
        // segment comes after it.
        const FIXED: usize = 14;
        if self.0.len() <= FIXED {
            return None;
        }
        let timestamp = self.timestamp()?;
        let number = self.number()?;
        let sending_next = self.number()?;
        let length = self.u16()?;
        let payload = self.bytes(usize::from(length))?;
        Some(Data {
            conversation,
            options,
            timestamp,
            number,
            sending_next,
            payload,
        })
    }

    fn ack(&mut self, conversation: u16, options: Options) -> Option<Ack<'a>> {
        let receiving_window = self.number()?;
        let receiving_next = self.number()?;
        let timestamp = self.timestamp()?;
        let count = self.u8()?;
        let numbers = Numbers::Wire(self.bytes(usize::from(count).saturating_mul(4))?);
        Some(Ack {
            conversation,
            options,
            receiving_window,
            receiving_next,
            timestamp,
            numbers,
        })
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn number(&mut self) -> Option<SeqNum> {
        self.u32().map(SeqNum::new)
    }

    fn timestamp(&mut self) -> Option<Timestamp> {
        self.u32().map(Timestamp::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(datagram: &[u8]) -> (Vec<Segment<'_>>, usize) {
        let mut segments = Segments::new(datagram);
        let read: Vec<_> = segments.by_ref().collect();
        (read, segments.rest().len())
    }

    const PING: [u8; 16] = [0x12, 0x34, 3, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 100];

    #[test]
    fn an_empty_data_segment_parses_only_if_another_segment_follows() {
        let mut datagram = vec![0x12, 0x34, 1, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(read(&datagram), (vec![], 18));
        datagram.extend(PING);
        let (segments, rest) = read(&datagram);
        assert_eq!((segments.len(), rest), (2, 0));
        assert!(matches!(
            segments[0],
            Segment::Data(Data { payload: b"", .. })
        ));
    }

    #[test]
    fn reading_stops_at_the_first_segment_that_does_not_parse() {
        for cut in 1..16 {
            let mut datagram = PING.to_vec();
            datagram.extend(&PING[..cut]);
            let (segments, rest) = read(&datagram);
            assert_eq!((segments.len(), rest), (1, cut));
        }
    }

    #[test]
    fn an_unknown_command_keeps_its_byte() {
        let mut datagram = PING;
        datagram[2] = 77;
        datagram[3] = 0xff;
        let (segments, _) = read(&datagram);
        let Segment::Command(command) = segments[0] else {
            panic!("{segments:?}")
        };
        assert_eq!(command.kind, CommandKind::Unknown(77));
        assert!(command.options.contains(Options::CLOSE));
    }
}
