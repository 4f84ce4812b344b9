//! Laws of the wire format and of sealing, for inputs that proptest invents.
#![allow(clippy::unwrap_used)]

use std::cmp::Ordering;

use mkcp::{
    Config, DropReason, Header, Security, Seed,
    internal::{
        packet::{NonceSource, PacketCodec, header::HeaderWriter},
        wire::{
            Ack, Command, CommandKind, Data, Numbers, Options, Segment, Segments, SeqNum, Timestamp,
        },
    },
};
use proptest::{collection::vec, prelude::*};

/// A segment that owns what a [`Segment`] borrows.
#[derive(Clone, Debug)]
enum Owned {
    Data(u16, u8, [u32; 3], Vec<u8>),
    Ack(u16, u8, [u32; 3], Vec<SeqNum>),
    Command(u16, u8, u8, [u32; 3]),
}

impl Owned {
    fn segment(&self) -> Segment<'_> {
        match self {
            Self::Data(conversation, options, [timestamp, number, next], payload) => {
                Segment::Data(Data {
                    conversation: *conversation,
                    options: Options::from_bits(*options),
                    timestamp: Timestamp::new(*timestamp),
                    number: SeqNum::new(*number),
                    sending_next: SeqNum::new(*next),
                    payload,
                })
            }
            Self::Ack(conversation, options, [window, next, timestamp], numbers) => {
                Segment::Ack(Ack {
                    conversation: *conversation,
                    options: Options::from_bits(*options),
                    receiving_window: SeqNum::new(*window),
                    receiving_next: SeqNum::new(*next),
                    timestamp: Timestamp::new(*timestamp),
                    numbers: Numbers::List(numbers),
                })
            }
            Self::Command(conversation, options, byte, [sending, receiving, rto]) => {
                Segment::Command(Command {
                    conversation: *conversation,
                    kind: match byte {
                        2 => CommandKind::Terminate,
                        3 => CommandKind::Ping,
                        other => CommandKind::Unknown(*other),
                    },
                    options: Options::from_bits(*options),
                    sending_next: SeqNum::new(*sending),
                    receiving_next: SeqNum::new(*receiving),
                    peer_rto: *rto,
                })
            }
        }
    }
}

fn segment() -> impl Strategy<Value = Owned> {
    let front = || (any::<u16>(), any::<u8>(), any::<[u32; 3]>());
    prop_oneof![
        // An empty payload is never sent; at the end of a datagram it does not parse.
        (front(), vec(any::<u8>(), 1..300)).prop_map(
            |((conversation, options, fields), payload)| {
                Owned::Data(conversation, options, fields, payload)
            }
        ),
        (front(), vec(any::<u32>().prop_map(SeqNum::new), 0..=255)).prop_map(
            |((conversation, options, fields), numbers)| {
                Owned::Ack(conversation, options, fields, numbers)
            }
        ),
        (front(), 2_u8..).prop_map(|((conversation, options, fields), byte)| {
            Owned::Command(conversation, options, byte, fields)
        }),
    ]
}

/// Bytes that begin as a segment does, with a length or count that often fits.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    (any::<u16>(), 0_u8..5, vec(any::<u8>(), 0..80)).prop_map(
        |(conversation, command, mut rest)| {
            for (at, limit) in [(13, 2), (14, 60)] {
                if let Some(byte) = rest.get_mut(at) {
                    *byte %= limit;
                }
            }
            [&conversation.to_be_bytes()[..], &[command], &rest].concat()
        },
    )
}

fn header() -> impl Strategy<Value = Header> {
    prop_oneof![
        Just(Header::None),
        Just(Header::Srtp),
        Just(Header::Utp),
        Just(Header::WechatVideo),
        Just(Header::Dtls),
        Just(Header::Wireguard),
        "[a-z]{1,20}(\\.[a-z]{1,20}){0,3}".prop_map(Header::Dns),
    ]
}

fn security() -> impl Strategy<Value = Security> {
    prop_oneof![Just(Security::None), Just(Security::Simple), aes_128_gcm()]
}

fn aes_128_gcm() -> impl Strategy<Value = Security> {
    vec(any::<u8>(), 0..40).prop_map(|seed| Security::Aes128Gcm(Seed::new(seed)))
}

