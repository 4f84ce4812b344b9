//! Connected streams, with and without TLS inside.

use std::sync::{Arc, LazyLock};

use mkcp::{
    Config, Header, Stream,
    tls::{self, TlsStream, rustls::ClientConfig},
};
use mkcp_ecosystem::Duplex;

use crate::identity::Identity;

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
        tls::connect(stream, tls_client(), HOST.try_into().unwrap()).unwrap()
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

/// A certificate for [`HOST`], and its key.
pub static IDENTITY: LazyLock<Identity> = LazyLock::new(|| Identity::new(&[HOST, "127.0.0.1"]));

/// Trusts [`IDENTITY`] and nobody else.
pub fn tls_client() -> Arc<ClientConfig> {
    let mut config = Arc::unwrap_or_clone(IDENTITY.client());
    config.alpn_protocols.clear();
    Arc::new(config)
}
