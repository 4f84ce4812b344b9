//! How endpoints, listeners, sessions and threads begin and end.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use mkcp::{
    ConnectionError, Decision, Endpoint, Listener, Stream,
    internal::wire::{CommandKind, Data, Options, Segment, SeqNum, Timestamp},
};

use super::{
    ARRANGEMENTS, EchoServer, PATIENCE, bytes, eventually, exchange, expect_end,
    hostile::{Stranger, command, data},
    small,
};

fn cause(error: &std::io::Error) -> Option<ConnectionError> {
    error.get_ref()?.downcast_ref().copied()
}

/// A connection between two endpoints, accepted.
fn connected(listener: &Listener, client: &Endpoint) -> (Stream, Stream) {
    let here = client.connect(listener.local_addr().unwrap()).unwrap();
    (&here).write_all(b"!").unwrap();
    let (there, _) = listener.accept_timeout(PATIENCE).unwrap();
    there.set_read_timeout(Some(PATIENCE)).unwrap();
    here.set_read_timeout(Some(PATIENCE)).unwrap();
    (&there).read_exact(&mut [0; 1]).unwrap();
    (here, there)
}

#[test]
fn closing_a_listener_wakes_accept_and_keeps_accepted_streams() {
    let listener = small().bind("127.0.0.1:0").unwrap().listen().unwrap();
    let client = small().bind("127.0.0.1:0").unwrap();
    let (here, there) = connected(&listener, &client);
    let blocked = {
        let listener = listener.try_clone().unwrap();
        thread::spawn(move || listener.accept().map(|_| ()).unwrap_err().kind())
    };
    thread::sleep(Duration::from_millis(50));
    listener.close();
    assert_eq!(blocked.join().unwrap(), ErrorKind::NotConnected);
    drop(listener);
    (&there).write_all(b"still here").unwrap();
    (&here).read_exact(&mut [0; 10]).unwrap();
    assert_eq!(client.stats().sessions, 1);
}

#[test]
fn sessions_are_gone_soon_after_both_ends_closed() {
    for builder in ARRANGEMENTS {
        let server = EchoServer::start(builder());
        let client = builder().bind("127.0.0.1:0").unwrap();
        let streams: Vec<_> = (0..20)
            .map(|_| client.connect(server.address).unwrap())
            .collect();
        for stream in &streams {
            exchange(stream, b"hello");
            expect_end_of_echo(stream);
        }
        drop(streams);
        eventually("no session is left", Duration::from_secs(1), || {
            server.listener.active_connections() == 0 && client.stats().sessions == 0
        });
        assert_eq!(server.listener.stats().memory, 0);
        assert_eq!(server.listener.stats().sessions_failed, 0);
    }
}

fn expect_end_of_echo(stream: &Stream) {
    stream.shutdown(Shutdown::Both).unwrap();
}

#[test]
fn unaccepted_sessions_end_with_the_listener() {
    let listener = small().bind("127.0.0.1:0").unwrap().listen().unwrap();
    let stream = Stream::connect(listener.local_addr().unwrap()).unwrap();
    (&stream).write_all(b"anybody?").unwrap();
    eventually("the session waits", PATIENCE, || {
        listener.active_connections() == 1
    });
    listener.close();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let error = (&stream).read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    eventually("the session is gone", PATIENCE, || {
        listener.active_connections() == 0
    });
}

#[test]
fn a_graceful_shutdown_delivers_everything_first() {
    for builder in ARRANGEMENTS {
        let server = builder().bind("127.0.0.1:0").unwrap();
        let listener = server.listen().unwrap();
        let client = builder().bind("127.0.0.1:0").unwrap();
        let (here, there) = connected(&listener, &client);
        let sent = bytes(300_000);
        (&there).write_all(&sent).unwrap();
        let reader = thread::spawn(move || {
            let mut received = Vec::new();
            (&here).read_to_end(&mut received).unwrap();
            received
        });
        server.shutdown(PATIENCE).unwrap();
        assert!(reader.join().unwrap() == sent, "bytes are missing");
        let error = listener.accept().unwrap_err();
        assert_eq!(cause(&error), Some(ConnectionError::EndpointClosed));
        let error = (&there).read(&mut [0; 1]).unwrap_err();
        assert_eq!(cause(&error), Some(ConnectionError::EndpointClosed));
    }
}

#[test]
fn an_address_is_free_after_a_shutdown_whoever_still_has_a_stream() {
    for builder in ARRANGEMENTS {
        let server = builder().bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let listener = server.listen().unwrap();
        let client = small().bind("127.0.0.1:0").unwrap();
        let (_here, there) = connected(&listener, &client);
        server.shutdown(PATIENCE).unwrap();
        small().bind(address).unwrap();
        let error = (&there).write(b"too late").unwrap_err();
        assert_eq!(cause(&error), Some(ConnectionError::EndpointClosed));
        assert_eq!(there.local_addr().unwrap(), address);
    }
}

