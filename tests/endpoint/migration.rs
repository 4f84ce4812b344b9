//! Clients behind a NAT that forgets their mapping in the midst of a transfer.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use mkcp::{Config, EndpointBuilder, Stream};

use super::{ARRANGEMENTS, PATIENCE, bytes};

const LENGTH: usize = 3_000_000;
const FORGETS_AFTER: usize = 1_000_000;

/// A NAT with one client, which forgets the mapping whenever so many bytes more have come in: what
/// the client sends next goes out from another port, and nothing that is sent to the old one comes
/// in any more.
struct Nat {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    inside: UdpSocket,
    server: SocketAddr,
    client: Mutex<Option<SocketAddr>>,
    outside: Mutex<Arc<UdpSocket>>,
    forgets: AtomicBool,
    stopped: AtomicBool,
}

impl Nat {
    fn towards(server: SocketAddr) -> Self {
        let inside = bind();
        let address = inside.local_addr().unwrap();
        let shared = Arc::new(Shared {
            inside,
            server,
            client: Mutex::default(),
            outside: Mutex::new(Arc::new(bind())),
            forgets: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        });
        let [there, back] = [shared.clone(), shared.clone()];
        let threads = vec![
            thread::spawn(move || there.pass_out()),
            thread::spawn(move || back.pass_in()),
        ];
        Self {
            address,
            shared,
            threads,
        }
    }

    /// What the server takes for the client.
    fn outside(&self) -> SocketAddr {
        let outside = self.shared.outside.lock().unwrap();
        outside.local_addr().unwrap()
    }
}

impl Drop for Nat {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

impl Shared {
    fn pass_out(&self) {
        let mut buffer = [0; 2048];
        while !self.stopped.load(Ordering::SeqCst) {
            let Some((length, from)) = receive(&self.inside, &mut buffer) else {
                continue;
            };
            *self.client.lock().unwrap() = Some(from);
            let mut outside = self.outside.lock().unwrap();
            if self.forgets.swap(false, Ordering::SeqCst) {
                *outside = Arc::new(bind());
            }
            let _ = outside.send_to(&buffer[..length], self.server);
        }
    }

    fn pass_in(&self) {
        let mut buffer = [0; 2048];
        let mut passed = 0;
        while !self.stopped.load(Ordering::SeqCst) {
            let outside = self.outside.lock().unwrap().clone();
            let received = receive(&outside, &mut buffer);
            let client = *self.client.lock().unwrap();
            if let (Some((length, _)), Some(client)) = (received, client) {
                let _ = self.inside.send_to(&buffer[..length], client);
                passed += length;
            }
            if passed >= FORGETS_AFTER {
                passed = 0;
                self.forgets.store(true, Ordering::SeqCst);
            }
        }
    }
}

fn bind() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tick = Duration::from_millis(20);
    socket.set_read_timeout(Some(tick)).unwrap();
    socket
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
    match socket.recv_from(buffer) {
        Ok(received) => Some(received),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
        Err(error) => panic!("{error}"),
    }
}

fn sealed() -> Config {
    Config::builder().seed("correct horse").build().unwrap()
}

/// A server sends what the client reads, and perhaps reads as much.
fn transfer(builder: EndpointBuilder, uploads: bool) {
    let listener = builder.config(sealed()).migration(true).bind("127.0.0.1:0");
    let listener = listener.unwrap().listen().unwrap();
    let nat = Nat::towards(listener.local_addr().unwrap());
    let client = Stream::connect_with(nat.address, &sealed()).unwrap();
    let mut writer = &client;
    writer.write_all(b"?").unwrap();
    let (server, first_address) = listener.accept().unwrap();
    assert_eq!(first_address, nat.outside());
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
    }
    (&server).read_exact(&mut [0; 1]).unwrap();

    let payload = bytes(LENGTH);
    thread::scope(|scope| {
        scope.spawn(|| (&server).write_all(&payload).unwrap());
        if uploads {
            scope.spawn(|| (&client).write_all(&payload).unwrap());
            scope.spawn(|| expect(&server, &payload));
        }
        expect(&client, &payload);
    });
    assert!(listener.stats().sessions_migrated >= 2);
    assert_ne!(server.peer_addr().unwrap(), first_address);
    let stats = listener.stats();
    assert_eq!((stats.sessions_accepted, stats.sessions), (1, 1));
    listener.close();
}

fn expect(mut stream: &Stream, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    stream.read_exact(&mut bytes).unwrap();
    assert!(bytes == expected, "other bytes than were sent");
}

#[test]
fn a_download_goes_on_after_its_mapping_was_forgotten() {
    for arrangement in ARRANGEMENTS {
        transfer(arrangement(), false);
    }
}

#[test]
fn traffic_both_ways_goes_on_after_its_mapping_was_forgotten() {
    for arrangement in ARRANGEMENTS {
        transfer(arrangement(), true);
    }
}

#[test]
fn a_session_moves_between_the_sockets_of_an_address() {
    for _ in 0..4 {
        let builder = mkcp::Endpoint::builder().workers(2).poll_threads(3);
        transfer(builder, false);
    }
}
