//! Clients behind a NAT that forgets their mapping in the midst of a transfer.

use std::{
    io::{Read, Write},
    thread,
};

use mkcp::{Config, EndpointBuilder, Stream};

use super::{ARRANGEMENTS, PATIENCE, bytes, nat::Nat};

const LENGTH: usize = 3_000_000;
const FORGETS_AFTER: usize = 1_000_000;

fn sealed() -> Config {
    Config::builder().seed("correct horse").build().unwrap()
}

/// A server sends what the client reads, and perhaps reads as much.
fn transfer(builder: EndpointBuilder, uploads: bool) {
    let listener = builder.config(sealed()).migration(true).bind("127.0.0.1:0");
    let listener = listener.unwrap().listen().unwrap();
    let nat = Nat::towards(listener.local_addr().unwrap(), FORGETS_AFTER);
    let client = Stream::connect_with(nat.address, &sealed()).unwrap();
    let mut writer = &client;
    writer.write_all(b"?").unwrap();
    let (server, first_address) = listener.accept().unwrap();
    assert_eq!(first_address, nat.outside());
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
    }
    (&server).read_exact(&mut [0; 1]).unwrap();

    let payload = bytes(LENGTH);
    thread::scope(|scope| {
        scope.spawn(|| (&server).write_all(&payload).unwrap());
        if uploads {
            scope.spawn(|| (&client).write_all(&payload).unwrap());
            scope.spawn(|| expect(&server, &payload));
        }
        expect(&client, &payload);
    });
    assert!(listener.stats().sessions_migrated >= 2);
    assert_ne!(server.peer_addr().unwrap(), first_address);
    let stats = listener.stats();
    assert_eq!((stats.sessions_accepted, stats.sessions), (1, 1));
    listener.close();
}

fn expect(mut stream: &Stream, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    stream.read_exact(&mut bytes).unwrap();
    assert!(bytes == expected, "other bytes than were sent");
}

#[test]
fn a_download_goes_on_after_its_mapping_was_forgotten() {
    for arrangement in ARRANGEMENTS {
        transfer(arrangement(), false);
    }
}

#[test]
fn traffic_both_ways_goes_on_after_its_mapping_was_forgotten() {
    for arrangement in ARRANGEMENTS {
        transfer(arrangement(), true);
    }
}

#[test]
fn a_session_moves_between_the_sockets_of_an_address() {
    for _ in 0..4 {
        let builder = mkcp::Endpoint::builder().workers(2).poll_threads(3);
        transfer(builder, false);
    }
}
