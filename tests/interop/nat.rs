//! A v2ray client behind a NAT that forgets its mapping in the midst of a download.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use mkcp::{Endpoint, Header, Listener};

use crate::{
    exchange::{self, PAYLOAD, Service},
    link::Link,
    v2ray::V2ray,
};

/// After so many bytes of a download.
const FORGETS_AFTER: usize = 2_000_000;
/// For how long nothing comes before a download counts as dead.
const SILENCE: Duration = Duration::from_secs(5);

/// Passes the datagrams of one client on, and forgets the mapping once.
struct Nat {
    inside: UdpSocket,
    server: SocketAddr,
    client: Mutex<Option<SocketAddr>>,
    outside: Mutex<Arc<UdpSocket>>,
    forgets: AtomicBool,
    stopped: AtomicBool,
}

impl Nat {
    /// Runs to the end of the process, or until it is stopped.
    fn towards(server: SocketAddr) -> Arc<Self> {
        let nat = Arc::new(Self {
            inside: bind(),
            server,
            client: Mutex::default(),
            outside: Mutex::new(Arc::new(bind())),
            forgets: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        });
        let [there, back] = [nat.clone(), nat.clone()];
        thread::spawn(move || there.pass_out());
        thread::spawn(move || back.pass_in());
        nat
    }

    fn address(&self) -> SocketAddr {
        self.inside.local_addr().unwrap()
    }

    /// Whatever the client sends next goes out from another port.
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
            let (Some((length, _)), Some(client)) = (received, client) else {
                continue;
            };
            let _ = self.inside.send_to(&buffer[..length], client);
            let before = passed;
            passed += length;
            if before < FORGETS_AFTER && passed >= FORGETS_AFTER {
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

/// A v2ray client behind a NAT, and our server.
struct Setup {
    _v2ray: V2ray,
    nat: Arc<Nat>,
    listener: Listener,
    entry: SocketAddr,
}

impl Setup {
    fn new(migration: bool) -> Self {
        let link = Link::new(Header::Srtp, Some("correct horse"));
        let builder = Endpoint::builder().config(link.config());
        let endpoint = builder.migration(migration).bind("127.0.0.1:0").unwrap();
        let listener = endpoint.listen().unwrap();
        let acceptor = listener.try_clone().unwrap();
        thread::spawn(move || {
            for stream in acceptor.incoming().map_while(Result::ok) {
                thread::spawn(move || Service::Source.serve(&stream));
            }
        });
        let nat = Nat::towards(listener.local_addr().unwrap());
        let (v2ray, entries) = V2ray::client(&[(link, nat.address())]);
        Self {
            _v2ray: v2ray,
            nat,
            listener,
            entry: entries[0],
        }
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        self.listener.close();
        self.nat.stopped.store(true, Ordering::SeqCst);
    }
}

#[test]
fn v2ray_goes_on_downloading_after_its_mapping_was_forgotten() {
    let setup = Setup::new(true);
    exchange::run("v2ray to us, with a new mapping", || {
        exchange::download(&TcpStream::connect(setup.entry)?, &PAYLOAD)
    });
    let stats = setup.listener.stats();
    assert!(stats.sessions_migrated >= 1);
    let addresses = setup.nat.outside.lock().unwrap().local_addr().unwrap();
    println!(
        "the session moved {} times, to {addresses}",
        stats.sessions_migrated
    );
}

/// What the one above would look like without migration.
#[test]
fn without_migration_the_download_comes_to_an_end() {
    let setup = Setup::new(false);
    let mut socket = TcpStream::connect(setup.entry).unwrap();
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    socket.write_all(b"?").unwrap();
    let mut received = 0;
    let mut buffer = vec![0; 64 * 1024];
    let end = loop {
        match socket.read(&mut buffer) {
            Ok(0) => break "closed".to_owned(),
            Ok(count) => received += count,
            Err(error) => break error.kind().to_string(),
        }
    };
    println!("without migration: {received} bytes, then {end}");
    assert!(received < PAYLOAD.len());
    assert_eq!(setup.listener.stats().sessions_migrated, 0);
}
