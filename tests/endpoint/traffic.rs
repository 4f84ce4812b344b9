//! Bytes through endpoints, and that sessions do not disturb each other.

use std::{
    io::{Read, Write},
    net::UdpSocket,
    thread,
    time::{Duration, Instant},
};

use mkcp::{Config, Endpoint, Stream};

use super::{EchoServer, PATIENCE, bytes, exchange, small};

#[test]
fn an_echo_returns_every_byte() {
    let server = EchoServer::start(small());
    let stream = Stream::connect(server.address).unwrap();
    exchange(&stream, &bytes(1 << 20));
    assert_eq!(stream.peer_addr().unwrap(), server.address);
    let stats = server.listener.stats();
    assert_eq!(stats.sessions_accepted, 1);
    assert!(stats.datagrams_received > 0 && stats.datagrams_sent > 0);
    assert!(stats.bytes_sent > 1 << 20);
}

#[test]
fn two_hundred_sessions_on_sockets_of_their_own() {
    let server = EchoServer::start(small().accept_backlog(300));
    let streams: Vec<_> = (0..200)
        .map(|_| Stream::connect(server.address).unwrap())
        .collect();
    exchange_all(&streams);
    assert_eq!(server.listener.active_connections(), 200);
}

#[test]
fn two_hundred_sessions_over_one_port() {
    let server = EchoServer::start(small().accept_backlog(300));
    let client = small().bind("127.0.0.1:0").unwrap();
    let streams: Vec<_> = (0..200)
        .map(|_| client.connect(server.address).unwrap())
        .collect();
    exchange_all(&streams);
    assert_eq!(client.stats().sessions_connected, 200);
    assert_eq!(server.listener.active_connections(), 200);
}

fn exchange_all(streams: &[Stream]) {
    thread::scope(|scope| {
        for (index, stream) in streams.iter().enumerate() {
            scope.spawn(move || exchange(stream, &bytes(2000 + index)));
        }
    });
}

#[test]
fn both_directions_of_one_endpoint_share_its_port() {
    let server = EchoServer::start(small());
    let caller = server.listener.endpoint().clone();
    let other = EchoServer::start(small());
    let stream = caller.connect(other.address).unwrap();
    exchange(&stream, b"from the listener's port");
    assert_eq!(stream.local_addr().unwrap(), server.address);
    let incoming = other.listener.endpoint().connect(server.address).unwrap();
    exchange(&incoming, b"and back");
}

#[test]
fn a_reader_that_does_not_read_stops_only_itself() {
    // One worker, so that both sessions share a thread.
    let server = Endpoint::builder().workers(1).bind("127.0.0.1:0").unwrap();
    let listener = server.listen().unwrap();
    let connect = || Stream::connect(listener.local_addr().unwrap()).unwrap();
    let lazy = connect();
    (&lazy).write_all(b"x").unwrap();
    let (flooding, _) = listener.accept_timeout(PATIENCE).unwrap();
    flooding
        .set_write_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let flood = thread::spawn(move || {
        let chunk = bytes(1 << 20);
        let mut written = 0;
        while let Ok(count) = (&flooding).write(&chunk) {
            written += count;
            assert!(
                written < 64 << 20,
                "nothing stops a writer whose peer does not read"
            );
        }
        flooding
    });
    let busy = connect();
    (&busy).write_all(b"?").unwrap();
    let (answering, _) = listener.accept_timeout(PATIENCE).unwrap();
    thread::spawn(move || std::io::copy(&mut &answering, &mut &answering));
    busy.set_read_timeout(Some(PATIENCE)).unwrap();
    (&busy).read_exact(&mut [0; 1]).unwrap();
    let start = Instant::now();
    for _ in 0..100 {
        exchange(&busy, b"ping");
    }
    let per_round = start.elapsed() / 100;
    assert!(
        per_round < Duration::from_millis(50),
        "{per_round:?} a round"
    );
    let flooding = flood.join().unwrap();
    // What was held back is not lost.
    let written = flooding.stats().bytes_written;
    lazy.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = vec![0; 1 << 20];
    let mut read = 0;
    while read < written {
        read += (&lazy).read(&mut buffer).unwrap() as u64;
    }
}

#[test]
fn seeds_and_headers_work_and_a_wrong_seed_is_counted() {
    let config = |seed: &str| {
        let config = Config::builder().header(mkcp::Header::WechatVideo);
        config.seed(seed).build().unwrap()
    };
    let server = EchoServer::start(small().config(config("right")));
    let stream = Stream::connect_with(server.address, &config("right")).unwrap();
    exchange(&stream, &bytes(100_000));
    let stranger = Stream::connect_with(server.address, &config("wrong")).unwrap();
    (&stranger).write_all(b"let me in").unwrap();
    super::eventually("a bad seal is counted", PATIENCE, || {
        let drops = server.listener.stats().drops;
        drops.get(mkcp::DropReason::BadSeal) > 0
    });
    assert_eq!(server.listener.active_connections(), 1);
}

#[test]
fn a_dual_stack_socket_shows_ipv4_peers_as_ipv4() {
    let Ok(endpoint) = small().bind("[::]:0") else {
        return; // a machine without IPv6
    };
    let port = endpoint.local_addr().unwrap().port();
    let listener = endpoint.listen().unwrap();
    let four = Stream::connect(("127.0.0.1", port)).unwrap();
    (&four).write_all(b"4").unwrap();
    let (accepted, peer) = listener.accept_timeout(PATIENCE).unwrap();
    assert!(peer.is_ipv4(), "{peer}");
    assert!(accepted.local_addr().unwrap().ip().is_loopback());
    thread::spawn(move || super::echo(accepted));
    exchange(&four, &[]);
    let mut answer = [0; 1];
    (&four).read_exact(&mut answer).unwrap();
    // And towards IPv4 from the same kind of socket.
    let server = EchoServer::start(small());
    let stream = listener.endpoint().connect(server.address).unwrap();
    exchange(&stream, b"four inside six");
}

#[test]
#[cfg(target_os = "linux")]
fn answers_come_from_the_address_that_the_peer_used() {
    let server = EchoServer::start_at(small(), "0.0.0.0:0");
    // A connected socket hears nobody but the address it is connected to.
    let stream = Stream::connect(("127.0.0.2", server.address.port())).unwrap();
    exchange(&stream, b"who answers?");
    // And a client may mean this machine by the wildcard.
    let stream = Stream::connect(("0.0.0.0", server.address.port())).unwrap();
    exchange(&stream, b"and here?");
}

#[test]
#[cfg(unix)]
fn several_poll_threads_serve_one_address() {
    let server = EchoServer::start(small().poll_threads(3));
    let streams: Vec<_> = (0..20)
        .map(|_| Stream::connect(server.address).unwrap())
        .collect();
    exchange_all(&streams);
    let caller = server.listener.endpoint();
    let other = EchoServer::start(small());
    exchange(&caller.connect(other.address).unwrap(), &bytes(50_000));
}

#[test]
fn a_bound_socket_can_be_handed_over() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let listener = small().from_socket(socket).unwrap().listen().unwrap();
    assert_eq!(listener.local_addr().unwrap(), address);
    let stream = Stream::connect(address).unwrap();
    (&stream).write_all(b"hello").unwrap();
    let (accepted, _) = listener.accept_timeout(PATIENCE).unwrap();
    (&accepted).read_exact(&mut [0; 5]).unwrap();
}
