//! Handshakes: when they run, what they agree on, and why they fail.

use std::{
    io::{ErrorKind, Read, Write},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use mkcp::{
    Stream,
    tls::{
        self, TlsError,
        rustls::{
            self, CipherSuite, ClientConfig, ClientConnection, ProtocolVersion, ServerConfig,
            pki_types::ServerName, server::WebPkiClientVerifier,
        },
    },
};

use crate::{
    identity::Identity,
    support::{
        IDENTITY, NAME, SHORT, assert_serves, client_for, connect, established_pair, listener,
        name, pair, provider, tls_error, within_deadline,
    },
};

#[test]
fn both_sides_know_what_was_agreed_on() {
    within_deadline(|| {
        let (client, server) = pair();
        assert!(client.tls_info().is_none() && server.tls_info().is_none());
        let other = thread::spawn(move || server.handshake().map(|()| server));
        client.handshake().unwrap();
        let server = other.join().unwrap().unwrap();
        for info in [client.tls_info().unwrap(), server.tls_info().unwrap()] {
            assert_eq!(info.version, ProtocolVersion::TLSv1_3);
            assert_eq!(info.cipher_suite, CipherSuite::TLS13_AES_256_GCM_SHA384);
            assert_eq!(info.alpn_protocol.as_deref(), Some(&b"h2"[..]));
            assert_eq!(info.server_name.as_deref(), Some(NAME));
        }
        assert_eq!(
            client.peer_certificates().as_deref(),
            Some(std::slice::from_ref(IDENTITY.certificate.der()))
        );
        assert_eq!(server.peer_certificates(), None);
        assert_eq!(server.alpn_protocol().as_deref(), Some(&b"h2"[..]));
    });
}

#[test]
fn clients_show_certificates_if_asked() {
    within_deadline(|| {
        let client_identity = Identity::new(&[NAME]);
        let trusted = Arc::new(client_identity.roots());
        let verifier = WebPkiClientVerifier::builder_with_provider(trusted, provider());
        let server_config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                vec![IDENTITY.certificate.der().clone()],
                IDENTITY.private_key(),
            )
            .unwrap();
        let server_config = Arc::new(server_config);
        let client_config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(IDENTITY.roots())
            .with_client_auth_cert(
                vec![client_identity.certificate.der().clone()],
                client_identity.private_key(),
            )
            .unwrap();

        let (ours, theirs) = Stream::pair(&mkcp::Config::default()).unwrap();
        let client = tls::connect(ours, Arc::new(client_config), name()).unwrap();
        let server = tls::accept(theirs, server_config.clone()).unwrap();
        let other = thread::spawn(move || server.handshake().map(|()| server.peer_certificates()));
        client.handshake().unwrap();
        assert_eq!(
            other.join().unwrap().unwrap().unwrap(),
            [client_identity.certificate.der().clone()]
        );

        let (ours, theirs) = Stream::pair(&mkcp::Config::default()).unwrap();
        let client = tls::connect(ours, IDENTITY.client(), name()).unwrap();
        let server = tls::accept(theirs, server_config).unwrap();
        let other = thread::spawn(move || server.handshake());
        // In TLS 1.3 a client learns of this when it reads.
        let error = (&client).read(&mut [0; 1]).unwrap_err();
        assert!(error.to_string().contains("CertificateRequired"), "{error}");
        let error = other.join().unwrap().unwrap_err();
        assert!(
            error.to_string().contains("peer sent no certificates"),
            "{error}"
        );
    });
}

/// What client and server say of a handshake that fails, and that the listener serves others.
fn failures(config: Arc<ClientConfig>, name: ServerName<'static>) -> (String, String) {
    let listener = listener();
    let stream = Stream::connect(listener.local_addr().unwrap()).unwrap();
    let client = tls::connect(stream, config, name).unwrap();
    let client = thread::spawn(move || client.handshake().unwrap_err());
    let (server, _) = listener.accept().unwrap();
    let theirs = (&server).read(&mut [0; 1]).unwrap_err();
    let ours = client.join().unwrap();
    for error in [&ours, &theirs] {
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
        assert!(
            matches!(tls_error(error), Some(TlsError::Handshake(_))),
            "{error:?}"
        );
    }
    assert!(
        (&server).write(b"x").unwrap_err().to_string() == theirs.to_string(),
        "and stays"
    );
    assert_serves(&listener);
    let stats = listener.tls_stats();
    assert_eq!(
        (stats.handshakes_failed, stats.handshakes_completed),
        (1, 1)
    );
    (ours.to_string(), theirs.to_string())
}