#[test]
fn an_abort_under_load_is_prompt_and_tells_the_peers() {
    for builder in ARRANGEMENTS {
        let server = builder().bind("127.0.0.1:0").unwrap();
        let listener = server.listen().unwrap();
        let client = builder().bind("127.0.0.1:0").unwrap();
        let pairs: Vec<_> = (0..8).map(|_| connected(&listener, &client)).collect();
        thread::scope(|scope| {
            let mut threads = Vec::new();
            for (here, there) in &pairs {
                threads.push(scope.spawn(move || {
                    let chunk = bytes(10_000);
                    let ended = loop {
                        if let Err(error) = (&*there).write_all(&chunk) {
                            break error;
                        }
                    };
                    assert_eq!(cause(&ended), Some(ConnectionError::EndpointClosed));
                }));
                threads.push(scope.spawn(move || {
                    let mut buffer = [0; 10_000];
                    let ended = loop {
                        match (&*here).read(&mut buffer) {
                            Ok(0) => panic!("an aborted stream looks complete"),
                            Ok(_) => {}
                            Err(error) => break error,
                        }
                    };
                    assert_eq!(ended.kind(), ErrorKind::ConnectionReset);
                }));
            }
            thread::sleep(Duration::from_millis(200));
            let start = Instant::now();
            server.clone().shutdown(Duration::ZERO).unwrap();
            assert!(
                start.elapsed() < Duration::from_secs(1),
                "{:?}",
                start.elapsed()
            );
        });
        assert_eq!(server.stats().sessions, 0);
        let refused = server.connect("127.0.0.1:9").unwrap_err();
        assert_eq!(cause(&refused), Some(ConnectionError::EndpointClosed));
    }
}

