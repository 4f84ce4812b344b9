//! What cuts a connection short, and what does not.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::unix::net::UnixStream,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use socket2::{Domain, SockRef, Socket, Type};

use crate::{
    payload::PAYLOAD,
    process::{Chain, DEADLINE, Server},
    service::{self, exchange, expect, expect_all, result},
    tls::Identity,
};

pub(crate) fn assert_reset(mut stream: &TcpStream) {
    let started = Instant::now();
    let mut buffer = [0; 4096];
    let error = loop {
        match stream.read(&mut buffer) {
            Ok(0) => panic!("looks complete"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    println!("reset after {:?}", started.elapsed());
}

/// Sends without end, and gives the error that stops it.
fn pour(mut stream: TcpStream) -> io::Error {
    stream.read_exact(&mut [0]).unwrap();
    loop {
        if let Err(error) = stream.write_all(&PAYLOAD) {
            return error;
        }
    }
}

#[test]
fn a_refused_target_ends_only_that_connection() {
    // Nobody else gets the port, and nobody gets through to it before it listens.
    let reserved = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    reserved.bind(&any.into()).unwrap();
    let target = reserved.local_addr().unwrap().as_socket().unwrap();
    let chain = Chain::plain(target, &[]);
    let stream = chain.entry.connect();
    (&stream).write_all(b"hello").unwrap();
    assert_reset(&stream);
    let line = chain.exit.wait_for_log("cannot reach");
    assert!(
        line.contains(&format!("cannot reach tcp://{target}: ")),
        "{line}"
    );

    reserved.listen(1).unwrap();
    let listener = TcpListener::from(reserved);
    thread::spawn(move || service::copy_back(&listener.accept().unwrap().0));
    exchange(&chain.entry.connect(), b"hello");
}

#[test]
fn a_target_that_has_no_address_ends_only_that_connection() {
    let server = Server::between("tcp://127.0.0.1:0", "mkcp://nowhere.invalid:1", &[]);
    for _ in 0..2 {
        assert_reset(&server.connect());
        server.wait_for_log("cannot reach mkcp://nowhere.invalid:1: ");
    }
}

#[test]
fn a_killed_client_ends_the_session_at_the_other_end_promptly() {
    let (target, results) = service::serve(pour);
    let chain = Chain::plain(target, &[]);
    for reset in [true, false] {
        let stream = chain.entry.connect();
        (&stream).write_all(b"?").unwrap();
        expect(&stream, &PAYLOAD);
        if reset {
            SockRef::from(&stream)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
        }
        drop(stream);
        let started = Instant::now();
        println!("the server: {}", result(&results));
        assert!(
            started.elapsed() < Duration::from_secs(8),
            "{:?}",
            started.elapsed()
        );
        println!("after {:?}", started.elapsed());
    }
}

#[test]
fn a_killed_server_resets_the_client() {
    let (target, _) = service::serve(|mut stream| {
        stream.write_all(&PAYLOAD[..100_000]).unwrap();
        SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    });
    let chain = Chain::plain(target, &[]);
    let stream = chain.entry.connect();
    (&stream).write_all(b"?").unwrap();
    assert_reset(&stream);
}

#[test]
fn a_killed_forwarder_resets_its_clients() {
    let chain = Chain::plain(service::echo(), &[]);
    let stream = chain.entry.connect();
    exchange(&stream, b"hello");
    chain.entry.signal(Signal::KILL);
    assert_reset(&stream);
}

#[test]
fn a_client_that_writes_and_closes_is_heard_to_the_end() {
    let (target, results) = service::serve(|mut stream| {
        let mut buffer = vec![0; 250_000];
        let mut received: Vec<u8> = Vec::new();
        loop {
            match stream.read(&mut buffer).unwrap() {
                0 => return received == *PAYLOAD,
                count => received.extend(&buffer[..count]),
            }
            thread::sleep(Duration::from_millis(50));
        }
    });
    let chain = Chain::plain(target, &["--half-close", "1"]);
    let mut stream = chain.entry.connect();
    stream.write_all(&PAYLOAD).unwrap();
    drop(stream);
    assert!(result(&results));
}

/// Some 20 kB/s: more than the usual linger time of 10 s.
const SLOW: &str = "congestion=fixed&uplink=0&tti=500";

#[test]
fn over_a_slow_path_everything_is_delivered_long_after_the_end() {
    let (target, results) = service::serve(|mut stream| {
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        received == PAYLOAD[..400_000]
    });
    let chain = Chain::new(SLOW, SLOW, target, &["--half-close", "1"]);
    let started = Instant::now();
    let mut stream = chain.entry.connect();
    stream.write_all(&PAYLOAD[..400_000]).unwrap();
    drop(stream);
    assert!(result(&results));
    println!("after {:?}", started.elapsed());
    assert!(started.elapsed() > Duration::from_secs(12));
}

/// There the last end is told while much is still on its way: the answer has ended before.
#[test]
fn over_a_slow_path_with_tls_everything_is_delivered_long_after_the_end() {
    let identity = Identity::new();
    let (target, results) = service::serve(|mut stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        received == PAYLOAD[..400_000]
    });
    let server = format!("{SLOW}&{}", identity.server());
    let client = format!("{SLOW}&{}", identity.client());
    let chain = Chain::new(&server, &client, target, &[]);
    let mut stream = chain.entry.connect();
    expect_all(&stream, b"");
    let started = Instant::now();
    stream.write_all(&PAYLOAD[..400_000]).unwrap();
    drop(stream);
    assert!(result(&results));
    println!("after {:?}", started.elapsed());
    assert!(started.elapsed() > Duration::from_secs(12));
}

/// The target has said and ended all when what is written to it draws a reset. What it said waits
/// for a client that does not read.
fn keep_writing_to_who_has_closed(writes: usize) {
    const ANSWER: usize = 250_000; // More than the client's socket holds.
    let (target, closed) = service::serve(|mut stream| {
        stream.read_exact(&mut [0]).unwrap();
        stream.write_all(&PAYLOAD[..ANSWER]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        thread::sleep(Duration::from_millis(500));
    });
    let folder = tempfile::tempdir().unwrap();
    let listen = format!("unix://{}", folder.path().join("entrance").display());
    let server = Server::between(&listen, &format!("tcp://{target}"), &[]);
    let stream = UnixStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    (&stream).write_all(b"?").unwrap();
    result(&closed);
    for _ in 0..writes {
        thread::sleep(Duration::from_millis(100));
        (&stream).write_all(b"!").unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    thread::sleep(Duration::from_millis(100));
    expect_all(&stream, &PAYLOAD[..ANSWER]);
    let line = server.wait_for_log(" bytes in, ");
    assert!(
        line.contains(" closed after ") && line.contains(" 250000 out"),
        "{line}"
    );
}

#[test]
fn a_reset_after_the_end_takes_nothing_from_a_slow_reader() {
    // The first draws the reset, the second meets it.
    for writes in [1, 2, 5] {
        keep_writing_to_who_has_closed(writes);
    }
}

#[test]
fn ctrl_c_lets_a_transfer_run_to_its_end() {
    let (target, _) = service::serve(|mut stream| {
        stream.read_exact(&mut [0]).unwrap();
        stream.write_all(&PAYLOAD).unwrap();
    });
    let chain = Chain::plain(target, &["--drain", "50"]);
    let stream = chain.entry.connect();
    (&stream).write_all(b"?").unwrap();
    expect(&stream, &PAYLOAD[..1000]);
    for server in [&chain.entry, &chain.exit] {
        server.signal(Signal::INT);
        assert_eq!(
            server.next_line(),
            "connections left: 1, which have 50 s to end"
        );
    }
    TcpStream::connect(chain.entry.socket_addr()).unwrap_err();
    thread::sleep(Duration::from_millis(500));
    expect(&stream, &PAYLOAD[1000..]);
    expect_all(&stream, b"");
    drop(stream);
    for server in [chain.entry, chain.exit] {
        assert_eq!(server.wait(), (Some(0), vec![]));
    }
}

#[test]
fn what_does_not_end_in_time_is_cut_off_visibly() {
    let chain = Chain::plain(service::echo(), &["--drain", "1"]);
    let stream = chain.entry.connect();
    exchange(&stream, b"hello");
    chain.exit.signal(Signal::TERM);
    assert_reset(&stream);
    let (code, lines) = chain.exit.wait();
    assert_eq!(code, Some(0));
    assert_eq!(
        lines,
        [
            "connections left: 1, which have 1 s to end",
            "connections cut off: 1"
        ]
    );
    // Without connections it ends at once.
    let started = Instant::now();
    assert_eq!(chain.entry.stop(), (Some(0), vec![]));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_second_ctrl_c_ends_everything_at_once() {
    let chain = Chain::plain(service::echo(), &["--drain", "3600"]);
    let stream = chain.entry.connect();
    exchange(&stream, b"hello");
    chain.entry.signal(Signal::INT);
    chain.entry.next_line();
    chain.entry.signal(Signal::INT);
    assert_reset(&stream);
    let (code, lines) = chain.entry.wait();
    assert_eq!(
        (code, lines),
        (Some(0), vec!["connections cut off: 1".to_owned()])
    );
}

/// What stands in a line after these words; not a number if it is a dash.
fn number(line: &str, before: &str) -> f64 {
    let rest = line.split_once(before).unwrap().1;
    let word = rest.split([' ', ',']).next().unwrap();
    word.parse().unwrap_or(f64::NAN)
}

#[test]
fn who_only_receives_shows_no_waste_either() {
    let (target, _) = service::serve(|mut stream| {
        stream.write_all(b"!").unwrap();
        io::copy(&mut stream, &mut io::sink())
    });
    let chain = Chain::plain(target, &["--stats", "1"]);
    let stream = chain.entry.connect();
    (&stream).write_all(&PAYLOAD).unwrap();
    for server in [&chain.entry, &chain.exit] {
        let line = (0..10)
            .map(|_| server.next_line())
            .find(|line| number(line, " in ") > 0.1)
            .unwrap();
        println!("{line}");
        assert!((1.0..2.0).contains(&number(&line, " waste ")), "{line}");
    }
}

#[test]
fn the_numbers_of_a_transfer_are_shown() {
    let chain = Chain::plain(service::echo(), &["--stats", "1"]);
    let stream = chain.entry.connect();
    exchange(&stream, &PAYLOAD);
    let line = (0..10)
        .map(|_| chain.entry.next_line())
        .find(|line| line.starts_with("connections 1, total 1, in ") && !line.contains("waste -"))
        .unwrap();
    println!("{line}");
    let number = |before| number(&line, before);
    assert!(number(" in ") > 0.0);
    assert!(number(" rtt mean ") > 0.0 && number(" max ") >= number(" rtt mean "));
    assert!((0.0..50.0).contains(&number(" loss ")));
    assert!((1.0..2.0).contains(&number(" waste ")));

    // Datagrams of a stranger are counted by reason.
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let noise = [7; 100];
    stranger.send_to(&noise, chain.exit.socket_addr()).unwrap();
    let dropped = |line: &String| line.ends_with(", dropped bad_seal=1");
    let line = (0..10).map(|_| chain.exit.next_line()).find(dropped);
    println!("{line:?}");
    line.unwrap();
}