fn codec(security: impl Strategy<Value = Security>) -> impl Strategy<Value = PacketCodec> {
    (header(), security).prop_map(|(header, security)| {
        let config = Config::builder().header(header).security(security);
        PacketCodec::new(&config.build().unwrap())
    })
}

fn sealed(codec: &PacketCodec, plain: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    let start = codec.begin(&mut datagram);
    datagram.extend(plain);
    codec
        .seal(&mut datagram, start, &mut NonceSource::default())
        .unwrap();
    datagram
}

/// A writer in a known state.
fn header_writer(header: &Header) -> HeaderWriter {
    match header {
        Header::Srtp => HeaderWriter::srtp(7),
        Header::Utp => HeaderWriter::utp(7),
        Header::WechatVideo => HeaderWriter::wechat_video(7),
        Header::Dtls => HeaderWriter::dtls(7, 0, 17),
        header => HeaderWriter::new(header),
    }
}

/// A number, often one near the wrap.
fn seq_num() -> impl Strategy<Value = SeqNum> {
    let near = any::<i8>().prop_map(|offset| u32::from_ne_bytes(i32::from(offset).to_ne_bytes()));
    prop_oneof![near, any::<u32>()].prop_map(SeqNum::new)
}

/// A distance for which there is a before and an after.
const HALF: u32 = 1 << 31;

