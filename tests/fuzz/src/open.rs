//! Datagrams as they come: whole, altered on the way, or from somewhere else. The fuzzer cannot
//! guess a seal, so its bytes are sealed here first.

use arbitrary::Arbitrary;
use mkcp::{
    Config, DropReason, Security,
    internal::{
        config::derive,
        packet::{NonceSource, PacketCodec},
    },
};

use super::settings::{Disguise, Protection};

#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    disguise: Disguise<'a>,
    protection: Protection<'a>,
    changes: Vec<Change>,
    bytes: &'a [u8],
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Change {
    Flip { at: u16, bits: u8 },
    Cut { to: u16 },
    Append(u8),
}

impl Change {
    fn apply(self, datagram: &mut Vec<u8>) {
        match self {
            Self::Flip { at, bits } => {
                if let Some(byte) = datagram.get_mut(usize::from(at)) {
                    *byte ^= bits;
                }
            }
            Self::Cut { to } => datagram.truncate(to.into()),
            Self::Append(byte) => datagram.push(byte),
        }
    }
}

pub fn run(input: Input<'_>) {
    let header = input.disguise.header();
    let header_len = derive::header_len(&header);
    let builder = Config::builder().header(header);
    let Ok(config) = builder.security(input.protection.security()).build() else {
        return;
    };
    let codec = PacketCodec::new(&config);
    let whole = sealed(&codec, input.bytes);
    assert_eq!(whole.len(), input.bytes.len() + codec.overhead());
    match codec.open(&mut whole.clone()) {
        Ok(opened) => assert_eq!(opened, input.bytes),
        Err(reason) => assert!(input.bytes.is_empty() && reason == DropReason::TooShort),
    }

    let mut altered = whole.clone();
    for change in &input.changes {
        change.apply(&mut altered);
    }
    // A header is skipped unread.
    let is_body_altered = altered.get(header_len..) != whole.get(header_len..);
    if is_body_altered && matches!(config.security(), Security::Aes128Gcm(_)) {
        assert!(codec.open(&mut altered.clone()).is_err(), "a forgery");
    }

    let foreign = input.bytes.to_vec();
    for datagram in [&altered, &foreign] {
        check_opened(&codec, header_len, config.security(), datagram);
    }
    check_together(&codec, &[whole, altered, foreign]);
}

fn sealed(codec: &PacketCodec, segments: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    let start = codec.begin(&mut datagram);
    datagram.extend(segments);
    codec
        .seal(&mut datagram, start, &mut NonceSource::default())
        .expect("the segments fit into a datagram");
    datagram
}

/// What opens has the length that it must have. Without a nonce there is but one body for it.
fn check_opened(codec: &PacketCodec, header_len: usize, security: &Security, datagram: &[u8]) {
    let mut opened = datagram.to_vec();
    let is_short = datagram.len() <= codec.overhead();
    match codec.open(&mut opened) {
        Ok(segments) => {
            assert_eq!(segments.len() + codec.overhead(), datagram.len());
            if !matches!(security, Security::Aes128Gcm(_)) {
                let again = sealed(codec, segments);
                assert_eq!(again[header_len..], datagram[header_len..]);
            }
        }
        Err(DropReason::TooShort) => assert!(is_short),
        Err(reason) => assert!(!is_short && reason == DropReason::BadSeal),
    }
}

/// Side by side they open as one by one.
fn check_together(codec: &PacketCodec, datagrams: &[Vec<u8>]) {
    let (mut singly, mut together) = (datagrams.to_vec(), datagrams.to_vec());
    let expected = singly.iter_mut().map(|datagram| codec.open(datagram));
    let noted = (0..).zip(together.iter_mut().map(Vec::as_mut_slice));
    let opened = codec.open_each::<u32>(noted);
    assert!(opened.eq((0..).zip(expected)));
}
