//! What comes to a client from another address than its peer's.

use std::{
    io::{Read, Write},
    net::SocketAddr,
};

use mkcp::{
    DropReason, Stream,
    internal::wire::{CommandKind, Segment},
};

use super::{
    ARRANGEMENTS, EchoServer, PATIENCE, bytes, eventually, exchange,
    hostile::{Stranger, command, data},
};

/// What the peer of a client that got five bytes could say next: more bytes, and that it is over.
fn next_words(conversation: u16) -> [Segment<'static>; 2] {
    [
        data(conversation, 1, 1),
        command(conversation, CommandKind::Terminate, 2),
    ]
}

/// Says that from elsewhere between two exchanges, and ends the stream.
fn expect_deaf_to_strangers(client: Stream, when_said: impl FnOnce(u64)) {
    exchange(&client, b"hello");
    let mut said = 0;
    for _ in 0..10 {
        for segment in next_words(client.conversation()) {
            // Each from another port: the network may say that nobody listens to them.
            Stranger::towards(client.local_addr().unwrap()).send(segment);
            said += 1;
        }
    }
    when_said(said);
    exchange(&client, &bytes(50_000));
    client.close().unwrap();
}

#[test]
fn a_client_with_its_own_socket_is_neither_ended_nor_fed_from_elsewhere() {
    let server = EchoServer::start(ARRANGEMENTS[0]());
    let client = Stream::connect(server.address).unwrap();
    expect_deaf_to_strangers(client, |_| {});
}

#[test]
fn nor_is_a_client_that_shares_a_socket() {
    for builder in ARRANGEMENTS {
        let server = EchoServer::start(builder());
        let endpoint = builder().bind("127.0.0.1:0").unwrap();
        let client = endpoint.connect(server.address).unwrap();
        expect_deaf_to_strangers(client, |said| {
            eventually("all were dropped", PATIENCE, || {
                let drops = endpoint.stats().drops;
                let [data, ends] = [DropReason::NotListening, DropReason::UnknownTerminate]
                    .map(|reason| drops.get(reason));
                (data, ends) == (said / 2, said / 2)
            });
        });
    }
}

/// Else the others would show nothing.
#[test]
fn the_same_words_of_its_peer_feed_and_end_a_client() {
    let endpoint = ARRANGEMENTS[0]().bind("127.0.0.1:0").unwrap();
    let ways: [&dyn Fn(SocketAddr) -> Stream; 2] =
        [&|peer| Stream::connect(peer).unwrap(), &|peer| {
            endpoint.connect(peer).unwrap()
        }];
    for connect in ways {
        let mut peer = Stranger::new();
        let client = connect(peer.socket.local_addr().unwrap());
        peer.socket.connect(client.local_addr().unwrap()).unwrap();
        (&client).write_all(b"hello?").unwrap();
        peer.socket.recv(&mut [0; 2048]).unwrap();
        let conversation = client.conversation();
        peer.send(data(conversation, 0, 0));
        for segment in next_words(conversation) {
            peer.send(segment);
        }
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut received = Vec::new();
        (&client).read_to_end(&mut received).unwrap();
        assert_eq!(received, b"hellohello");
        (&client).write_all(b"too late").unwrap_err();
    }
}