#[test]
fn an_unknown_certificate_is_refused() {
    within_deadline(|| {
        let stranger = Identity::new(&[NAME]);
        let (ours, theirs) = failures(stranger.client(), name());
        assert!(ours.contains("invalid peer certificate"), "{ours}");
        assert!(
            theirs.starts_with("TLS handshake failed: received fatal alert: "),
            "{theirs}"
        );
    });
}

#[test]
fn a_wrong_name_is_refused() {
    within_deadline(|| {
        let other = "other.test".try_into().unwrap();
        let (ours, theirs) = failures(IDENTITY.client(), other);
        assert!(ours.contains("other.test"), "{ours}");
        assert!(theirs.contains("alert"), "{theirs}");
    });
}

#[test]
fn an_expired_certificate_is_refused() {
    within_deadline(|| {
        let mut parameters = rcgen::CertificateParams::new([NAME.to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2001, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2002, 1, 1);
        let expired = Identity::of(parameters);
        let (ours, theirs) = Stream::pair(&mkcp::Config::default()).unwrap();
        let client = tls::connect(ours, expired.client(), name()).unwrap();
        let server = tls::accept(theirs, expired.server()).unwrap();
        let other = thread::spawn(move || server.handshake().unwrap_err());
        let error = client.handshake().unwrap_err();
        assert!(error.to_string().contains("expired"), "{error}");
        let error = other.join().unwrap();
        assert!(error.to_string().contains("CertificateExpired"), "{error}");
    });
}

#[test]
fn no_common_protocol_is_refused() {
    within_deadline(|| {
        let mut config = (*IDENTITY.client()).clone();
        config.alpn_protocols = vec![b"smtp".to_vec()];
        let (ours, theirs) = failures(Arc::new(config), name());
        assert!(ours.contains("NoApplicationProtocol"), "{ours}");
        assert!(theirs.contains("known protocol"), "{theirs}");
    });
}

#[test]
fn a_key_of_another_certificate_is_refused_at_once() {
    let other = Identity::new(&[NAME]);
    let certificates = vec![IDENTITY.certificate.der().clone()];
    let error = tls::server_config(certificates, other.private_key()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn accept_does_not_wait_for_handshakes() {
    within_deadline(|| {
        let listener = listener();
        let address = listener.local_addr().unwrap();
        // These open sessions and say nothing that is TLS.
        let mut silent = Vec::new();
        for _ in 0..10 {
            let stream = Stream::connect(address).unwrap();
            (&stream).write_all(b"\x16").unwrap();
            silent.push(stream);
        }
        let held: Vec<_> = (0..10).map(|_| listener.accept().unwrap().0).collect();
        assert_serves(&listener);
        drop(held);
    });
}

#[test]
fn a_silent_client_is_given_up() {
    within_deadline(|| {
        let listener = listener();
        listener.set_handshake_timeout(Some(SHORT));
        let silent = Stream::connect(listener.local_addr().unwrap()).unwrap();
        (&silent).write_all(b"\x16\x03\x01").unwrap();
        let (server, _) = listener.accept().unwrap();
        let started = Instant::now();
        let error = (&server).read(&mut [0; 1]).unwrap_err();
        assert!(started.elapsed() >= SHORT);
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(tls_error(&error), Some(&TlsError::HandshakeTimeout(SHORT)));
        assert_eq!(
            error.to_string(),
            "TLS handshake not completed within 200ms"
        );
        let again = (&server).write(b"x").unwrap_err();
        assert_eq!(tls_error(&again), Some(&TlsError::HandshakeTimeout(SHORT)));
        assert_eq!(listener.tls_stats().handshakes_timed_out, 1);
        // The session is gone, and the client knows.
        silent
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let error = (&silent).read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_read_timeout_during_the_handshake_can_be_followed_by_another_try() {
    within_deadline(|| {
        let listener = listener();
        let client = connect(&listener);
        client.get_ref().set_read_timeout(Some(SHORT)).unwrap();
        let error = (&client).read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(tls_error(&error), None);
        let (server, _) = listener.accept().unwrap();
        let other = thread::spawn(move || (&server).write_all(b"x").map(|()| server));
        client.get_ref().set_read_timeout(None).unwrap();
        let mut byte = [0; 1];
        (&client).read_exact(&mut byte).unwrap();
        drop(other.join().unwrap().unwrap());
    });
}

#[test]
fn sessions_are_resumed() {
    within_deadline(|| {
        let config = IDENTITY.client();
        let server_config = IDENTITY.server();
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let (ours, theirs) = Stream::pair(&mkcp::Config::default()).unwrap();
            let client = tls::connect(ours, config.clone(), name()).unwrap();
            let server = tls::accept(theirs, server_config.clone()).unwrap();
            let other = thread::spawn(move || {
                (&server).write_all(b"x").unwrap();
                server.close().unwrap();
            });
            // The tickets come with the first bytes.
            let mut bytes = Vec::new();
            (&client).read_to_end(&mut bytes).unwrap();
            other.join().unwrap();
            kinds.push(client.tls_info().unwrap().resumed);
        }
        assert_eq!(kinds, [false, true]);
    });
}

#[test]
fn tls_1_2_works_too() {
    within_deadline(|| {
        let config = client_for(&[&rustls::version::TLS12]);
        let listener = listener();
        let stream = Stream::connect(listener.local_addr().unwrap()).unwrap();
        let client = tls::connect(stream, config, name()).unwrap();
        let other = thread::spawn(move || {
            let (server, _) = listener.accept().unwrap();
            std::io::copy(&mut &server, &mut &server).unwrap();
        });
        (&client).write_all(&[5; 100_000]).unwrap();
        let mut echo = vec![0; 100_000];
        (&client).read_exact(&mut echo).unwrap();
        assert_eq!(client.tls_info().unwrap().version, ProtocolVersion::TLSv1_2);
        client.close().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn keys_may_be_refreshed_at_any_time() {
    within_deadline(|| {
        let (client, server) = established_pair();
        for round in 0..3_u8 {
            client.refresh_traffic_keys().unwrap();
            (&client).write_all(&[round; 1000]).unwrap();
            let mut got = [0; 1000];
            (&server).read_exact(&mut got).unwrap();
            assert_eq!(got, [round; 1000]);
            (&server).write_all(&got).unwrap();
            (&client).read_exact(&mut got).unwrap();
        }
    });
}

#[test]
fn early_data_is_declined() {
    within_deadline(|| {
        let mut server_config = (*IDENTITY.server()).clone();
        server_config.max_early_data_size = 1000;
        let server_config = Arc::new(server_config);
        let mut client_config = (*IDENTITY.client()).clone();
        client_config.enable_early_data = true;
        let client_config = Arc::new(client_config);
        let mut offered = Vec::new();
        for _ in 0..2 {
            let (ours, theirs) = Stream::pair(&mkcp::Config::default()).unwrap();
            let server = tls::accept(theirs, server_config.clone()).unwrap();
            let other = thread::spawn(move || {
                (&server).write_all(b"x").unwrap();
                let mut got = Vec::new();
                (&server).read_to_end(&mut got).map(|_| got)
            });
            let mut client = ClientConnection::new(client_config.clone(), name()).unwrap();
            let early = client
                .early_data()
                .map(|mut early| early.write(b"early").unwrap());
            offered.push(early.is_some());
            client.complete_io(&mut &ours).unwrap();
            assert!(!client.is_early_data_accepted());
            let mut io = &ours;
            let mut stream = rustls::Stream::new(&mut client, &mut io);
            stream.write_all(b"late").unwrap();
            stream.read_exact(&mut [0; 1]).unwrap();
            client.send_close_notify();
            client.complete_io(&mut io).unwrap();
            assert_eq!(other.join().unwrap().unwrap(), b"late");
        }
        assert_eq!(offered, [false, true]);
    });
}
