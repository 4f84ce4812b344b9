//! TLS between two forwarders.

use std::{
    fs,
    io::{Read, Write},
    path::PathBuf,
};

use tempfile::TempDir;

use crate::{
    ending::assert_reset,
    payload::PAYLOAD,
    process::Chain,
    service::{self, exchange},
};

/// A certificate for `server.test` and its key, as files.
pub(crate) struct Identity {
    _folder: TempDir,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Identity {
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["server.test".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (
            folder.path().join("cert.pem"),
            folder.path().join("key.pem"),
        );
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        Self {
            _folder: folder,
            certificate,
            key,
        }
    }

    /// For the end that listens.
    pub(crate) fn server(&self) -> String {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        format!("tls=1&cert={certificate}&key={key}")
    }

    /// For the end that connects.
    pub(crate) fn client(&self) -> String {
        format!("tls=1&sni=server.test&ca={}", self.certificate.display())
    }
}

#[test]
fn tls_carries_20_mb_both_ways() {
    let identity = Identity::new();
    let (server, client) = (identity.server(), identity.client());
    let (server, client) = (
        format!("seed=s&header=dtls&{server}"),
        format!("seed=s&header=dtls&{client}"),
    );
    let chain = Chain::new(&server, &client, service::echo(), &[]);
    exchange(&chain.entry.connect(), &PAYLOAD.repeat(4));
}

#[test]
fn files_are_read_at_the_start_and_not_needed_later() {
    let identity = Identity::new();
    let (server, client) = (identity.server(), identity.client());
    let chain = Chain::new(&server, &client, service::echo(), &[]);
    drop(identity);
    exchange(&chain.entry.connect(), b"hello");
}

#[test]
fn a_client_that_trusts_anybody_trusts_anybody() {
    let client = "tls=1&insecure=1&sni=other.test&alpn=h2";
    let chain = Chain::new(&Identity::new().server(), client, service::echo(), &[]);
    exchange(&chain.entry.connect(), b"hello");
}

#[test]
fn a_server_that_is_not_trusted_ends_only_that_connection() {
    let (server, other) = (Identity::new(), Identity::new());
    let chain = Chain::new(&server.server(), &other.client(), service::echo(), &[]);
    for _ in 0..2 {
        assert_reset(&chain.entry.connect());
        chain
            .entry
            .wait_for_log(": TLS handshake failed: invalid peer certificate");
        chain
            .exit
            .wait_for_log(" failed: TLS handshake failed: received fatal alert");
    }
}

#[test]
fn a_peer_without_tls_gets_an_alert_and_does_not_reach_the_target() {
    let (target, reached) = service::serve(drop);
    let chain = Chain::new(&Identity::new().server(), "", target, &[]);
    let mut stream = chain.entry.connect();
    stream.write_all(b"this is no TLS record").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"\x15\x03"), "{answer:?}");
    chain.exit.wait_for_log(" failed: TLS handshake failed: ");
    reached.try_recv().unwrap_err();
}
