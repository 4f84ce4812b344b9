//! Whole sessions recorded on their way, and sent once more.

use std::{
    collections::HashSet,
    io::{Read, Write},
    mem,
    net::UdpSocket,
    sync::Arc,
};

use mkcp::{
    Config, DropReason, EndpointStats, Listener, Stream,
    internal::{
        packet::PacketCodec,
        wire::{CommandKind, Segment, Segments, SeqNum},
    },
};

use super::{
    EchoServer, PATIENCE, bytes, eventually, exchange,
    hostile::expect_drop,
    relay::{Relay, Rule},
    small,
};

/// What a client has sent through a relay.
#[derive(Default)]
pub(super) struct Tape {
    datagrams: Vec<Vec<u8>>,
    /// How many of the first datagrams are kept from the server.
    withheld: usize,
}

impl Rule for Tape {
    fn outward(&mut self, datagram: &[u8], _: &mut Arc<UdpSocket>) -> bool {
        self.datagrams.push(datagram.to_vec());
        self.datagrams.len() > self.withheld
    }
}

/// Ends the recording; gives what the client sent, and the address it was sent from.
pub(super) fn stop(recorder: Relay<Tape>) -> (Vec<Vec<u8>>, Arc<UdpSocket>) {
    let state = recorder.state.clone();
    drop(recorder);
    let mut state = state.lock().unwrap();
    (mem::take(&mut state.rule.datagrams), state.outside.clone())
}

fn sealed() -> Config {
    Config::builder().seed("correct horse").build().unwrap()
}

/// Whether a server that knows nothing would take this datagram for the first of a session.
fn could_open(datagram: &[u8]) -> bool {
    let mut datagram = datagram.to_vec();
    let plaintext = PacketCodec::new(&sealed()).open(&mut datagram).unwrap();
    match Segments::new(plaintext).next() {
        Some(Segment::Data(data)) => data.sending_next == SeqNum::ZERO,
        Some(Segment::Command(command)) => {
            command.kind != CommandKind::Terminate
                && command.sending_next == SeqNum::ZERO
                && command.receiving_next == SeqNum::ZERO
        }
        _ => false,
    }
}

/// Sends datagrams, and waits until the server has looked at all of them.
fn replay(listener: &Listener, tape: &[Vec<u8>], socket: &UdpSocket) -> EndpointStats {
    let before = listener.stats();
    let server = listener.local_addr().unwrap();
    for (datagram, sent) in tape.iter().zip(1..) {
        socket.send_to(datagram, server).unwrap();
        eventually("it has been received", PATIENCE, || {
            listener.stats().datagrams_received >= before.datagrams_received + sent
        });
    }
    let dropped = tape.len() as u64;
    eventually("all are dropped", PATIENCE, || {
        listener.stats().drops.total() >= before.drops.total() + dropped
    });
    let after = listener.stats();
    let (received, sent) = (
        after.bytes_received - before.bytes_received,
        after.bytes_sent - before.bytes_sent,
    );
    assert!(sent <= received, "{sent} bytes answer {received}");
    after
}

#[test]
fn a_recorded_session_gives_the_application_nothing_more() {
    let server = EchoServer::start(small().config(sealed()));
    let listener = &server.listener;
    let recorder = Relay::towards(server.address, Tape::default());
    let client = Stream::connect_with(recorder.address, &sealed()).unwrap();
    exchange(&client, &bytes(20_000));
    exchange(&client, b"one more");
    client.close().unwrap();
    eventually("the session is over", PATIENCE, || {
        listener.active_connections() == 0
    });
    let (tape, address) = stop(recorder);
    let different: HashSet<_> = tape.iter().collect();
    assert_eq!(
        different.len(),
        tape.len(),
        "what is repeated is sealed anew"
    );

    let stats = replay(listener, &tape, &address);
    assert!(stats.drops.get(DropReason::Tombstone) > 0);
    let elsewhere = UdpSocket::bind("127.0.0.1:0").unwrap();
    let openings = tape.iter().filter(|datagram| could_open(datagram)).count() as u64;
    assert!(openings > 1, "any of them could open a session");
    replay(listener, &tape, &elsewhere);
    expect_drop(listener, DropReason::Replay, openings);
    let backwards: Vec<_> = tape.into_iter().rev().collect();
    let stats = replay(listener, &backwards, &elsewhere);
    expect_drop(listener, DropReason::Replay, 2 * openings);

    assert_eq!(stats.sessions_accepted, 1);
    assert_eq!(listener.active_connections(), 0);
    let client = Stream::connect_with(server.address, &sealed()).unwrap();
    exchange(&client, b"clients are served as before");
}

/// The limit of the protection, which the manual tells.
#[test]
fn a_datagram_that_never_arrived_can_still_be_used() {
    let listener = small().config(sealed()).bind("127.0.0.1:0");
    let listener = listener.unwrap().listen().unwrap();
    let address = listener.local_addr().unwrap();
    let tape = Tape {
        withheld: 1,
        ..Tape::default()
    };
    let recorder = Relay::towards(address, tape);
    let mut client = Stream::connect_with(recorder.address, &sealed()).unwrap();
    let message = b"pay once";
    client.write_all(message).unwrap();
    let read = || {
        let (mut stream, peer) = listener.accept_timeout(PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut bytes = [0; 8];
        stream.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, message);
        peer
    };
    let first = read();
    let (tape, _) = stop(recorder);
    let elsewhere = UdpSocket::bind("127.0.0.1:0").unwrap();
    elsewhere.send_to(&tape[0], address).unwrap();
    assert_ne!(first, read());
}