#[test]
fn a_shutdown_that_cannot_deliver_aborts_in_time() {
    let server = small().bind("127.0.0.1:0").unwrap();
    // Nobody answers there: what is written can never be delivered.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let stream = server.connect(silent.local_addr().unwrap()).unwrap();
    (&stream).write_all(b"into the void").unwrap();
    let start = Instant::now();
    let error = server.shutdown(Duration::from_millis(300)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn dropped_streams_deliver_in_the_background() {
    for builder in ARRANGEMENTS {
        let listener = builder().bind("127.0.0.1:0").unwrap().listen().unwrap();
        let sent = bytes(200_000);
        {
            let stream = Stream::connect(listener.local_addr().unwrap()).unwrap();
            (&stream).write_all(&sent).unwrap();
        }
        let (accepted, _) = listener.accept_timeout(PATIENCE).unwrap();
        accepted.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut received = Vec::new();
        (&accepted).read_to_end(&mut received).unwrap();
        assert!(received == sent, "bytes are missing");
        expect_end(&accepted);
    }
}

#[test]
fn a_dead_worker_fails_everything_that_waits_for_it() {
    let calls = Arc::new(AtomicUsize::new(0));
    let endpoint = Endpoint::builder()
        .workers(1)
        .on_attempt({
            let calls = calls.clone();
            move |_| match calls.fetch_add(1, Ordering::SeqCst) {
                0 => Decision::Accept,
                _ => panic!("a hook must not panic"),
            }
        })
        .bind("127.0.0.1:0")
        .unwrap();
    let listener = endpoint.listen().unwrap();
    let client = small().bind("127.0.0.1:0").unwrap();
    let (_here, there) = connected(&listener, &client);
    there.set_read_timeout(None).unwrap();
    let reader = thread::spawn(move || (&there).read(&mut [0; 1]).unwrap_err());
    let accepting = {
        let listener = listener.try_clone().unwrap();
        thread::spawn(move || listener.accept().map(|_| ()).unwrap_err())
    };
    let second = client.connect(listener.local_addr().unwrap()).unwrap();
    (&second).write_all(b"boom").unwrap();
    assert_eq!(
        cause(&reader.join().unwrap()),
        Some(ConnectionError::Internal)
    );
    assert_eq!(
        cause(&accepting.join().unwrap()),
        Some(ConnectionError::Internal)
    );
    let refused = endpoint.connect("127.0.0.1:9").unwrap_err();
    assert_eq!(cause(&refused), Some(ConnectionError::Internal));
    assert_eq!(endpoint.stats().threads_lost, 1);
    // Whoever waits is woken before the dead worker's sessions are taken down.
    eventually("no session is left", PATIENCE, || {
        endpoint.stats().sessions == 0
    });
    endpoint.shutdown(PATIENCE).unwrap();
}

/// Sets both timeouts, and reads until that passes.
fn expect_time_out(stream: &Stream) {
    for timeout in [60, 20].map(Duration::from_millis) {
        set_timeouts(stream, timeout);
        let start = Instant::now();
        let error = (&*stream).read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() >= timeout, "{:?}", start.elapsed());
    }
}

fn set_timeouts(stream: &Stream, timeout: Duration) {
    stream.set_read_timeout(Some(timeout)).unwrap();
    stream.set_write_timeout(Some(timeout)).unwrap();
    assert_eq!(stream.read_timeout().unwrap(), Some(timeout));
    assert_eq!(stream.write_timeout().unwrap(), Some(timeout));
}

#[test]
fn timeouts_can_be_set_and_hold_however_far_the_end_is() {
    let listener = small().bind("127.0.0.1:0").unwrap().listen().unwrap();
    let mut peer = Stranger::towards(listener.local_addr().unwrap());
    peer.send(data(7, 0, 0));
    let (stream, _) = listener.accept_timeout(PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    (&stream).read_exact(&mut [0; 5]).unwrap();
    expect_time_out(&stream);

    // The peer closes, and the segment before its last is missing.
    peer.send(Segment::Data(Data {
        conversation: 7,
        options: Options::CLOSE,
        timestamp: Timestamp::new(2),
        number: SeqNum::new(2),
        sending_next: SeqNum::new(1),
        payload: b"the end",
    }));
    eventually("writing has ended", PATIENCE, || {
        (&stream).write(b"?").is_err()
    });
    expect_time_out(&stream);

    peer.send(command(7, CommandKind::Terminate, 3));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let error = (&stream).read(&mut [0; 1]).unwrap_err();
    assert_eq!(cause(&error), Some(ConnectionError::Reset));
    set_timeouts(&stream, Duration::from_secs(1));
    stream.reset();
    set_timeouts(&stream, Duration::from_secs(2));

    // Closed here, and what was written is never delivered.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let closing = Stream::connect(silent.local_addr().unwrap()).unwrap();
    (&closing).write_all(b"into the void").unwrap();
    closing.shutdown(Shutdown::Both).unwrap();
    set_timeouts(&closing, Duration::from_secs(3));
}

#[test]
fn binding_fails_as_in_std() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let kind = |address: SocketAddr| Endpoint::builder().bind(address).unwrap_err().kind();
    assert_eq!(kind(taken.local_addr().unwrap()), ErrorKind::AddrInUse);
    // An address for documentation, which no machine has.
    assert_eq!(
        kind(([192, 0, 2, 1], 0).into()),
        ErrorKind::AddrNotAvailable
    );
    let text = "not an address";
    let ours = Endpoint::builder().bind(text).unwrap_err();
    assert_eq!(ours.kind(), UdpSocket::bind(text).unwrap_err().kind());
    let none: &[SocketAddr] = &[];
    let ours = Endpoint::builder().bind(none).unwrap_err();
    assert_eq!(ours.kind(), ErrorKind::InvalidInput);
}

#[test]
fn an_endpoint_has_one_listener_in_its_life() {
    let endpoint = small().bind("127.0.0.1:0").unwrap();
    let listener = endpoint.listen().unwrap();
    assert_eq!(endpoint.listen().unwrap_err().kind(), ErrorKind::AddrInUse);
    drop(listener);
    assert_eq!(endpoint.listen().unwrap_err().kind(), ErrorKind::AddrInUse);
}

#[test]
fn settings_out_of_range_are_named() {
    let refused = |builder: mkcp::EndpointBuilder| {
        let error = builder.bind("127.0.0.1:0").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        error.to_string()
    };
    let workers = refused(Endpoint::builder().workers(0));
    assert_eq!(workers, "workers is 0, must be 1 to 64");
    refused(Endpoint::builder().poll_threads(65));
    refused(Endpoint::builder().accept_backlog(0));
    let sessions = refused(Endpoint::builder().max_sessions(0));
    assert_eq!(sessions, "max_sessions is 0, must be at least 1");
    let unproven = refused(Endpoint::builder().max_unvalidated(0));
    assert_eq!(unproven, "max_unvalidated is 0, must be at least 1");
    let of_source = refused(Endpoint::builder().max_per_source(0));
    assert_eq!(of_source, "max_per_source is 0, must be at least 1");
    let receive = refused(Endpoint::builder().recv_buffer_size(usize::MAX));
    assert!(
        receive.ends_with(", must be 0 to 2147483647 bytes"),
        "{receive}"
    );
    refused(Endpoint::builder().send_buffer_size(1 << 31));
    refused(Endpoint::builder().amplification_factor(0));
    let factor = refused(Endpoint::builder().amplification_factor(101));
    assert_eq!(factor, "amplification_factor is 101, must be 1 to 100");
}

#[test]
fn a_closed_port_refuses() {
    let closed = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let stream = Stream::connect(closed).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    (&stream).write_all(b"hello?").unwrap();
    let error = (&stream).read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn addresses_that_cannot_be_reached_are_refused_at_once() {
    let endpoint = small().bind("127.0.0.1:0").unwrap();
    let kind = |address: &str| endpoint.connect(address).unwrap_err().kind();
    assert_eq!(kind("127.0.0.1:0"), ErrorKind::InvalidInput);
    let own = endpoint.local_addr().unwrap().to_string();
    assert_eq!(kind(&own), ErrorKind::InvalidInput);
    assert_eq!(kind("[::1]:9"), ErrorKind::InvalidInput);
    let error = Stream::connect("127.0.0.1:0").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
