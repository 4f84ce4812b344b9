//! TLS 1.2 lets a client ask for another handshake at any time. rustls declines, and gives up on
//! those who insist. No client of rustls asks, so this one seals its records by hand.

use std::{
    io::{ErrorKind, Read, Write},
    sync::Arc,
    thread,
};

use mkcp::{
    Config, Stream,
    tls::{
        self, TlsError,
        rustls::{ClientConnection, ConnectionTrafficSecrets, version},
    },
};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::support::{IDENTITY, client_for, client_hello, name, tls_error, within_deadline};

const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// Seals records of TLS 1.2 with AES-256-GCM (RFC 5288).
struct Sealer {
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

impl Sealer {
    /// Completes a handshake over the stream and takes the keys out of rustls.
    fn after_handshake(mut stream: &Stream) -> Self {
        let mut config = Arc::unwrap_or_clone(client_for(&[&version::TLS12]));
        config.enable_secret_extraction = true;
        let mut client = ClientConnection::new(Arc::new(config), name()).unwrap();
        client.complete_io(&mut stream).unwrap();
        let (sequence, secrets) = client.dangerous_extract_secrets().unwrap().tx;
        let ConnectionTrafficSecrets::Aes256Gcm { key, iv } = secrets else {
            panic!("another cipher");
        };
        Self {
            key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).unwrap()),
            iv: iv.as_ref().try_into().unwrap(),
            sequence,
        }
    }

    fn seal(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let sequence = self.sequence.to_be_bytes();
        self.sequence += 1;
        let mut nonce = self.iv;
        for (byte, number) in nonce[4..].iter_mut().zip(sequence) {
            *byte ^= number;
        }
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        let aad = [&sequence[..], &[kind, 3, 3], &length].concat();
        let mut sealed = content.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(aad),
                &mut sealed,
            )
            .unwrap();
        let length = u16::try_from(8 + sealed.len()).unwrap().to_be_bytes();
        [&[kind, 3, 3][..], &length, &nonce[4..], &sealed].concat()
    }
}

#[test]
fn renegotiation_is_declined_and_those_who_insist_are_given_up() {
    within_deadline(|| {
        let (client, server) = Stream::pair(&Config::default()).unwrap();
        let server = tls::accept(server, IDENTITY.server()).unwrap();
        let other = thread::spawn(move || server.handshake().map(|()| server));
        let mut sealer = Sealer::after_handshake(&client);
        let server = other.join().unwrap().unwrap();
        let request = client_hello()[5..].to_vec();

        (&client)
            .write_all(&sealer.seal(HANDSHAKE, &request))
            .unwrap();
        (&client)
            .write_all(&sealer.seal(APPLICATION_DATA, b"data"))
            .unwrap();
        let mut data = [0; 4];
        (&server).read_exact(&mut data).unwrap();
        assert_eq!(&data, b"data");

        for _ in 0..100 {
            if (&client)
                .write_all(&sealer.seal(HANDSHAKE, &request))
                .is_err()
            {
                break;
            }
        }
        let error = (&server).read(&mut data).unwrap_err();
        println!("{error}");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(matches!(tls_error(&error), Some(TlsError::Session(_))));
    });
}
