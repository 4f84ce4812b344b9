//! What strangers send instead of TLS.

use std::{
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    thread,
    time::{Duration, Instant},
};

use mkcp::{
    Stream,
    tls::{TlsError, TlsListener},
};

use crate::{
    pattern::pattern,
    support::{SHORT, assert_serves, client_hello, listener, tls_error, within_deadline},
};

/// What the server's reader gets for these bytes.
fn outcome(listener: &TlsListener, parts: &[&[u8]]) -> std::io::Error {
    let client = Stream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_nodelay(true).unwrap();
    for part in parts {
        (&client).write_all(part).unwrap();
    }
    let (server, _) = listener.accept().unwrap();
    let error = (&server).read(&mut [0; 16]).unwrap_err();
    assert!(tls_error(&error).is_some(), "{error:?}");
    error
}

#[test]
fn garbage_instead_of_a_client_hello_is_an_error_of_that_stream() {
    within_deadline(|| {
        let listener = listener();
        let mut failed = 0;
        let random = pattern(5000, 7);
        // A record may claim 64 KiB; a message in it 16 MiB; a stranger anything.
        let gigabyte = [&b"\x16\x03\x01\xff\xff\x01\x40\x00\x00"[..], &[0; 4000]].concat();
        let long_message = [
            &b"\x16\x03\x01\x40\x00\x01\xff\xff\xff\x03\x03"[..],
            &[0; 16384],
        ]
        .concat();
        let cases: [(&str, &[u8]); 7] = [
            ("http", b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"),
            ("zeroes", &[0; 2000]),
            ("random", &random),
            ("a long record", &gigabyte),
            ("a long message", &long_message),
            ("an early record", b"\x17\x03\x03\x00\x10aaaaaaaaaaaaaaaa"),
            ("an alert", b"\x15\x03\x01\x00\x02\x02\x28"),
        ];
        for (what, bytes) in cases {
            let error = outcome(&listener, &[bytes]);
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{what}: {error}");
            let text = error.to_string();
            assert!(text.starts_with("TLS handshake failed: "), "{what}: {text}");
            println!("{what}: {text}");
            failed += 1;
            assert_eq!(listener.tls_stats().handshakes_failed, failed);
        }
        assert_serves(&listener);
    });
}

#[test]
fn a_client_hello_cut_in_two_and_silence_is_a_timeout_of_that_stream() {
    within_deadline(|| {
        let listener = listener();
        listener.set_handshake_timeout(Some(SHORT));
        let hello = client_hello();
        let (first, second) = hello.split_at(hello.len() / 2);
        let error = outcome(&listener, &[first]);
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        // Whole but in two datagrams: the server answers, and then hears nothing more.
        let error = outcome(&listener, &[first, second]);
        assert_eq!(tls_error(&error), Some(&TlsError::HandshakeTimeout(SHORT)));
        assert_eq!(listener.tls_stats().handshakes_timed_out, 2);
        listener.set_handshake_timeout(Some(Duration::from_secs(10)));
        assert_serves(&listener);
    });
}

#[test]
fn a_client_that_leaves_during_the_handshake_is_an_end() {
    within_deadline(|| {
        let listener = listener();
        let client = Stream::connect(listener.local_addr().unwrap()).unwrap();
        (&client).write_all(&client_hello()[..50]).unwrap();
        client.close().unwrap();
        let (server, _) = listener.accept().unwrap();
        let error = (&server).read(&mut [0; 1]).unwrap_err();
        assert_eq!(tls_error(&error), Some(&TlsError::HandshakeCut));
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn endless_handshake_bytes_are_refused_early() {
    within_deadline(|| {
        let listener = listener();
        let client = Stream::connect(listener.local_addr().unwrap()).unwrap();
        let writing = client.try_clone().unwrap();
        // Empty handshake records without end, each well-formed.
        let flood = thread::spawn(move || {
            let records = b"\x16\x03\x01\x00\x01\x01".repeat(1000);
            while (&writing).write_all(&records).is_ok() {}
        });
        let (server, _) = listener.accept().unwrap();
        let started = Instant::now();
        let error = (&server).read(&mut [0; 1]).unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(10), "{error}");
        println!("{error}");
        drop(server);
        client.reset();
        flood.join().unwrap();
        assert_serves(&listener);
    });
}

#[test]
fn a_damaged_record_after_the_handshake_ends_the_stream_with_its_bytes_first() {
    within_deadline(|| {
        let (client, server) = crate::support::established_pair();
        (&client).write_all(b"good").unwrap();
        let raw = client.get_ref();
        (&*raw)
            .write_all(b"\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb")
            .unwrap();
        let mut got = Vec::new();
        let error = (&server).read_to_end(&mut got).unwrap_err();
        assert_eq!(got, b"good");
        assert!(
            matches!(tls_error(&error), Some(TlsError::Session(_))),
            "{error:?}"
        );
        assert_eq!(
            (&server).read(&mut [0; 1]).unwrap_err().to_string(),
            error.to_string()
        );
        let error = (&client).read(&mut [0; 1]).unwrap_err();
        assert!(error.to_string().contains("BadRecordMac"), "{error}");
    });
}

#[test]
fn a_damaged_record_after_our_close_notify_is_an_error_too() {
    within_deadline(|| {
        let (client, server) = crate::support::established_pair();
        server.shutdown(Shutdown::Write).unwrap();
        let mut raw = client.get_ref();
        raw.write_all(b"\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb")
            .unwrap();
        let error = (&server).read(&mut [0; 1]).unwrap_err();
        assert!(
            matches!(tls_error(&error), Some(TlsError::Session(_))),
            "{error:?}"
        );
    });
}
