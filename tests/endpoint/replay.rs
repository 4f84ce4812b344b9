//! Whole sessions recorded on their way, and sent once more.

use std::{
    collections::HashSet,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use mkcp::{
    Config, DropReason, EndpointStats, Listener, Stream,
    internal::{
        packet::PacketCodec,
        wire::{CommandKind, Segment, Segments, SeqNum},
    },
};

use super::{EchoServer, PATIENCE, bytes, eventually, exchange, hostile::expect_drop, small};

/// Stands between a client and a server, and keeps a copy of what passes.
struct Recorder {
    address: SocketAddr,
    /// What the server takes for the client.
    outside: UdpSocket,
    tape: Arc<Mutex<Tape>>,
    stopped: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Tape {
    client: Option<SocketAddr>,
    datagrams: Vec<Vec<u8>>,
    /// How many of the first datagrams are kept from the server.
    withheld: usize,
}

impl Recorder {
    fn towards(server: SocketAddr, withheld: usize) -> Self {
        let bind = || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let tick = Duration::from_millis(20);
            socket.set_read_timeout(Some(tick)).unwrap();
            socket
        };
        let (inside, outside) = (bind(), bind());
        outside.connect(server).unwrap();
        let tape = Arc::new(Mutex::new(Tape {
            withheld,
            ..Tape::default()
        }));
        let stopped = Arc::new(AtomicBool::new(false));
        let address = inside.local_addr().unwrap();
        let there = {
            let (inside, outside) = (inside.try_clone().unwrap(), outside.try_clone().unwrap());
            let (tape, stopped) = (tape.clone(), stopped.clone());
            thread::spawn(move || {
                pass_on(&inside, &stopped, |datagram, from| {
                    let mut tape = tape.lock().unwrap();
                    tape.client = Some(from);
                    tape.datagrams.push(datagram.to_vec());
                    if tape.datagrams.len() > tape.withheld {
                        let _ = outside.send(datagram);
                    }
                });
            })
        };
        let back = {
            let outside = outside.try_clone().unwrap();
            let (tape, stopped) = (tape.clone(), stopped.clone());
            thread::spawn(move || {
                pass_on(&outside, &stopped, |datagram, _| {
                    if let Some(client) = tape.lock().unwrap().client {
                        let _ = inside.send_to(datagram, client);
                    }
                });
            })
        };
        Self {
            address,
            outside,
            tape,
            stopped,
            threads: vec![there, back],
        }
    }

    /// Ends the recording; gives what the client sent, and the address it was sent from.
    fn stop(mut self) -> (Vec<Vec<u8>>, UdpSocket) {
        self.stopped.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        let datagrams = std::mem::take(&mut self.tape.lock().unwrap().datagrams);
        (datagrams, self.outside)
    }
}

fn pass_on(from: &UdpSocket, stopped: &AtomicBool, mut pass: impl FnMut(&[u8], SocketAddr)) {
    let mut buffer = [0; 2048];
    while !stopped.load(Ordering::SeqCst) {
        match from.recv_from(&mut buffer) {
            Ok((length, source)) => pass(&buffer[..length], source),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => panic!("{error}"),
        }
    }
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
    for (datagram, sent) in tape.iter().zip(1..) {
        socket.send(datagram).unwrap();
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
    let recorder = Recorder::towards(server.address, 0);
    let client = Stream::connect_with(recorder.address, &sealed()).unwrap();
    exchange(&client, &bytes(20_000));
    exchange(&client, b"one more");
    client.close().unwrap();
    eventually("the session is over", PATIENCE, || {
        listener.active_connections() == 0
    });
    let (tape, address) = recorder.stop();
    let different: HashSet<_> = tape.iter().collect();
    assert_eq!(
        different.len(),
        tape.len(),
        "what is repeated is sealed anew"
    );

    let stats = replay(listener, &tape, &address);
    assert!(stats.drops.get(DropReason::Tombstone) > 0);
    let elsewhere = UdpSocket::bind("127.0.0.1:0").unwrap();
    elsewhere.connect(server.address).unwrap();
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
    let recorder = Recorder::towards(address, 1);
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
    let (tape, _) = recorder.stop();
    let elsewhere = UdpSocket::bind("127.0.0.1:0").unwrap();
    elsewhere.send_to(&tape[0], address).unwrap();
    assert_ne!(first, read());
}
