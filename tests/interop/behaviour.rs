//! How connections with the real v2ray go on and end.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use mkcp::{DropReason, Header, Listener, Stream};

use crate::{link::Link, payload::expect, v2ray::V2ray};

/// An answer of a v2ray that need not wait for a timer of its own.
pub(crate) const PROMPT: Duration = Duration::from_secs(2);
/// v2ray's word that it closes, or waits, rides on a timer of 5 s, whatever we do.
pub(crate) const V2RAY_TIMER: Duration = Duration::from_secs(7);
/// For how long anything may take in these tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

fn plain() -> Link {
    Link::new(Header::None, None)
}

fn sealed(seed: &'static str) -> Link {
    Link::new(Header::None, Some(seed))
}

/// Both ends of one connection: our client, a v2ray server, and what it connects to over TCP.
fn client_through_v2ray() -> (V2ray, Stream, TcpStream) {
    let behind = TcpListener::bind("127.0.0.1:0").unwrap();
    let (v2ray, addresses) = V2ray::server(&[(plain(), behind.local_addr().unwrap())]);
    let mut stream = Stream::connect_with(addresses[0], &plain().config()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"a").unwrap();
    let (tcp, _) = behind.accept().unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    expect(&tcp, b"a").unwrap();
    (v2ray, stream, tcp)
}

/// Both ends of one connection: a TCP client, a v2ray client, and our server.
fn server_behind_v2ray() -> (V2ray, Listener, Stream, TcpStream) {
    let listener = Listener::bind_with("127.0.0.1:0", &plain().config()).unwrap();
    let (v2ray, addresses) = V2ray::client(&[(plain(), listener.local_addr().unwrap())]);
    let mut tcp = TcpStream::connect(addresses[0]).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    tcp.write_all(b"a").unwrap();
    let (stream, _) = listener.accept_timeout(PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    expect(&stream, b"a").unwrap();
    (v2ray, listener, stream, tcp)
}

fn assert_ends_within(limit: Duration, started: Instant, mut reader: impl Read) {
    assert_eq!(reader.read(&mut [0; 8]).unwrap(), 0);
    let time = started.elapsed();
    println!("ended after {time:?}");
    assert!(time < limit, "{time:?}");
}

#[test]
fn v2ray_stops_repeating_its_acknowledgement() {
    let (_v2ray, mut stream, _tcp) = client_through_v2ray();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let error = stream.read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    let acks = stream.stats().acks_received;
    println!("{acks} ACKs in 5 s for one byte");
    assert!((1..=5).contains(&acks), "{acks} ACKs in 5 s for one byte");
}

#[test]
fn our_close_as_client_reaches_the_other_side_of_v2ray() {
    let (_v2ray, stream, tcp) = client_through_v2ray();
    let started = Instant::now();
    stream.close().unwrap();
    assert_ends_within(PROMPT, started, tcp);
}

#[test]
fn our_close_as_server_reaches_the_other_side_of_v2ray() {
    let (_v2ray, _listener, stream, tcp) = server_behind_v2ray();
    let started = Instant::now();
    stream.close().unwrap();
    assert_ends_within(PROMPT, started, tcp);
}

#[test]
fn a_close_behind_a_v2ray_server_reaches_us() {
    let (_v2ray, stream, mut tcp) = client_through_v2ray();
    tcp.write_all(b"b").unwrap();
    expect(&stream, b"b").unwrap();
    let started = Instant::now();
    drop(tcp);
    assert_ends_within(V2RAY_TIMER, started, &stream);
}

#[test]
fn a_close_behind_a_v2ray_client_reaches_us_and_leaves_nothing() {
    let (_v2ray, listener, stream, tcp) = server_behind_v2ray();
    let started = Instant::now();
    drop(tcp);
    assert_ends_within(V2RAY_TIMER, started, &stream);
    drop(stream);
    let deadline = Instant::now() + Duration::from_secs(1);
    while listener.active_connections() > 0 {
        assert!(Instant::now() < deadline, "the session stays");
        let nobody = listener.accept_timeout(Duration::from_millis(20));
        assert_eq!(nobody.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
    println!(
        "gone after {:?}",
        (Instant::now() + PATIENCE).duration_since(deadline)
    );
}

#[test]
fn a_v2ray_client_with_another_seed_is_refused() {
    let listener = Listener::bind_with("127.0.0.1:0", &sealed("ours").config()).unwrap();
    let address = listener.local_addr().unwrap();
    let (_v2ray, addresses) = V2ray::client(&[(sealed("theirs"), address)]);
    let mut tcp = TcpStream::connect(addresses[0]).unwrap();
    tcp.write_all(b"hello").unwrap();
    let deadline = Instant::now() + PATIENCE;
    while listener.stats().drops.get(DropReason::BadSeal) == 0 {
        assert!(Instant::now() < deadline, "nothing was dropped");
        let nobody = listener.accept_timeout(Duration::from_millis(20));
        assert_eq!(nobody.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
    assert_eq!(listener.stats().sessions_accepted, 0);
}

#[test]
fn a_v2ray_server_with_another_seed_does_not_answer() {
    let behind = TcpListener::bind("127.0.0.1:0").unwrap();
    let links = [(sealed("theirs"), behind.local_addr().unwrap())];
    let (_v2ray, addresses) = V2ray::server(&links);
    let timeout = Duration::from_secs(1);
    let result = Stream::connect_timeout(&addresses[0], &sealed("ours").config(), timeout);
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
}
