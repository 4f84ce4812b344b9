//! Certificates, connected pairs and deadlines.

use std::{
    io::{self, Read, Write},
    sync::{Arc, LazyLock},
    thread,
    time::Duration,
};

use mkcp::{
    Config, Listener, Stream,
    tls::{
        self, TlsError, TlsListener, TlsStream,
        rustls::{
            ClientConfig, ClientConnection, SupportedProtocolVersion,
            crypto::{CryptoProvider, ring},
            pki_types::ServerName,
        },
    },
};

use crate::{deadline, identity::Identity};

/// Long enough for any thread to get its turn; reached only when a test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
/// Long enough to be measured, short enough to wait for.
pub(crate) const SHORT: Duration = Duration::from_millis(200);

pub(crate) const NAME: &str = "server.test";

/// A certificate for [`NAME`], and its key.
pub(crate) static IDENTITY: LazyLock<Identity> = LazyLock::new(|| Identity::new(&[NAME]));

/// Trusts [`IDENTITY`], and speaks these versions only.
pub(crate) fn client_for(versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider());
    let builder = builder.with_protocol_versions(versions).unwrap();
    let builder = builder.with_root_certificates(IDENTITY.roots());
    Arc::new(builder.with_no_client_auth())
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The first record of a client.
pub(crate) fn client_hello() -> Vec<u8> {
    let mut client = ClientConnection::new(IDENTITY.client(), name()).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

pub(crate) fn name() -> ServerName<'static> {
    NAME.try_into().unwrap()
}

/// A client and its server, before their handshake.
pub(crate) fn pair() -> (TlsStream, TlsStream) {
    pair_with(&Config::default())
}

pub(crate) fn pair_with(config: &Config) -> (TlsStream, TlsStream) {
    let (client, server) = Stream::pair(config).unwrap();
    (
        tls::connect(client, IDENTITY.client(), name()).unwrap(),
        tls::accept(server, IDENTITY.server()).unwrap(),
    )
}

/// A client and its server, with the handshake behind them.
pub(crate) fn established_pair() -> (TlsStream, TlsStream) {
    let (client, server) = pair();
    thread::scope(|scope| {
        scope.spawn(|| server.handshake().unwrap());
        client.handshake().unwrap();
    });
    (client, server)
}

pub(crate) fn listener() -> TlsListener {
    TlsListener::new(Listener::bind("127.0.0.1:0").unwrap(), IDENTITY.server())
}

pub(crate) fn connect(listener: &TlsListener) -> TlsStream {
    let stream = Stream::connect(listener.local_addr().unwrap()).unwrap();
    tls::connect(stream, IDENTITY.client(), name()).unwrap()
}

/// Proves that a listener still serves others.
pub(crate) fn assert_serves(listener: &TlsListener) {
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = connect(listener);
            client.write_all(b"still there?").unwrap();
            client.read_exact(&mut [0; 3]).unwrap();
        });
        loop {
            // Others may have left sessions in the queue.
            let (mut stream, _) = listener.accept_timeout(DEADLINE).unwrap();
            stream.get_ref().set_read_timeout(Some(SHORT)).unwrap();
            let mut question = [0; 12];
            if stream.read_exact(&mut question).is_ok() {
                assert_eq!(&question, b"still there?");
                stream.write_all(b"yes").unwrap();
                return stream.close().unwrap();
            }
        }
    });
}

pub(crate) fn tls_error(error: &io::Error) -> Option<&TlsError> {
    error.get_ref()?.downcast_ref()
}

/// Fails instead of hanging.
pub(crate) fn within_deadline(case: impl FnOnce() + Send + 'static) {
    deadline::within(DEADLINE, case);
}