proptest! {
    #[test]
    fn what_is_written_is_read(segments in vec(segment(), 0..6)) {
        let mut datagram = Vec::new();
        for segment in &segments {
            let before = datagram.len();
            segment.segment().encode(&mut datagram);
            prop_assert_eq!(datagram.len() - before, segment.segment().encoded_len());
        }
        let mut read = Segments::new(&datagram);
        for segment in &segments {
            prop_assert_eq!(read.next(), Some(segment.segment()));
        }
        prop_assert_eq!(read.next(), None);
        prop_assert_eq!(read.rest(), b"");
    }

    #[test]
    fn what_is_read_of_noise_is_written_alike(datagram in noise()) {
        let mut read = Segments::new(&datagram);
        let mut written = Vec::new();
        for segment in read.by_ref() {
            segment.encode(&mut written);
        }
        // So nothing that is read is longer than what it was read from.
        written.extend(read.rest());
        prop_assert_eq!(written, datagram);
    }

    #[test]
    fn cut_datagrams_read_as_a_prefix(segments in vec(segment(), 1..4), cut: prop::sample::Index) {
        let mut datagram = Vec::new();
        for segment in &segments {
            segment.segment().encode(&mut datagram);
        }
        let mut read = Segments::new(&datagram[..cut.index(datagram.len())]);
        let count = read.by_ref().zip(&segments).filter(|(a, b)| *a == b.segment()).count();
        prop_assert!(count < segments.len());
        prop_assert_eq!(read.next(), None);
    }

    #[test]
    fn opening_noise_never_panics(
        codec in codec(security()),
        mut datagram in vec(any::<u8>(), 0..200),
    ) {
        let length = datagram.len();
        let overhead = codec.overhead();
        match codec.open(&mut datagram) {
            Ok(plain) => prop_assert_eq!(plain.len() + overhead, length),
            Err(DropReason::TooShort) => prop_assert!(length <= overhead),
            Err(reason) => prop_assert_eq!(reason, DropReason::BadSeal),
        }
    }

    #[test]
    fn what_is_sealed_opens(codec in codec(security()), plain in vec(any::<u8>(), 1..1500)) {
        let mut datagram = sealed(&codec, &plain);
        prop_assert_eq!(datagram.len(), codec.overhead() + plain.len());
        prop_assert_eq!(codec.open(&mut datagram), Ok(&plain[..]));
    }

    #[test]
    fn datagrams_open_together_as_one_by_one(
        codec in codec(security()),
        plains in vec((vec(any::<u8>(), 1..200), 0_u8..4), 0..=9),
        equal: bool,
        noise in vec(any::<u8>(), 0..50),
    ) {
        let mut datagrams: Vec<Vec<u8>> = plains
            .iter()
            .map(|(plain, fate)| {
                let plain = if equal { &plains[0].0 } else { plain };
                let mut datagram = sealed(&codec, plain);
                match fate {
                    0 => datagram.clone_from(&noise),
                    1 => *datagram.last_mut().unwrap() ^= 1,
                    _ => {}
                }
                datagram
            })
            .collect();
        let mut copies = datagrams.clone();
        let expected: Vec<_> = copies.iter_mut().map(|datagram| codec.open(datagram)).collect();
        let together = datagrams.iter_mut().map(Vec::as_mut_slice);
        let opened: Vec<_> = codec.open_each((0..).zip(together)).collect();
        prop_assert_eq!(opened, (0..).zip(expected).collect::<Vec<(u32, _)>>());
    }

    #[test]
    fn a_train_is_sealed_as_its_datagrams_one_by_one(
        (header, security) in (header(), security()),
        count in 0..=9_usize,
        plain in vec(any::<u8>(), 1..200),
        last in any::<prop::sample::Index>(),
        random in vec(any::<u8>(), 9 * 14),
    ) {
        // Packet headers count, so each way needs a codec of its own in the same state.
        let config = Config::builder().header(header.clone()).security(security);
        let config = config.build().unwrap();
        let codec = || PacketCodec::with_header(&config, header_writer(&header));
        let nonces = || NonceSource::starting_with(random.clone());
        let plains = (0..count).map(|i| match i + 1 == count {
            true => &plain[..=last.index(plain.len())],
            false => &plain[..],
        });

        let (singly, mut single_nonces, mut expected) = (codec(), nonces(), Vec::new());
        let (together, mut train) = (codec(), Vec::new());
        for plain in plains {
            let start = singly.begin(&mut expected);
            expected.extend(plain);
            singly.seal(&mut expected, start, &mut single_nonces).unwrap();
            together.begin(&mut train);
            train.extend(plain);
            together.end(&mut train);
        }
        let stride = plain.len() + together.overhead();
        prop_assert_eq!(together.seal_train(&mut train, stride, &mut nonces()), Ok(()));
        prop_assert_eq!(train, expected);
    }

    #[test]
    fn damage_never_gets_past_a_key(
        codec in codec(aes_128_gcm()),
        plain in vec(any::<u8>(), 1..100),
        at: prop::sample::Index,
        flip in 1_u8..,
    ) {
        let mut datagram = sealed(&codec, &plain);
        // Nonce, ciphertext and tag; only the header may be anything.
        let header = codec.overhead() - 28;
        let at = header + at.index(datagram.len() - header);
        datagram[at] ^= flip;
        prop_assert_eq!(codec.open(&mut datagram), Err(DropReason::BadSeal));
    }

    #[test]
    fn numbers_on_a_circle_are_ordered_by_distance(a in seq_num(), distance in 1..HALF) {
        let b = a.plus(distance);
        prop_assert!(a.precedes(b) && !b.precedes(a) && !a.precedes(a));
        prop_assert_eq!(b.minus(distance), a);
        prop_assert_eq!((b.since(a), a.since(b), a.since(a)), (Some(distance), None, Some(0)));
        prop_assert_eq!((a.latest(b), b.latest(a)), (b, b));
        prop_assert_eq!((a.earliest(b), b.earliest(a)), (a, a));
        prop_assert_eq!((a.serial_cmp(b), b.serial_cmp(a)), (Ordering::Less, Ordering::Greater));
        prop_assert_eq!(a.serial_cmp(a), Ordering::Equal);
    }

    #[test]
    fn numbers_of_one_window_sort(start in seq_num(), offsets in vec(0..HALF, 0..50)) {
        let mut numbers: Vec<SeqNum> = offsets.iter().map(|&offset| start.plus(offset)).collect();
        numbers.sort_by(|a, b| a.serial_cmp(*b));
        let mut offsets = offsets;
        offsets.sort_unstable();
        let sorted: Vec<u32> = numbers.iter().filter_map(|number| number.since(start)).collect();
        prop_assert_eq!(sorted, offsets);
    }

    #[test]
    fn an_echo_of_small_timestamps_is_their_maximum(times in vec(0..HALF - 1, 0..20)) {
        let take = |echo: Timestamp, &time| echo.take(Timestamp::new(time));
        let echo = times.iter().fold(Timestamp::ZERO, take);
        prop_assert_eq!(echo.get(), times.into_iter().max().unwrap_or(0));
    }
}
