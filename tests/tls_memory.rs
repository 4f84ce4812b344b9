//! What strangers can make a TLS server hold. Alone in this file, because it looks at the memory of
//! its whole process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{Read, Write},
    thread,
    time::Duration,
};

use mkcp::{
    Endpoint, Stream,
    tls::{self, TlsListener, rustls::pki_types::PrivateKeyDer},
};

const STRANGERS: usize = 200;
const TIMEOUT: Duration = Duration::from_secs(2);
/// A thread of this test, both ends of a stream, and what rustls holds of a message that is not
/// complete: 64 KiB, however long it claims to be.
const MOST_EACH: usize = 300 * 1024;

fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// The beginning of a message of 16 MiB, in full records, again and again.
fn endless_message() -> Vec<u8> {
    let record = |content: &[u8]| {
        let mut record = b"\x16\x03\x03\x40\x00".to_vec();
        record.extend_from_slice(content);
        record.resize(5 + 0x4000, 0);
        record
    };
    let mut bytes = record(b"\x01\xff\xff\xff");
    for _ in 0..20 {
        bytes.extend(record(&[]));
    }
    bytes
}

/// The beginning of a message of 60 KiB in records of a byte each.
fn crumbs() -> Vec<u8> {
    let mut bytes = b"\x16\x03\x03\x00\x04\x01\x00\xf0\x00".to_vec();
    bytes.extend(b"\x16\x03\x03\x00\x01\x00".repeat(50_000));
    bytes
}

#[test]
fn strangers_cost_a_bounded_amount_of_memory_each() {
    let made = rcgen::generate_simple_self_signed(["server.test".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = tls::server_config(vec![made.cert.der().clone()], key).unwrap();
    let endpoint = Endpoint::builder().accept_backlog(STRANGERS);
    let listener = endpoint.bind("127.0.0.1:0").unwrap().listen().unwrap();
    let listener = TlsListener::new(listener, config);
    listener.set_handshake_timeout(Some(TIMEOUT));
    let address = listener.local_addr().unwrap();
    for bytes in [endless_message(), crumbs()] {
        let before = resident();
        let mut most = before;
        thread::scope(|scope| {
            let readers: Vec<_> = (0..STRANGERS)
                .map(|_| {
                    let stranger = Stream::connect(address).unwrap();
                    stranger.set_write_timeout(Some(TIMEOUT)).unwrap();
                    let bytes = &bytes;
                    scope.spawn(move || {
                        // Refused or ignored, it is all the same to a stranger.
                        let _ = (&stranger).write_all(bytes);
                        let _ = (&stranger).read(&mut [0; 1]);
                    });
                    let (stream, _) = listener.accept_timeout(Duration::from_secs(10)).unwrap();
                    scope.spawn(move || (&stream).read(&mut [0; 1]).unwrap_err().to_string())
                })
                .collect();
            while !readers.iter().all(|reader| reader.is_finished()) {
                most = most.max(resident());
                thread::sleep(Duration::from_millis(1));
            }
            for reader in readers {
                let error = reader.join().unwrap();
                assert!(error.starts_with("TLS handshake "), "{error}");
            }
        });
        let each = (most - before) / STRANGERS;
        println!("{} KiB each", each / 1024);
        assert!(each < MOST_EACH, "{each} bytes each");
    }
    let stats = listener.tls_stats();
    println!("{stats:?}");
    let counted = stats.handshakes_failed + stats.handshakes_timed_out;
    assert_eq!(counted, 2 * STRANGERS as u64);
}
