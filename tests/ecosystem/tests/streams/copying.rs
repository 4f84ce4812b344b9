//! `io::copy` on `&stream`, as every relay has it.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    thread,
};

use mkcp::tls::TlsStream;
use mkcp_ecosystem::{DEADLINE, Duplex};

use crate::{
    deadline,
    pattern::pattern,
    transport::{Tls, Transport},
};

const LENGTH: usize = 8 * 1024 * 1024;

pub fn io_copy_runs_both_ways_at_once<T: Transport>() {
    let (client, server) = T::pair();
    let (up, down) = (pattern(LENGTH, 1), pattern(LENGTH, 2));
    thread::scope(|scope| {
        scope.spawn(|| send(&client, &up));
        scope.spawn(|| send(&server, &down));
        scope.spawn(|| assert!(receive(&server, LENGTH) == up, "the bytes differ"));
        assert!(receive(&client, LENGTH) == down, "the bytes differ");
    });
}

pub fn io_copy_echoes_through_one_stream<T: Transport>() {
    let (client, server) = T::pair();
    let sent = pattern(LENGTH, 3);
    thread::scope(|scope| {
        // From the stream into itself, until the client has ended it.
        let echo = scope.spawn(|| io::copy(&mut server.shared(), &mut server.shared()));
        scope.spawn(|| send(&client, &sent));
        assert!(receive(&client, LENGTH) == sent, "the bytes differ");
        client.shutdown(Shutdown::Both).unwrap();
        assert_eq!(echo.join().unwrap().unwrap(), LENGTH as u64);
    });
}

/// Only TLS can say that one direction has ended while the other goes on.
#[test]
fn tls_can_end_one_direction() {
    deadline::within(DEADLINE, || {
        let (client, server) = Tls::pair();
        let (question, answer) = (pattern(LENGTH, 4), pattern(LENGTH, 5));
        let read_to_end = |mut stream: &TlsStream| {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).map(|_| bytes)
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                assert!(
                    read_to_end(&server).unwrap() == question,
                    "the bytes differ"
                );
                send(&server, &answer);
                server.shutdown(Shutdown::Write).unwrap();
            });
            send(&client, &question);
            client.shutdown(Shutdown::Write).unwrap();
            assert!(read_to_end(&client).unwrap() == answer, "the bytes differ");
        });
    });
}

fn send<S: Duplex>(stream: &S, mut bytes: &[u8]) {
    let length = bytes.len() as u64;
    let mut writer = stream.shared();
    assert_eq!(io::copy(&mut bytes, &mut writer).unwrap(), length);
    writer.flush().unwrap();
}

fn receive<S: Duplex>(stream: &S, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    io::copy(&mut stream.shared().take(length as u64), &mut bytes).unwrap();
    bytes
}
