//! Forged first datagrams on real sockets. What they draw in a minute, by kind and size, and what
//! floods of them do, is tested by virtual time in the worker's own tests.

use std::{
    io::Write,
    net::{SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use mkcp::{DropReason, Endpoint, EndpointBuilder, Stream};

use super::{EchoServer, PATIENCE, bytes, eventually, exchange};

/// A Ping of conversation 7 with the default security, as every client can begin.
fn ping() -> Vec<u8> {
    use mkcp::internal::{
        packet::{NonceSource, PacketCodec},
        wire::{Command, CommandKind, Options, Segment, SeqNum},
    };
    let codec = PacketCodec::new(&mkcp::Config::default());
    let mut datagram = Vec::new();
    let start = codec.begin(&mut datagram);
    Segment::Command(Command {
        conversation: 7,
        kind: CommandKind::Ping,
        options: Options::NONE,
        sending_next: SeqNum::ZERO,
        receiving_next: SeqNum::ZERO,
        peer_rto: 100,
    })
    .encode(&mut datagram);
    codec
        .seal(&mut datagram, start, &mut NonceSource::default())
        .unwrap();
    datagram
}

/// Bytes that come for a Ping that nothing follows, in the time in which most would.
fn drawn(server: SocketAddr) -> usize {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let until = Instant::now() + Duration::from_millis(3500);
    socket.send_to(&ping(), server).unwrap();
    let mut drawn = 0;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return drawn;
        }
        socket.set_read_timeout(Some(left)).unwrap();
        drawn += socket.recv(&mut [0; 2048]).unwrap_or(0);
    }
}

#[test]
fn a_server_that_speaks_first_says_little_to_a_forged_address() {
    let listener = Endpoint::builder().bind("127.0.0.1:0").unwrap();
    let listener = listener.listen().unwrap();
    let address = listener.local_addr().unwrap();
    let speaker = thread::spawn(move || {
        let (stream, _) = listener.accept_timeout(PATIENCE).unwrap();
        stream
            .set_write_timeout(Some(Duration::from_secs(4)))
            .unwrap();
        (&stream).write_all(&bytes(1_000_000)).unwrap_err()
    });
    let drawn = drawn(address);
    assert!(
        (3000..=3 * 22 + 4096 + 2 * 1350).contains(&drawn),
        "{drawn}"
    );
    let error = speaker.join().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut, "all was taken");
}

#[test]
fn clients_get_in_while_forged_sessions_fill_the_room() {
    let limited = |builder: EndpointBuilder| builder.workers(2).max_unvalidated(16);
    let server = EchoServer::start(limited(Endpoint::builder()));
    let sockets: Vec<UdpSocket> = (0..64)
        .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
        .collect();
    for socket in &sockets {
        socket.send_to(&ping(), server.address).unwrap();
    }
    let deferred = || server.listener.stats().drops.get(DropReason::Deferred);
    eventually("some are deferred", PATIENCE, || deferred() > 0);
    let unvalidated = || server.listener.stats().sessions_unvalidated;
    eventually("the limit holds", PATIENCE, || unvalidated() <= 16);
    let client = Stream::connect(server.address).unwrap();
    exchange(&client, &bytes(10_000));
    eventually("it is known", PATIENCE, || {
        server.listener.stats().addresses_known == 1
    });
    for _ in 0..10 {
        let client = Stream::connect(server.address).unwrap();
        exchange(&client, &bytes(10_000));
    }
}
