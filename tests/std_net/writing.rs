//! How bytes go out.

use std::{
    io::{ErrorKind, IoSlice, Read, Write},
    time::Instant,
};

use crate::{
    pattern::pattern,
    support::{SHORT, blocked, kind},
    transport::{Stream, Transport},
};

/// More than any pair of buffers holds.
pub const TOO_MUCH: usize = 64 * 1024 * 1024;

/// Writes until nothing moves any more, because the peer does not read.
pub fn fill<T: Transport>(stream: &T::Stream) {
    stream.set_write_timeout(Some(SHORT)).unwrap();
    let stuck = stream.shared().write_all(&vec![0; TOO_MUCH]);
    assert_eq!(kind(stuck), T::MANNERS.deadline);
}

pub fn vectored_writes_take_all_slices<T: Transport>() {
    let (mut client, mut server) = T::pair();
    let slices = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")];
    assert_eq!(client.write_vectored(&slices).unwrap(), 5);
    assert_eq!(client.write_vectored_shared(&slices).unwrap(), 5);
    let mut buffer = [0; 10];
    server.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"abcdeabcde");
}

pub fn a_write_deadline_passes<T: Transport>() {
    let (client, _server) = T::pair();
    let started = Instant::now();
    fill::<T>(&client);
    assert!(started.elapsed() >= SHORT);
}

pub fn a_nonblocking_write_does_not_wait<T: Transport>() {
    let (client, _server) = T::pair();
    client.set_nonblocking(true).unwrap();
    let result = client.shared().write_all(&vec![0; TOO_MUCH]);
    assert_eq!(kind(result), ErrorKind::WouldBlock);
}

pub fn a_blocked_write_goes_on_when_the_peer_reads<T: Transport>() {
    let (client, mut server) = T::pair();
    let sent = pattern(TOO_MUCH / 2, 1);
    let mut received = Vec::new();
    let written = blocked(
        || {
            let written = client.shared().write_all(&sent);
            drop(client);
            written
        },
        || {
            server.read_to_end(&mut received).unwrap();
        },
    );
    written.unwrap();
    assert!(received == sent, "the bytes differ");
}

pub fn flush_succeeds<T: Transport>() {
    let (mut client, mut server) = T::pair();
    client.write_all(b"x").unwrap();
    client.flush().unwrap();
    client.shared().flush().unwrap();
    assert_eq!(server.read(&mut [0; 2]).unwrap(), 1);
}
