//! Bytes through endpoints, and that sessions do not disturb each other.

use std::{
    io::{Read, Write},
    net::{SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use mkcp::{Config, Stream};

use super::{ARRANGEMENTS, EchoServer, PATIENCE, bytes, exchange, small};

#[test]
fn an_echo_returns_every_byte() {
    for builder in ARRANGEMENTS {
        let server = EchoServer::start(builder());
        let stream = Stream::connect(server.address).unwrap();
        exchange(&stream, &bytes(1 << 20));
        assert_eq!(stream.peer_addr().unwrap(), server.address);
        let stats = server.listener.stats();
        assert_eq!(stats.sessions_accepted, 1);
        assert!(stats.datagrams_received > 0 && stats.datagrams_sent > 0);
        assert!(stats.bytes_sent > 1 << 20);
    }
}

#[test]
fn two_hundred_sessions_on_sockets_of_their_own() {
    for builder in ARRANGEMENTS {
        let server = EchoServer::start(builder().accept_backlog(300));
        let streams: Vec<_> = (0..200)
            .map(|_| Stream::connect(server.address).unwrap())
            .collect();
        exchange_all(&streams);
        assert_eq!(server.listener.active_connections(), 200);
    }
}

#[test]
fn two_hundred_sessions_over_one_port() {
    for builder in ARRANGEMENTS {
        let server = EchoServer::start(builder().accept_backlog(300));
        let client = builder().bind("127.0.0.1:0").unwrap();
        let streams: Vec<_> = (0..200)
            .map(|_| client.connect(server.address).unwrap())
            .collect();
        exchange_all(&streams);
        assert_eq!(client.stats().sessions_connected, 200);
        assert_eq!(server.listener.active_connections(), 200);
    }
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
    for builder in ARRANGEMENTS {
        let server = EchoServer::start(builder());
        let caller = server.listener.endpoint().clone();
        let other = EchoServer::start(builder());
        let stream = caller.connect(other.address).unwrap();
        exchange(&stream, b"from the listener's port");
        assert_eq!(stream.local_addr().unwrap(), server.address);
        let incoming = other.listener.endpoint().connect(server.address).unwrap();
        exchange(&incoming, b"and back");
    }
}

#[test]
fn a_reader_that_does_not_read_stops_only_itself() {
    for builder in ARRANGEMENTS {
        // With one worker both sessions share a thread.
        let server = builder().bind("127.0.0.1:0").unwrap();
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
}

#[test]
fn seeds_and_headers_work_and_a_wrong_seed_is_counted() {
    for builder in ARRANGEMENTS {
        let config = |seed: &str| {
            let config = Config::builder().header(mkcp::Header::WechatVideo);
            config.seed(seed).build().unwrap()
        };
        let server = EchoServer::start(builder().config(config("right")));
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

/// The system spreads the clients over the four sockets; those of both directions.
#[test]
#[cfg(target_os = "linux")]
fn four_poll_threads_split_no_session_and_answer_from_the_right_address() {
    const CLIENTS: u8 = 40;
    let listener = small()
        .poll_threads(4)
        .bind("0.0.0.0:0")
        .unwrap()
        .listen()
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            // A connected socket hears nobody but the address it is connected to.
            let address = ([127, 0, 0, 1 + number % 4], port);
            let stream = Stream::connect(SocketAddr::from(address)).unwrap();
            (&stream).write_all(&[number]).unwrap();
            stream
        })
        .collect();
    let mut accepted = Vec::new();
    for _ in 0..CLIENTS {
        let (stream, _) = listener.accept_timeout(PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut number = [0];
        (&stream).read_exact(&mut number).unwrap();
        let used = clients[usize::from(number[0])].peer_addr().unwrap();
        assert_eq!(stream.local_addr().unwrap(), used);
        accepted.push(stream);
    }
    // The clients ask and are answered, then the server asks over the same sessions.
    for asker in [&clients, &accepted] {
        let answering = if std::ptr::eq(asker, &clients) {
            &accepted
        } else {
            &clients
        };
        thread::scope(|scope| {
            for stream in answering {
                scope.spawn(move || answer_once(stream, 20_000));
            }
            for stream in asker {
                scope.spawn(move || exchange(stream, &bytes(20_000)));
            }
        });
    }
    let stats = listener.stats();
    assert_eq!(stats.sessions_accepted, u64::from(CLIENTS), "{stats:?}");
    assert_eq!(stats.sessions, u64::from(CLIENTS), "{stats:?}");
}

/// A client with four sockets sends by the first and is answered at any.
#[test]
#[cfg(target_os = "linux")]
fn a_client_with_four_poll_threads_hears_answers_at_each_of_its_sockets() {
    let servers: Vec<_> = (0..12).map(|_| EchoServer::start(small())).collect();
    let client = small().poll_threads(4).bind("127.0.0.1:0").unwrap();
    let streams: Vec<_> = servers
        .iter()
        .map(|server| client.connect(server.address).unwrap())
        .collect();
    exchange_all(&streams);
    for server in &servers {
        assert_eq!(server.listener.stats().sessions_accepted, 1);
    }
}

fn answer_once(mut stream: &Stream, count: usize) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut question = vec![0; count];
    stream.read_exact(&mut question).unwrap();
    stream.write_all(&question).unwrap();
}

#[test]
fn tiny_socket_buffers_lose_much_and_stop_nothing() {
    let tiny = || small().recv_buffer_size(4096).send_buffer_size(4096);
    let server = EchoServer::start(tiny());
    let client = tiny().bind("127.0.0.1:0").unwrap();
    let stream = client.connect(server.address).unwrap();
    exchange(&stream, &bytes(200_000));
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
