//! Connected streams, with and without TLS inside.

use std::sync::{Arc, LazyLock};

use mkcp::{
    Config, Header, Stream,
    tls::{
        self, TlsStream,
        rustls::{
            ClientConfig, RootCertStore, ServerConfig,
            pki_types::{CertificateDer, PrivateKeyDer},
        },
    },
};
use mkcp_ecosystem::Duplex;

pub const HOST: &str = "localhost";

/// What carries the bytes of a scenario.
pub trait Transport: 'static {
    type Stream: Duplex;
    /// Of the URIs that lead here.
    const SCHEME: &'static str;

    fn client(stream: Stream) -> Self::Stream;
    fn server(stream: Stream) -> Self::Stream;

    /// A client and its server.
    fn pair() -> (Self::Stream, Self::Stream) {
        let (client, server) = Stream::pair(&config()).unwrap();
        (Self::client(client), Self::server(server))
    }
}

/// Streams as they are. They cannot end one direction alone, so every scenario marks its ends in
/// band, by a length or by what its protocol says at the end.
#[derive(Debug)]
pub struct Plain;

impl Transport for Plain {
    type Stream = Stream;
    const SCHEME: &'static str = "http";

    fn client(stream: Stream) -> Stream {
        stream
    }

    fn server(stream: Stream) -> Stream {
        stream
    }
}

#[derive(Debug)]
pub struct Tls;

impl Transport for Tls {
    type Stream = TlsStream;
    const SCHEME: &'static str = "https";

    fn client(stream: Stream) -> TlsStream {
        tls::connect(stream, IDENTITY.client(), HOST.try_into().unwrap()).unwrap()
    }

    fn server(stream: Stream) -> TlsStream {
        tls::accept(stream, IDENTITY.server()).unwrap()
    }
}

/// Disguised and sealed: what people use.
pub fn config() -> Config {
    let builder = Config::builder().seed("ecosystem").header(Header::Srtp);
    builder.build().unwrap()
}

/// A certificate for [`HOST`] that vouches for itself, and its key.
#[derive(Debug)]
pub struct Identity {
    certificate: rcgen::Certificate,
    key: rcgen::KeyPair,
}

pub static IDENTITY: LazyLock<Identity> = LazyLock::new(|| {
    let names = [HOST.to_owned(), "127.0.0.1".to_owned()];
    let certified = rcgen::generate_simple_self_signed(names).unwrap();
    Identity {
        certificate: certified.cert,
        key: certified.signing_key,
    }
});

impl Identity {
    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// Trusts this identity and nobody else.
    pub fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let mut config = Arc::unwrap_or_clone(tls::client_config(roots).unwrap());
        config.alpn_protocols.clear();
        Arc::new(config)
    }

    fn server(&self) -> Arc<ServerConfig> {
        let certificates: Vec<CertificateDer<'_>> = vec![self.certificate.der().clone()];
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        tls::server_config(certificates, key).unwrap()
    }
}
