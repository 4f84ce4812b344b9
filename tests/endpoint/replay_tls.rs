//! A session of TLS, recorded and said once more. Without a seed nothing but TLS is in the way:
//! anybody can read the stream, and send it again in datagrams of his own.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::UdpSocket,
    sync::Arc,
    thread,
};

use mkcp::{
    Config, Listener, Stream,
    internal::{
        packet::PacketCodec,
        wire::{Segment, Segments},
    },
    tls::{
        self, TlsListener, TlsStream,
        rustls::{
            ClientConfig, SupportedProtocolVersion,
            crypto::ring,
            version::{TLS12, TLS13},
        },
    },
};

use super::{
    PATIENCE,
    identity::Identity,
    relay::Relay,
    replay::{Tape, stop},
    small,
};

const NAME: &str = "server.test";
const REQUEST: &[u8] = b"pay once";

/// A server, and clients that speak one version with it.
struct Shop {
    listener: TlsListener,
    client: Arc<ClientConfig>,
}

impl Shop {
    fn open(version: &'static SupportedProtocolVersion) -> Self {
        let identity = Identity::new(&[NAME]);
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let client = client.with_protocol_versions(&[version]).unwrap();
        let client = client.with_root_certificates(identity.roots());
        let listener: Listener = small().bind("127.0.0.1:0").unwrap().listen().unwrap();
        Self {
            listener: TlsListener::new(listener, identity.server()),
            client: Arc::new(client.with_no_client_auth()),
        }
    }

    /// What an honest client sends in a session, datagram by datagram.
    fn record(&self) -> Vec<Vec<u8>> {
        let recorder = Relay::towards(self.listener.local_addr().unwrap(), Tape::default());
        let stream = Stream::connect(recorder.address).unwrap();
        let name = NAME.try_into().unwrap();
        let mut client = tls::connect(stream, Arc::clone(&self.client), name).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                client.write_all(REQUEST).unwrap();
                client.read_exact(&mut [0; 2]).unwrap();
                client.close().unwrap();
            });
            let mut server = self.accept();
            let mut request = [0; REQUEST.len()];
            server.read_exact(&mut request).unwrap();
            assert_eq!(request, *REQUEST);
            server.write_all(b"ok").unwrap();
            assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
        });
        stop(recorder).0
    }

    fn accept(&self) -> TlsStream {
        let (stream, _) = self.listener.accept_timeout(PATIENCE).unwrap();
        stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Nothing comes of the next session but an error.
    fn expect_nothing(&self, mut stream: TlsStream) {
        let mut bytes = Vec::new();
        let error = stream.read_to_end(&mut bytes).unwrap_err();
        println!("{error}");
        assert_eq!(bytes, b"");
        let stats = self.listener.tls_stats();
        assert_eq!(
            (stats.handshakes_completed, stats.handshakes_failed),
            (1, 1)
        );
    }
}

/// The bytes of a stream, out of the datagrams that carried it.
fn stream_in(tape: Vec<Vec<u8>>) -> Vec<u8> {
    let codec = PacketCodec::new(&Config::default());
    let mut payloads = BTreeMap::new();
    for mut datagram in tape {
        for segment in Segments::new(codec.open(&mut datagram).unwrap()) {
            if let Segment::Data(data) = segment {
                payloads.insert(data.number.get(), data.payload.to_vec());
            }
        }
    }
    payloads.into_values().flatten().collect()
}

#[test]
fn the_datagrams_of_a_recorded_tls_session_yield_nothing() {
    for version in [&TLS12, &TLS13] {
        let shop = Shop::open(version);
        let tape = shop.record();
        let elsewhere = UdpSocket::bind("127.0.0.1:0").unwrap();
        elsewhere
            .connect(shop.listener.local_addr().unwrap())
            .unwrap();
        let (first, others) = tape.split_first().unwrap();
        elsewhere.send(first).unwrap();
        let stream = shop.accept();
        assert_eq!(
            stream.get_ref().peer_addr().unwrap(),
            elsewhere.local_addr().unwrap()
        );
        for datagram in others {
            elsewhere.send(datagram).unwrap();
        }
        shop.expect_nothing(stream);
    }
}

/// Numbers and acknowledgements of the recorded datagrams do not fit what the server says now.
/// These do.
#[test]
fn the_bytes_of_a_recorded_tls_session_yield_nothing() {
    for version in [&TLS12, &TLS13] {
        let shop = Shop::open(version);
        let recorded = stream_in(shop.record());
        let mut parrot = Stream::connect(shop.listener.local_addr().unwrap()).unwrap();
        parrot.write_all(&recorded).unwrap();
        let stream = shop.accept();
        shop.expect_nothing(stream);
    }
}
