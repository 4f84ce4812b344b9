use std::{collections::BTreeSet, thread};

use super::*;
use crate::config::{ConfigBuilder, Header};

const HEADERS: [&str; 7] = [
    "none",
    "srtp",
    "utp",
    "wechat-video",
    "dtls",
    "wireguard",
    "dns",
];

fn configs() -> impl Iterator<Item = Config> {
    let securities: [fn(ConfigBuilder) -> ConfigBuilder; 4] = [
        |config| config.security(Security::None),
        |config| config.security(Security::Simple),
        |config| config.seed(""),
        |config| config.seed("a secret"),
    ];
    HEADERS.into_iter().flat_map(move |name| {
        let header: Header = name.parse().unwrap();
        securities.map(|secure| {
            secure(Config::builder().header(header.clone()))
                .build()
                .unwrap()
        })
    })
}

fn sealed(codec: &PacketCodec, segments: &[u8]) -> Vec<u8> {
    let mut buffer = Vec::new();
    let start = codec.begin(&mut buffer);
    buffer.extend(segments);
    codec
        .seal(&mut buffer, start, &mut NonceSource::default())
        .unwrap();
    buffer
}

#[test]
fn what_is_sealed_opens_and_has_the_overhead_that_was_said() {
    for config in configs() {
        let codec = PacketCodec::new(&config);
        for length in [1, 16, 17, 1300, 65000] {
            let segments: Vec<u8> = (0..length).map(|i: u32| i.to_le_bytes()[0]).collect();
            let mut datagram = sealed(&codec, &segments);
            assert_eq!(
                datagram.len(),
                segments.len() + codec.overhead(),
                "{config:?}"
            );
            assert_eq!(codec.open(&mut datagram), Ok(&segments[..]), "{config:?}");
        }
    }
}

#[test]
fn a_datagram_no_longer_than_its_overhead_is_too_short() {
    for config in configs() {
        let codec = PacketCodec::new(&config);
        for length in 0..=codec.overhead() {
            let opened = codec.open(&mut vec![0; length]).map(<[u8]>::to_vec);
            assert_eq!(opened, Err(DropReason::TooShort), "{config:?}");
        }
        let mut empty = sealed(&codec, b"");
        assert_eq!(
            codec.open(&mut empty),
            Err(DropReason::TooShort),
            "{config:?}"
        );
    }
}

#[test]
fn headers_of_the_same_length_understand_each_other() {
    let codec = |header: Header| {
        let config = Config::builder().header(header).seed("x").build();
        PacketCodec::new(&config.unwrap())
    };
    let segments = vec![7; 100];
    let datagram = sealed(&codec(Header::Srtp), &segments);
    let opened = |header| {
        codec(header)
            .open(&mut datagram.clone())
            .map(<[u8]>::to_vec)
    };
    assert_eq!(opened(Header::Wireguard), Ok(segments));
    assert_eq!(opened(Header::Dtls), Err(DropReason::BadSeal));
}

#[test]
fn damage_behind_the_header_is_refused_if_there_is_a_seal() {
    for config in configs().filter(|config| *config.security() != Security::None) {
        let codec = PacketCodec::new(&config);
        let datagram = sealed(&codec, b"segments");
        for at in derive::header_len(config.header())..datagram.len() {
            let mut damaged = datagram.clone();
            damaged[at] ^= 0x10;
            assert_eq!(
                codec.open(&mut damaged),
                Err(DropReason::BadSeal),
                "{config:?} {at}"
            );
        }
    }
}

#[test]
fn datagrams_are_sealed_one_after_the_other_in_one_buffer() {
    for config in configs() {
        let codec = PacketCodec::new(&config);
        let mut nonces = NonceSource::default();
        let mut buffer = b"before".to_vec();
        let bounds: Vec<usize> = (0..5)
            .map(|i| {
                let start = codec.begin(&mut buffer);
                buffer.extend([i; 100]);
                codec.seal(&mut buffer, start, &mut nonces).unwrap();
                start
            })
            .collect();
        assert!(buffer.starts_with(b"before"));
        for (i, start) in (0..5).zip(bounds) {
            let length = 100 + codec.overhead();
            let opened = codec.open(&mut buffer[start..start + length]);
            assert_eq!(opened, Ok(&[i; 100][..]), "{config:?}");
        }
    }
}

