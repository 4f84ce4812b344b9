//! How streams end: shutdown, end of file, drop, reset.

use std::{
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    thread,
};

use crate::{
    pattern::pattern,
    support::{SHORT, blocked, eventually, expect_all, kind},
    transport::{Listener, Stream, Transport},
    writing::{TOO_MUCH, fill},
};

pub fn shutdown_read_wakes_a_blocked_read<T: Transport>() {
    shutdown_wakes_a_blocked_read::<T>(Shutdown::Read);
}

pub fn shutdown_both_wakes_a_blocked_read<T: Transport>() {
    shutdown_wakes_a_blocked_read::<T>(Shutdown::Both);
}

fn shutdown_wakes_a_blocked_read<T: Transport>(how: Shutdown) {
    let (client, _server) = T::pair();
    let count = blocked(
        || client.read_shared(&mut [0]),
        || client.shutdown(how).unwrap(),
    );
    assert_eq!(count.unwrap(), 0);
    assert_eq!(client.read_shared(&mut [0]).unwrap(), 0);
}

pub fn shutdown_write_wakes_a_blocked_write<T: Transport>() {
    shutdown_wakes_a_blocked_write::<T>(Shutdown::Write);
}

pub fn shutdown_both_wakes_a_blocked_write<T: Transport>() {
    shutdown_wakes_a_blocked_write::<T>(Shutdown::Both);
}

fn shutdown_wakes_a_blocked_write<T: Transport>(how: Shutdown) {
    let (client, _server) = T::pair();
    let data = vec![0; TOO_MUCH];
    let written = blocked(
        || client.shared().write_all(&data),
        || {
            thread::sleep(SHORT); // let it fill the buffers: they are large
            client.shutdown(how).unwrap();
        },
    );
    assert_eq!(kind(written), ErrorKind::BrokenPipe);
}

pub fn received_bytes_survive_shutdown_read<T: Transport>() {
    let (mut client, mut server) = T::pair();
    client.write_all(b"x").unwrap();
    server.peek(&mut [0]).unwrap();
    server.shutdown(Shutdown::Read).unwrap();
    assert_eq!(server.read(&mut [0; 2]).unwrap(), 1);
    assert_eq!(server.read(&mut [0; 2]).unwrap(), 0);
}

pub fn writing_after_shutdown_is_a_broken_pipe<T: Transport>() {
    let (mut client, mut server) = T::pair();
    client.write_all(b"x").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(kind(client.write(b"y")), ErrorKind::BrokenPipe);
    server.write_all(b"z").unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 1, "reading goes on");
    assert_eq!(
        server.read(&mut [0; 2]).unwrap(),
        1,
        "what was written arrives"
    );
}

pub fn end_of_file_comes_after_the_last_byte_and_stays<T: Transport>() {
    let (mut client, mut server) = T::pair();
    client.write_all(b"the end").unwrap();
    drop(client);
    let mut received = Vec::new();
    server.read_to_end(&mut received).unwrap();
    assert_eq!(received, b"the end");
    for _ in 0..3 {
        assert_eq!(server.read(&mut [0]).unwrap(), 0);
    }
}

pub fn a_slow_reader_gets_a_long_tail<T: Transport>() {
    let (mut client, mut server) = T::pair();
    let sent = pattern(1_000_000, 2);
    client.write_all(&sent).unwrap();
    drop(client);
    let mut received = Vec::new();
    let mut buffer = vec![0; 50_000];
    loop {
        let count = server.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        received.extend_from_slice(&buffer[..count]);
        thread::sleep(SHORT / 5);
    }
    assert!(
        received == sent,
        "{} bytes of {}",
        received.len(),
        sent.len()
    );
}

pub fn dropping_the_last_clone_delivers_what_was_written<T: Transport>() {
    let (mut client, mut server) = T::pair();
    let clone = client.try_clone().unwrap();
    let sent = pattern(300_000, 3);
    client.write_all(&sent).unwrap();
    drop(client);
    drop(clone);
    expect_all(&mut server, &sent);
}

pub fn dropping_one_of_two_clones_ends_nothing<T: Transport>() {
    let (client, mut server) = T::pair();
    let mut clone = client.try_clone().unwrap();
    drop(client);
    clone.write_all(b"x").unwrap();
    assert_eq!(server.read(&mut [0]).unwrap(), 1);
    server.write_all(b"y").unwrap();
    assert_eq!(clone.read(&mut [0]).unwrap(), 1);
}

pub fn writing_to_a_peer_that_has_closed_fails<T: Transport>() {
    let (client, mut server) = T::pair();
    drop(client);
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
    // TCP learns of it only from the answer to a first write.
    let error = eventually(|| server.write(b"x").err());
    let kind = error.kind();
    assert!(
        matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
        "{error}"
    );
}

pub fn a_reset_cuts_the_stream_visibly<T: Transport>() {
    let (client, mut server) = T::pair();
    fill::<T>(&client);
    client.reset();
    let cut = server.read_to_end(&mut Vec::new());
    assert_eq!(kind(cut), ErrorKind::ConnectionReset);
    let again = server.read(&mut [0]);
    if T::MANNERS.errors_repeat {
        assert_eq!(kind(again), ErrorKind::ConnectionReset);
    } else {
        assert_eq!(again.unwrap(), 0);
    }
    assert_eq!(kind(server.write(b"x")), T::MANNERS.write_after_reset);
}

pub fn errors_are_taken_once<T: Transport>() {
    let (client, server) = T::pair();
    assert!(server.take_error().unwrap().is_none());
    fill::<T>(&client);
    client.reset();
    let error = eventually(|| server.take_error().unwrap());
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(server.take_error().unwrap().is_none());
}

pub fn a_closed_port_refuses<T: Transport>() {
    let listener = T::bind().unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let first = T::connect(closed).and_then(|mut stream| {
        assert!(!T::MANNERS.connect_waits);
        stream.read(&mut [0])
    });
    assert_eq!(kind(first), ErrorKind::ConnectionRefused);
    let second = T::connect_timeout(&closed, crate::support::DEADLINE);
    assert_eq!(kind(second), ErrorKind::ConnectionRefused);
}
