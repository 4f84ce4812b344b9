//! What `mkcp` promises beyond `std::net`.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use mkcp::{Config, ConnectionError, Listener, Stream};

use crate::{
    pattern::pattern,
    support::{DEADLINE, SHORT, blocked, eventually, expect_all, kind, within_deadline},
    transport::Mkcp,
    writing::fill,
};

fn pair() -> (Stream, Stream) {
    Stream::pair(&Config::default()).unwrap()
}

fn listener() -> Listener {
    Listener::bind("127.0.0.1:0").unwrap()
}

#[test]
fn closing_a_listener_wakes_accept() {
    within_deadline(|| {
        let listener = listener();
        let accepted = blocked(|| listener.accept(), || listener.close());
        assert_eq!(kind(accepted), ErrorKind::NotConnected);
        assert_eq!(kind(listener.accept()), ErrorKind::NotConnected);
        let again = listener.accept_timeout(DEADLINE);
        assert_eq!(kind(again), ErrorKind::NotConnected);
    });
}

#[test]
fn incoming_ends_when_the_listener_is_closed() {
    within_deadline(|| {
        let listener = listener();
        let _client = Stream::connect(listener.local_addr().unwrap()).unwrap();
        let mut incoming = listener.incoming();
        assert!(incoming.next().unwrap().is_ok());
        let none = blocked(|| incoming.next().is_none(), || listener.close());
        assert!(none);
        assert!(listener.incoming().next().is_none());
    });
}

#[test]
fn accepted_streams_outlive_their_listener() {
    within_deadline(|| {
        let listener = listener();
        let mut client = Stream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        drop(listener);
        client.write_all(b"x").unwrap();
        assert_eq!(server.read(&mut [0]).unwrap(), 1);
    });
}

#[test]
fn accept_can_be_timed() {
    within_deadline(|| {
        let listener = listener();
        let started = Instant::now();
        assert_eq!(kind(listener.accept_timeout(SHORT)), ErrorKind::TimedOut);
        assert!(started.elapsed() >= SHORT);
        let _client = Stream::connect(listener.local_addr().unwrap()).unwrap();
        listener.accept_timeout(DEADLINE).unwrap();
    });
}

#[test]
fn options_reach_calls_that_are_blocked() {
    within_deadline(|| {
        let (client, _server) = pair();
        let read = || (&client).read(&mut [0]);
        let late = blocked(read, || client.set_read_timeout(Some(SHORT)).unwrap());
        assert_eq!(kind(late), ErrorKind::TimedOut);
        client.set_read_timeout(None).unwrap();
        let refused = blocked(read, || client.set_nonblocking(true).unwrap());
        assert_eq!(kind(refused), ErrorKind::WouldBlock);
    });
}

#[test]
fn a_peer_that_has_shut_down_writing_still_gets_its_answer() {
    within_deadline(|| {
        let (mut client, mut server) = pair();
        client.write_all(b"request").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut request = [0; 7];
        server.read_exact(&mut request).unwrap();
        let answer = pattern(500_000, 7);
        server.write_all(&answer).unwrap();
        drop(server);
        expect_all(&mut client, &answer);
    });
}

#[test]
fn close_returns_when_the_peer_has_everything() {
    within_deadline(|| {
        let (mut client, mut server) = pair();
        let sent = pattern(1_000_000, 8);
        client.write_all(&sent).unwrap();
        client.close().unwrap();
        expect_all(&mut server, &sent);
    });
}

#[test]
fn close_tells_when_the_peer_does_not_take_everything() {
    within_deadline(|| {
        let (client, _server) = pair();
        fill::<Mkcp>(&client);
        client.set_linger(Some(SHORT)).unwrap();
        let started = Instant::now();
        assert_eq!(kind(client.close()), ErrorKind::TimedOut);
        assert!(started.elapsed() < DEADLINE / 2);
    });
}

#[test]
fn more_time_can_be_given_after_the_end() {
    within_deadline(|| {
        let (client, mut server) = pair();
        fill::<Mkcp>(&client);
        let written = client.stats().bytes_written;
        client.set_linger(Some(4 * SHORT)).unwrap();
        client.shutdown(Shutdown::Both).unwrap();
        client.set_linger(Some(DEADLINE)).unwrap();
        thread::sleep(8 * SHORT);
        let mut received = Vec::new();
        server.read_to_end(&mut received).unwrap();
        assert_eq!(received.len() as u64, written);
    });
}

