//! Every kind of address at either end, and many connections.

use std::{
    fs,
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use mkcp::{Config, Stream};

use crate::{
    payload::PAYLOAD,
    process::{Chain, DEADLINE, Server, run},
    service::{self, exchange, expect_all},
};

#[test]
fn twenty_connections_share_one_endpoint() {
    let chain = Chain::plain(service::echo(), &["--half-close", "1"]);
    thread::scope(|scope| {
        for number in 0..20 {
            let payload = &PAYLOAD[number * 10_000..][..1_000_000];
            let stream = chain.entry.connect();
            scope.spawn(move || {
                exchange(&stream, payload);
                stream.shutdown(Shutdown::Write).unwrap();
                expect_all(&stream, b"");
            });
        }
    });
    for _ in 0..20 {
        let line = chain.exit.wait_for_log(" closed after ");
        assert!(
            line.contains(" closed after 1000000 bytes in, 1000000 out"),
            "{line}"
        );
    }
}

#[test]
fn one_connection_carries_20_mb_both_ways() {
    let chain = Chain::plain(service::echo(), &[]);
    let stream = chain.entry.connect();
    exchange(&stream, &PAYLOAD.repeat(4));
}

#[test]
fn a_server_that_speaks_first_is_heard_at_once() {
    let (target, _) = service::serve(|mut stream| {
        stream.write_all(b"220 ready\r\n").unwrap();
        stream.read(&mut [0])
    });
    let chain = Chain::plain(target, &[]);
    let started = Instant::now();
    service::expect(&chain.entry.connect(), b"220 ready\r\n");
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
}

/// Sends everything back at a path.
fn unix_echo(path: &Path) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || service::copy_back(&stream));
        }
    });
}

fn unix_stream(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

#[test]
fn unix_sockets_are_forwarded_and_their_file_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (target, entrance) = (
        folder.path().join("a target"),
        folder.path().join("entrance"),
    );
    unix_echo(&target);
    let to = format!("unix://{}/a%20target", folder.path().display());
    let exit = Server::between("mkcp://127.0.0.1:0", &to, &[]);
    let listen = format!("unix://{}", entrance.display());
    let entry = Server::between(&listen, &format!("mkcp://{}", exit.address), &[]);
    assert_eq!(Path::new(&entry.address), entrance);

    let stream = unix_stream(&entrance);
    exchange(&stream, &PAYLOAD);
    stream.shutdown(Shutdown::Write).unwrap();
    expect_all(&stream, b"");
    let (code, _) = entry.stop();
    assert_eq!(code, Some(0));
    assert!(!entrance.exists());
}

#[test]
fn only_a_socket_left_behind_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listen = format!("unix://{}", path.display());
    let target = format!("tcp://{}", service::echo());

    drop(UnixListener::bind(&path).unwrap()); // leaves its file behind
    let server = Server::between(&listen, &target, &[]);
    exchange(&unix_stream(&path), b"hello");

    // Somebody listens there.
    let output = run(&["--listen", &listen, "--to", &target]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), text.lines().count()),
        (Some(1), 1),
        "{text}"
    );
    exchange(&unix_stream(&path), b"hello");
    drop(server);

    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    let output = run(&["--listen", &listen, "--to", &target]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("it is no socket"), "{text}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn ends_of_the_same_kind_are_forwarded_too() {
    let tcp = Server::between(
        "tcp://127.0.0.1:0",
        &format!("tcp://{}", service::echo()),
        &[],
    );
    let stream = tcp.connect();
    stream.shutdown(Shutdown::Read).unwrap();
    drop(stream);
    exchange(&tcp.connect(), &PAYLOAD);

    let exit = Server::between(
        "mkcp://127.0.0.1:0?seed=a",
        &format!("tcp://{}", tcp.address),
        &[],
    );
    let to = format!("mkcp://{}?seed=a", exit.address);
    let relay = Server::between("mkcp://127.0.0.1:0?security=none", &to, &[]);
    let config = Config::builder()
        .security(mkcp::Security::None)
        .build()
        .unwrap();
    let stream = Stream::connect_with(relay.socket_addr(), &config).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    exchange(&stream, &PAYLOAD);
    stream.close().unwrap();
}

#[test]
fn more_connections_than_allowed_wait_for_their_turn() {
    let target = format!("tcp://{}", service::echo());
    let server = Server::between("tcp://127.0.0.1:0", &target, &["--max-connections", "2"]);
    let streams = [server.connect(), server.connect()];
    streams.iter().for_each(|stream| exchange(stream, b"hello"));
    let third = server.connect();
    (&third).write_all(b"hello").unwrap();
    third
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    (&third).read(&mut [0]).unwrap_err();
    third.set_read_timeout(Some(DEADLINE)).unwrap();
    drop(streams);
    service::expect(&third, b"hello");
}
