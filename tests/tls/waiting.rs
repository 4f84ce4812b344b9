//! Calls that wait in the handshake: what they notice, and that each learns the true reason.

use std::{
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use mkcp::{
    Config, Stream,
    tls::{
        self, TlsError, TlsStream,
        rustls::{ServerConfig, server::WebPkiClientVerifier},
    },
};

use crate::{
    identity::Identity,
    support::{
        DEADLINE, IDENTITY, NAME, SHORT, listener, name, pair, provider, tls_error, within_deadline,
    },
};

/// A server whose client says nothing.
fn with_silent_client() -> (Stream, TlsStream) {
    let (client, server) = Stream::pair(&Config::default()).unwrap();
    (client, tls::accept(server, IDENTITY.server()).unwrap())
}

/// Runs `call` on a thread, lets it wait, then makes a change. Gives what it gave, and when.
fn waiting<R: Send>(call: impl FnOnce() -> R + Send, change: impl FnOnce()) -> (R, Duration) {
    thread::scope(|scope| {
        let call = scope.spawn(call);
        thread::sleep(SHORT);
        assert!(!call.is_finished(), "does not wait");
        let changed = Instant::now();
        change();
        (call.join().unwrap(), changed.elapsed())
    })
}

#[test]
fn all_who_share_a_failed_handshake_learn_why() {
    within_deadline(|| {
        for _ in 0..5 {
            let (_client, server) = with_silent_client();
            server.set_handshake_timeout(Some(SHORT));
            thread::scope(|scope| {
                let mut stream = &server;
                let writer = scope.spawn(move || stream.write(b"x").unwrap_err());
                let readers =
                    [0; 3].map(|_| scope.spawn(move || stream.read(&mut [0]).unwrap_err()));
                for thread in [writer].into_iter().chain(readers) {
                    let error = thread.join().unwrap();
                    let expected = TlsError::HandshakeTimeout(SHORT);
                    assert_eq!(tls_error(&error), Some(&expected), "{error:?}");
                }
            });
        }
    });
}

#[test]
fn options_reach_a_read_that_waits_in_the_handshake() {
    within_deadline(|| {
        type Change = fn(&TlsStream);
        let timeout: Change = |stream| stream.get_ref().set_read_timeout(Some(SHORT)).unwrap();
        let nonblocking: Change = |stream| stream.get_ref().set_nonblocking(true).unwrap();
        let limit: Change = |stream| stream.set_handshake_timeout(Some(SHORT));
        let changes = [
            (timeout, ErrorKind::TimedOut, false),
            (nonblocking, ErrorKind::WouldBlock, false),
            (limit, ErrorKind::TimedOut, true),
        ];
        for (change, kind, is_final) in changes {
            let (_client, server) = with_silent_client();
            server.set_handshake_timeout(None);
            let (error, _) = waiting(|| (&server).read(&mut [0]).unwrap_err(), || change(&server));
            assert_eq!(
                (error.kind(), tls_error(&error).is_some()),
                (kind, is_final)
            );
        }
    });
}

#[test]
fn a_write_does_not_obey_the_options_of_reads() {
    within_deadline(|| {
        let (_client, server) = with_silent_client();
        server.set_handshake_timeout(Some(3 * SHORT));
        server.get_ref().set_read_timeout(Some(SHORT)).unwrap();
        let error = (&server).write(b"x").unwrap_err();
        assert!(tls_error(&error).is_some(), "{error:?}");
    });
}

#[test]
fn the_limit_holds_for_those_who_wait_for_another_first() {
    within_deadline(|| {
        let limit = 10 * SHORT;
        let (_client, server) = with_silent_client();
        server.set_handshake_timeout(Some(limit));
        server.get_ref().set_read_timeout(Some(9 * SHORT)).unwrap();
        thread::scope(|scope| {
            let started = Instant::now();
            let mut stream = &server;
            let reader = scope.spawn(move || stream.read(&mut [0]));
            thread::sleep(SHORT / 10);
            let error = stream.write(b"x").unwrap_err();
            assert!(tls_error(&error).is_some(), "{error:?}");
            let took = started.elapsed();
            assert!(took < limit * 3 / 2, "{took:?}");
            reader.join().unwrap().unwrap_err();
        });
    });
}

#[test]
fn shutdown_reaches_calls_that_wait_in_the_handshake() {
    within_deadline(|| {
        for how in [Shutdown::Write, Shutdown::Both] {
            let (_client, server) = with_silent_client();
            let call = || (&server).write(b"x").unwrap_err();
            let (error, _) = waiting(call, || server.shutdown(how).unwrap());
            assert_eq!(
                (error.kind(), tls_error(&error)),
                (ErrorKind::BrokenPipe, None)
            );
            assert_eq!(
                (&server).write(b"x").unwrap_err().kind(),
                ErrorKind::BrokenPipe
            );
        }
        for how in [Shutdown::Read, Shutdown::Both] {
            let (_client, server) = with_silent_client();
            let (count, _) = waiting(
                || (&server).read(&mut [0]).unwrap(),
                || server.shutdown(how).unwrap(),
            );
            assert_eq!(count, 0);
        }
    });
}

#[test]
fn one_that_only_writes_may_shut_reading_at_once() {
    within_deadline(|| {
        let (client, server) = pair();
        client.shutdown(Shutdown::Read).unwrap();
        let reader = thread::spawn(move || {
            let mut words = Vec::new();
            (&server).read_to_end(&mut words).map(|_| words)
        });
        (&client).write_all(b"all I have to say").unwrap();
        assert_eq!((&client).read(&mut [0]).unwrap(), 0);
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), b"all I have to say");
    });
}

#[test]
fn one_that_only_writes_learns_why_it_is_refused() {
    within_deadline(|| {
        let somebody = Identity::new(&[NAME]);
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(somebody.roots()), provider());
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                vec![IDENTITY.certificate.der().clone()],
                IDENTITY.private_key(),
            )
            .unwrap();
        let (ours, theirs) = Stream::pair(&Config::default()).unwrap();
        let client = tls::connect(ours, IDENTITY.client(), name()).unwrap();
        let server = tls::accept(theirs, Arc::new(config)).unwrap();
        let refusal = thread::spawn(move || server.handshake().unwrap_err());
        let started = Instant::now();
        let error = loop {
            assert!(started.elapsed() < DEADLINE);
            if let Err(error) = (&client).write(&[0; 1000]) {
                break error;
            }
            thread::sleep(Duration::from_millis(1));
        };
        assert!(error.to_string().contains("CertificateRequired"), "{error}");
        refusal.join().unwrap();
    });
}

#[test]
fn a_reset_during_the_handshake_is_counted() {
    within_deadline(|| {
        let listener = listener();
        let client = Stream::connect(listener.local_addr().unwrap()).unwrap();
        (&client).write_all(b"\x16").unwrap();
        let (server, _) = listener.accept().unwrap();
        client.reset();
        let error = (&server).read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(listener.tls_stats().handshakes_failed, 1);
    });
}
