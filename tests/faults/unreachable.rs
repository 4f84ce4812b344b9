//! Peers that vanish while much is sent to them: ICMP answers every datagram that their ports are
//! closed.

use std::{
    io::{Read, Write},
    net::{SocketAddr, UdpSocket},
    thread,
    time::Duration,
};

use mkcp::{Config, ConnectionError, EndpointBuilder, Stream};

use super::{
    cause,
    relay::Relay,
    support::{ARRANGEMENTS, EchoServer, PATIENCE, bytes, exchange},
};

const SESSIONS: usize = 20;

fn impatient() -> Config {
    let config = Config::builder().idle_timeout(Duration::from_secs(6));
    config.keepalive(Duration::from_secs(2)).build().unwrap()
}

/// Writes without end and reads what comes; gives the error that ends it.
fn pour(stream: &Stream) -> ConnectionError {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let chunk = bytes(20_000);
            while (&*stream).write_all(&chunk).is_ok() {}
        });
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match (&*stream).read(&mut buffer) {
                Ok(count) => assert!(count > 0, "a cut stream looks complete"),
                Err(error) => return cause(&error).unwrap(),
            }
        }
    })
}

/// Many sessions of one endpoint send to a port that closes, and as many of another towards those.
fn storm(builder: fn() -> EndpointBuilder) {
    let server = EchoServer::start(builder().config(impatient()));
    let client = builder().config(impatient()).bind("127.0.0.1:0").unwrap();
    let relay = Relay::towards(server.address, ());
    let cut: Vec<_> = (0..SESSIONS)
        .map(|_| client.connect(relay.address).unwrap())
        .collect();
    let closed: Vec<_> = (0..SESSIONS).map(|_| ClosedPort::new()).collect();
    let connect = |port: &ClosedPort| client.connect(port.address()).unwrap();
    let never: Vec<_> = closed.iter().map(connect).collect();
    let lasting = client.connect(server.address).unwrap();
    for stream in cut.iter().chain([&lasting]) {
        exchange(stream, b"hello");
    }
    thread::scope(|scope| {
        let pouring = cut.iter().chain(&never);
        let ends: Vec<_> = pouring.map(|one| scope.spawn(|| pour(one))).collect();
        thread::sleep(Duration::from_millis(300));
        drop(relay); // closes both its ports
        while !ends.iter().all(|end| end.is_finished()) {
            exchange(&lasting, &bytes(50_000));
            thread::sleep(Duration::from_millis(20));
        }
        for end in ends {
            // A socket with many peers does not say whose port is closed.
            assert_eq!(end.join().unwrap(), ConnectionError::TimedOut);
        }
    });
    exchange(&lasting, &bytes(500_000));
    let stats = client.stats();
    assert_eq!(stats.sessions_failed, 2 * SESSIONS as u64, "{stats:?}");
    assert_eq!((stats.send_errors, stats.threads_lost), (0, 0), "{stats:?}");
    let stats = server.listener.stats();
    assert_eq!((stats.send_errors, stats.threads_lost), (0, 0), "{stats:?}");
    exchange(&client.connect(server.address).unwrap(), b"a new one");
}

#[test]
fn a_storm_of_unreachable_ports_disturbs_no_other_session() {
    storm(ARRANGEMENTS[0]);
}

#[test]
fn nor_does_it_with_several_workers() {
    storm(ARRANGEMENTS[1]);
}

/// Connected sockets are told. They share a thread.
#[test]
fn sockets_of_their_own_learn_of_closed_ports_and_others_go_on() {
    let server = EchoServer::start(ARRANGEMENTS[0]());
    let lasting = Stream::connect(server.address).unwrap();
    exchange(&lasting, b"hello");
    let relay = Relay::towards(server.address, ());
    let cut = Stream::connect_with(relay.address, &impatient()).unwrap();
    exchange(&cut, b"hello");
    let closed: Vec<_> = (0..SESSIONS).map(|_| ClosedPort::new()).collect();
    let connect = |port: &ClosedPort| Stream::connect(port.address()).unwrap();
    let never: Vec<_> = closed.iter().map(connect).collect();
    thread::scope(|scope| {
        let cut = scope.spawn(|| pour(&cut));
        drop(relay);
        let refused: Vec<_> = never.iter().map(|one| scope.spawn(|| pour(one))).collect();
        for end in refused {
            assert_eq!(end.join().unwrap(), ConnectionError::Refused);
        }
        while !cut.is_finished() {
            exchange(&lasting, &bytes(50_000));
        }
        // Once a peer has answered, a forged ICMP message must not end the session.
        assert_eq!(cut.join().unwrap(), ConnectionError::TimedOut);
    });
    exchange(&lasting, &bytes(500_000));
}

/// A port that is closed to all, and that nobody else opens meanwhile: its socket hears itself alone.
struct ClosedPort(UdpSocket);

impl ClosedPort {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(socket.local_addr().unwrap()).unwrap();
        Self(socket)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }
}
