//! A NAT with one client, which forgets the mapping again and again.

use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Datagrams to `address` are the client's. Whenever so many bytes more have come in for it, what it
/// sends next goes out from another port, and nothing that is sent to the old one comes in any more.
pub(crate) struct Nat {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    inside: UdpSocket,
    server: SocketAddr,
    forgets_after: usize,
    client: Mutex<Option<SocketAddr>>,
    outside: Mutex<Arc<UdpSocket>>,
    forgets: AtomicBool,
    stopped: AtomicBool,
}

impl Nat {
    pub(crate) fn towards(server: SocketAddr, forgets_after: usize) -> Self {
        let inside = bind();
        let address = inside.local_addr().unwrap();
        let shared = Arc::new(Shared {
            inside,
            server,
            forgets_after,
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
    pub(crate) fn outside(&self) -> SocketAddr {
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
            if passed >= self.forgets_after {
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
