//! The TLS of the system (on Linux OpenSSL), both ends, inside a stream.

use std::{
    io::{Read, Write},
    thread,
};

use native_tls::{Certificate, TlsAcceptor, TlsConnector, TlsStream};

use crate::{
    pattern::pattern,
    transport::{HOST, IDENTITY, Transport},
};

const LENGTH: usize = 1024 * 1024;

pub fn native_tls_runs_inside<T: Transport>() {
    with_server::<T>(
        |mut server| {
            let mut received = vec![0; LENGTH];
            server.read_exact(&mut received).unwrap();
            server.write_all(&received).unwrap();
        },
        |mut client| {
            let sent = pattern(LENGTH, 1);
            client.write_all(&sent).unwrap();
            let mut received = vec![0; LENGTH];
            client.read_exact(&mut received).unwrap();
            assert!(received == sent, "the bytes differ");
        },
    );
}

pub fn native_tls_ends_with_close_notify<T: Transport>() {
    with_server::<T>(
        |mut server| {
            let mut received = Vec::new();
            server.read_to_end(&mut received).unwrap();
            assert_eq!(received, b"the last words");
            // One direction has ended, the other goes on: TLS tells the end itself.
            server.write_all(b"well understood").unwrap();
            server.shutdown().unwrap();
        },
        |mut client| {
            client.write_all(b"the last words").unwrap();
            client.shutdown().unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).unwrap();
            assert_eq!(answer, b"well understood");
        },
    );
}

fn with_server<T: Transport>(
    server_does: impl FnOnce(TlsStream<T::Stream>) + Send,
    client_does: impl FnOnce(TlsStream<T::Stream>),
) {
    let (client, server) = T::pair();
    thread::scope(|scope| {
        scope.spawn(|| server_does(acceptor().accept(server).unwrap()));
        client_does(connector().connect(HOST, client).unwrap());
    });
}

fn acceptor() -> TlsAcceptor {
    let (certificate, key) = (IDENTITY.certificate.pem(), IDENTITY.key.serialize_pem());
    let identity = native_tls::Identity::from_pkcs8(certificate.as_bytes(), key.as_bytes());
    TlsAcceptor::new(identity.unwrap()).unwrap()
}

/// Trusts [`IDENTITY`].
fn connector() -> TlsConnector {
    let certificate = Certificate::from_pem(IDENTITY.certificate.pem().as_bytes()).unwrap();
    TlsConnector::builder()
        .add_root_certificate(certificate)
        .build()
        .unwrap()
}