#[test]
fn a_stream_that_lingers_has_delivered_when_it_is_dropped() {
    within_deadline(|| {
        let (mut client, server) = pair();
        client.set_linger(Some(DEADLINE)).unwrap();
        client.write_all(&pattern(300_000, 9)).unwrap();
        drop(client);
        server.set_nonblocking(true).unwrap();
        assert!((&server).read(&mut [0; 10]).unwrap() > 0);
    });
}

#[test]
fn connections_are_gone_soon_after_both_ends_closed() {
    within_deadline(|| {
        let listener = listener();
        let client = Stream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        assert_eq!(listener.active_connections(), 1);
        drop(client);
        drop(server);
        let ended = Instant::now();
        eventually(|| (listener.active_connections() == 0).then_some(()));
        assert!(
            ended.elapsed() < Duration::from_secs(1),
            "{:?}",
            ended.elapsed()
        );
    });
}

#[test]
fn a_silent_peer_lets_connect_timeout_pass() {
    within_deadline(|| {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        let started = Instant::now();
        let connected = Stream::connect_timeout(&address, &Config::default(), SHORT);
        assert_eq!(kind(connected), ErrorKind::TimedOut);
        assert!(started.elapsed() >= SHORT);
    });
}

#[test]
fn a_wrong_seed_is_a_peer_that_is_not_there() {
    within_deadline(|| {
        let seed = |seed: &str| Config::builder().seed(seed).build().unwrap();
        let listener = Listener::bind_with("127.0.0.1:0", &seed("right")).unwrap();
        let address = listener.local_addr().unwrap();
        let wrong = Stream::connect_timeout(&address, &seed("wrong"), SHORT);
        assert_eq!(kind(wrong), ErrorKind::TimedOut);
        Stream::connect_timeout(&address, &seed("right"), DEADLINE).unwrap();
    });
}

#[test]
fn errors_carry_their_cause() {
    within_deadline(|| {
        let (client, _server) = pair();
        client.reset();
        let error = (&client).write(b"x").unwrap_err();
        let cause = error.get_ref().and_then(|inner| inner.downcast_ref());
        assert_eq!(cause, Some(&ConnectionError::LocallyClosed));
    });
}

#[test]
fn a_reset_is_seen_even_if_no_byte_is_missing() {
    within_deadline(|| {
        let (mut client, mut server) = pair();
        client.write_all(b"x").unwrap();
        server.read_exact(&mut [0]).unwrap();
        eventually(|| (client.stats().send_queue == 0).then_some(()));
        client.reset();
        assert_eq!(kind(server.read(&mut [0])), ErrorKind::ConnectionReset);
    });
}

#[test]
fn both_ends_agree_on_the_conversation() {
    within_deadline(|| {
        let (client, server) = pair();
        assert_eq!(client.conversation(), server.conversation());
        let shown = format!("{client:?}");
        assert!(
            shown.contains(&client.conversation().to_string()),
            "{shown}"
        );
    });
}

#[test]
fn statistics_count_the_bytes() {
    within_deadline(|| {
        let (mut client, mut server) = pair();
        client.write_all(&pattern(50_000, 10)).unwrap();
        server.read_exact(&mut vec![0; 50_000]).unwrap();
        assert_eq!(client.stats().bytes_written, 50_000);
        assert_eq!(server.stats().bytes_read, 50_000);
        eventually(|| (client.stats().send_queue == 0).then_some(()));
        assert!(client.stats().bytes_on_wire_sent >= 50_000);
    });
}

#[test]
fn one_endpoint_carries_streams_in_both_roles() {
    within_deadline(|| {
        let one = mkcp::Endpoint::builder().bind("127.0.0.1:0").unwrap();
        let listener = listener();
        let mut clients: Vec<_> = (0..3)
            .map(|_| one.connect(listener.local_addr().unwrap()).unwrap())
            .collect();
        for _ in 0..clients.len() {
            let (mut server, peer) = listener.accept().unwrap();
            assert_eq!(peer, one.local_addr().unwrap());
            thread::spawn(move || server.write_all(&server.conversation().to_be_bytes()));
        }
        for client in &mut clients {
            let mut conversation = [0; 2];
            client.read_exact(&mut conversation).unwrap();
            assert_eq!(u16::from_be_bytes(conversation), client.conversation());
        }
    });
}
