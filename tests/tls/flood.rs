//! Records of TLS 1.3 that carry nothing for the reader, without end. No client of rustls sends
//! them, so this one seals by hand.

use std::{
    io::{ErrorKind, Read, Write},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use mkcp::{
    Config, Stream,
    tls::{
        self, TlsError, TlsStream,
        rustls::{ClientConnection, KeyLog, version},
    },
};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf,
};

use crate::support::{IDENTITY, SHORT, client_for, name, tls_error, within_deadline};

const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 1];

/// Remembers the secret under which a client's records are sealed.
#[derive(Debug, Default)]
struct Secret(Mutex<Vec<u8>>);

impl KeyLog for Secret {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        if label == "CLIENT_TRAFFIC_SECRET_0" {
            *self.0.lock().unwrap() = secret.to_vec();
        }
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-Label of RFC 8446, 7.1, without a context.
fn expand(secret: &[u8], label: &str, length: usize) -> Vec<u8> {
    let label = format!("tls13 {label}");
    let sizes = [u16::try_from(length).unwrap().to_be_bytes()];
    let info = [&sizes[0][..], &[label.len() as u8], label.as_bytes(), &[0]].concat();
    let mut output = vec![0; length];
    let secret = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA384, secret);
    secret
        .expand(&[&info], Length(length))
        .unwrap()
        .fill(&mut output)
        .unwrap();
    output
}

/// A record of TLS 1.3 with AES-256-GCM (RFC 8446, 5.2).
fn seal(secret: &[u8], sequence: u64, kind: u8, content: &[u8]) -> Vec<u8> {
    let key = UnboundKey::new(&AES_256_GCM, &expand(secret, "key", 32)).unwrap();
    let mut nonce: [u8; 12] = expand(secret, "iv", 12).try_into().unwrap();
    for (byte, number) in nonce[4..].iter_mut().zip(sequence.to_be_bytes()) {
        *byte ^= number;
    }
    let mut sealed = [content, &[kind]].concat();
    let header = [APPLICATION_DATA, 3, 3, 0, (sealed.len() + 16) as u8];
    LessSafeKey::new(key)
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(header),
            &mut sealed,
        )
        .unwrap();
    [&header[..], &sealed].concat()
}

/// A server, and the stream and secret of its client.
fn setup() -> (TlsStream, Stream, Vec<u8>) {
    let secret = Arc::new(Secret::default());
    let mut config = Arc::unwrap_or_clone(client_for(&[&version::TLS13]));
    config.key_log = secret.clone();
    let (stream, server) = Stream::pair(&Config::default()).unwrap();
    let server = tls::accept(server, IDENTITY.server()).unwrap();
    let other = thread::spawn(move || server.handshake().map(|()| server));
    let mut client = ClientConnection::new(Arc::new(config), name()).unwrap();
    client.complete_io(&mut &stream).unwrap();
    let server = other.join().unwrap().unwrap();
    let secret = secret.0.lock().unwrap().clone();
    (server, stream, secret)
}

/// Key updates are counted by rustls until data comes, and empty data is data.
fn endless_updates(mut secret: Vec<u8>) -> Vec<u8> {
    let mut flood = Vec::new();
    for round in 0..10_000 {
        let sequence = u64::from(round > 0);
        flood.extend(seal(&secret, sequence, HANDSHAKE, &KEY_UPDATE));
        secret = expand(&secret, "traffic upd", 48);
        flood.extend(seal(&secret, 0, APPLICATION_DATA, b""));
    }
    flood
}

#[test]
fn records_without_data_do_not_keep_a_reader_for_ever() {
    within_deadline(|| {
        let (server, stream, secret) = setup();
        let flood = endless_updates(secret);
        assert!(flood.len() > 400_000);
        let writer = thread::spawn(move || (&stream).write_all(&flood).map(|()| stream));
        let error = (&server).read(&mut [0]).unwrap_err();
        println!("{error}");
        assert!(
            matches!(tls_error(&error), Some(TlsError::Session(_))),
            "{error:?}"
        );
        let _ = writer.join().unwrap();
    });
}

#[test]
fn records_without_data_do_not_extend_a_timeout() {
    within_deadline(|| {
        let (server, stream, secret) = setup();
        server.get_ref().set_read_timeout(Some(SHORT)).unwrap();
        let flood = endless_updates(secret);
        thread::scope(|scope| {
            scope.spawn(|| {
                // Slow enough that it goes on long after the timeout.
                for pair in flood.chunks(54).take(2000) {
                    if (&stream).write_all(pair).is_err() {
                        return;
                    }
                    thread::sleep(Duration::from_millis(5));
                }
            });
            let started = Instant::now();
            let error = (&server).read(&mut [0]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert!(started.elapsed() < 20 * SHORT, "{:?}", started.elapsed());
            server.get_ref().reset();
        });
    });
}
