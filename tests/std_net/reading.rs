//! How bytes come in.

use std::{
    io::{ErrorKind, IoSliceMut, Read, Write},
    time::Instant,
};

use crate::{
    support::{SHORT, blocked, kind, until_ready},
    transport::{Stream, Transport},
};

pub fn bytes_arrive_through_owned_and_shared_handles<T: Transport>() {
    let (mut client, mut server) = T::pair();
    let mut buffer = [0; 4];
    client.write_all(b"ping").unwrap();
    server.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"ping");
    server.shared().write_all(b"pong").unwrap();
    client.shared().read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"pong");
}

pub fn a_blocked_read_is_woken_by_bytes<T: Transport>() {
    let (client, server) = T::pair();
    let mut buffer = [0; 10];
    let count = blocked(
        || server.read_shared(&mut buffer),
        || client.shared().write_all(b"x").unwrap(),
    );
    assert_eq!(count.unwrap(), 1);
    assert_eq!(buffer[0], b'x');
}

pub fn an_empty_read_takes_nothing<T: Transport>() {
    let (mut client, mut server) = T::pair();
    if !T::MANNERS.empty_read_waits {
        assert_eq!(server.read(&mut []).unwrap(), 0);
    }
    client.write_all(b"x").unwrap();
    server.peek(&mut [0]).unwrap();
    assert_eq!(server.read(&mut []).unwrap(), 0);
    assert_eq!(server.read(&mut [0]).unwrap(), 1);
}

pub fn peeked_bytes_are_read_again<T: Transport>() {
    let (mut client, mut server) = T::pair();
    client.write_all(b"abc").unwrap();
    let mut peeked = [0; 2];
    for _ in 0..2 {
        let count = server.peek(&mut peeked).unwrap();
        assert_eq!(&peeked[..count], &b"ab"[..count]);
    }
    let mut buffer = [0; 3];
    server.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"abc");
    drop(client);
    assert_eq!(server.peek(&mut peeked).unwrap(), 0);
}

pub fn vectored_reads_fill_buffers_in_turn<T: Transport>() {
    let (mut client, mut server) = T::pair();
    client.write_all(b"abcdef").unwrap();
    // All six bytes in one piece: nobody promises that, but peeking waits for it.
    while server.peek(&mut [0; 6]).unwrap() < 6 {}
    let (mut first, mut second) = ([0; 2], [0; 10]);
    let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    assert_eq!(server.read_vectored(&mut buffers).unwrap(), 6);
    assert_eq!(&first, b"ab");
    assert_eq!(&second[..4], b"cdef");
}

pub fn a_read_deadline_passes_and_does_no_harm<T: Transport>() {
    let (mut client, mut server) = T::pair();
    server.set_read_timeout(Some(SHORT)).unwrap();
    let started = Instant::now();
    assert_eq!(kind(server.read(&mut [0])), T::MANNERS.deadline);
    assert_eq!(kind(server.peek(&mut [0])), T::MANNERS.deadline);
    assert!(started.elapsed() >= 2 * SHORT);

    server.set_read_timeout(None).unwrap();
    client.write_all(b"x").unwrap();
    assert_eq!(server.read(&mut [0]).unwrap(), 1);
}

pub fn a_nonblocking_read_does_not_wait<T: Transport>() {
    let (mut client, mut server) = T::pair();
    server.set_nonblocking(true).unwrap();
    assert_eq!(kind(server.read(&mut [0])), ErrorKind::WouldBlock);
    client.write_all(b"x").unwrap();
    assert_eq!(until_ready(|| server.read(&mut [0])).unwrap(), 1);
    assert_eq!(kind(server.peek(&mut [0])), ErrorKind::WouldBlock);

    server.set_nonblocking(false).unwrap();
    let count = blocked(|| server.read(&mut [0]), || client.write_all(b"x").unwrap());
    assert_eq!(count.unwrap(), 1);
}