#[test]
fn what_is_sealed_of_a_train_is_said() {
    let codec = PacketCodec::new(&Config::default());
    let stride = codec.overhead() + 65_536;
    let mut train = vec![0; 5 * 100];
    assert_eq!(
        codec.seal_train(&mut train, 100, &mut NonceSource::default()),
        Ok(())
    );
    let mut train = vec![0; 5 * stride];
    let from_the_start = Unsealed {
        from: 0,
        error: SealError::TooLong,
    };
    assert_eq!(
        codec.seal_train(&mut train, stride, &mut NonceSource::default()),
        Err(from_the_start)
    );
    // The last datagram of a train may be shorter, here too short to have been begun.
    let mut train = vec![0; 5 * 100 + 3];
    let the_last = Unsealed {
        from: 500,
        error: SealError::NotBegun,
    };
    assert_eq!(
        codec.seal_train(&mut train, 100, &mut NonceSource::default()),
        Err(the_last)
    );
    for datagram in train[..500].chunks_mut(100) {
        assert_eq!(
            codec.open(datagram).map(<[u8]>::len),
            Ok(100 - codec.overhead())
        );
    }
}

#[test]
fn a_datagram_that_is_given_up_leaves_no_trace() {
    let config = Config::builder().header(Header::Srtp).build().unwrap();
    let codec = PacketCodec::with_header(&config, HeaderWriter::srtp(9));
    let mut buffer = vec![];
    let start = codec.begin(&mut buffer);
    buffer.truncate(start);
    assert_eq!(sealed(&codec, b"x")[..4], [0xb5, 0xe8, 0, 10]);
}

#[test]
fn what_cannot_be_sealed_is_removed() {
    let codec = PacketCodec::new(&Config::default());
    let mut nonces = NonceSource::default();
    let mut buffer = b"before".to_vec();
    let start = codec.begin(&mut buffer);
    buffer.resize(start + 70_000, 0);
    assert_eq!(
        codec.seal(&mut buffer, start, &mut nonces),
        Err(SealError::TooLong)
    );
    assert_eq!(buffer, b"before");
    for start in [3, 6, 7, usize::MAX] {
        assert_eq!(
            codec.seal(&mut buffer, start, &mut nonces),
            Err(SealError::NotBegun)
        );
    }
}

#[test]
fn threads_share_one_counter() {
    let config = Config::builder().header(Header::Dtls).build().unwrap();
    let codec = PacketCodec::with_header(&config, HeaderWriter::dtls(0, 0, 17));
    let seal_some = || -> Vec<[u8; 6]> {
        (0..1000)
            .map(|_| sealed(&codec, b"x")[7..13].try_into().unwrap())
            .collect()
    };
    let drawn: BTreeSet<[u8; 6]> = thread::scope(|scope| {
        let threads = [(); 4].map(|()| scope.spawn(seal_some));
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    // In the order of their sequence numbers, the records are those of a single thread.
    let alone = PacketCodec::with_header(&config, HeaderWriter::dtls(0, 0, 17));
    let expected = (0..4000).map(|_| <[u8; 6]>::try_from(&sealed(&alone, b"x")[7..13]).unwrap());
    assert!(drawn.into_iter().eq(expected));
}

#[test]
fn debug_shows_no_secret() {
    let config = Config::builder().seed("open sesame").build().unwrap();
    let text = format!(
        "{:?} {:?}",
        PacketCodec::new(&config),
        NonceSource::default()
    );
    assert!(text.contains("Aes128Gcm(..)"), "{text}");
    assert!(!text.contains("sesame") && text.len() < 200, "{text}");
}

#[test]
fn a_nonce_is_read_before_opening_and_only_where_there_is_one() {
    let config = Config::builder().header(Header::Srtp).seed("x");
    let codec = PacketCodec::new(&config.build().unwrap());
    let datagram = sealed(&codec, b"hello");
    let nonce = codec.nonce(&datagram);
    assert_eq!(nonce.unwrap()[..], datagram[4..16]);
    assert_ne!(nonce, codec.nonce(&sealed(&codec, b"hello")));
    assert_eq!(codec.nonce(&datagram[..15]), None);
    let seedless = PacketCodec::new(&Config::default());
    assert_eq!(seedless.nonce(&datagram), None);
}
