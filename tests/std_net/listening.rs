//! How connections come in.

use std::{
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
    time::Duration,
};

use crate::{
    support::{DEADLINE, blocked, kind, until_ready},
    transport::{Listener, Stream, Transport},
};

pub fn accept_waits_for_a_connection<T: Transport>() {
    let listener = T::bind().unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = None;
    let accepted = blocked(
        || listener.accept(),
        || client = Some(T::connect(address).unwrap()),
    );
    let (_, peer) = accepted.unwrap();
    assert_eq!(peer, client.unwrap().local_addr().unwrap());
}

pub fn a_nonblocking_accept_does_not_wait<T: Transport>() {
    let listener = T::bind().unwrap();
    listener.set_nonblocking(true).unwrap();
    assert_eq!(kind(listener.accept()), ErrorKind::WouldBlock);
    let mut client = T::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = until_ready(|| listener.accept()).unwrap();

    server.set_nonblocking(false).unwrap();
    client.write_all(b"x").unwrap();
    assert_eq!(
        server.read(&mut [0]).unwrap(),
        1,
        "the stream blocks nevertheless"
    );
}

pub fn incoming_gives_every_connection<T: Transport>() {
    let listener = T::bind().unwrap();
    let address = listener.local_addr().unwrap();
    let clients: Vec<_> = (0..5).map(|_| T::connect(address).unwrap()).collect();
    let servers: Vec<_> = listener.incoming().take(5).map(Result::unwrap).collect();
    let mut expected: Vec<_> = clients.iter().map(|it| it.local_addr().unwrap()).collect();
    let mut peers: Vec<_> = servers.iter().map(|it| it.peer_addr().unwrap()).collect();
    expected.sort();
    peers.sort();
    assert_eq!(peers, expected);
}

pub fn clones_of_a_listener_share_the_queue<T: Transport>() {
    let listener = T::bind().unwrap();
    let clone = listener.try_clone().unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(clone.local_addr().unwrap(), address);
    drop(listener);
    let _client = T::connect(address).unwrap();
    clone.accept().unwrap();
}

pub fn connect_timeout_reaches_a_listener_and_refuses_zero<T: Transport>() {
    let listener = T::bind().unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = T::connect_timeout(&address, DEADLINE).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"x").unwrap();
    assert_eq!(server.read(&mut [0]).unwrap(), 1);
    let zero = T::connect_timeout(&address, Duration::ZERO);
    assert_eq!(kind(zero), ErrorKind::InvalidInput);
}

pub fn no_address_is_invalid_input<T: Transport>() {
    let nowhere: &[SocketAddr] = &[];
    assert_eq!(kind(T::connect(nowhere)), ErrorKind::InvalidInput);
}
