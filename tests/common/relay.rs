//! What stands between a client and a server, and has a say in what passes.

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

/// How long a relay may take to notice that it is dropped.
const TICK: Duration = Duration::from_millis(20);

/// Datagrams to `address` are those of one client. Whoever drops a relay closes both its ports.
pub(crate) struct Relay<R> {
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<Mutex<State<R>>>,
    stopped: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

pub(crate) struct State<R> {
    pub(crate) rule: R,
    /// What the server takes for the client.
    pub(crate) outside: Arc<UdpSocket>,
    client: Option<SocketAddr>,
}

/// What a relay does besides passing everything on.
pub(crate) trait Rule: Send + 'static {
    /// Sees what the client has sent before it leaves from a socket, which may be exchanged for
    /// another. Says whether it leaves at all.
    fn outward(&mut self, _: &[u8], _outside: &mut Arc<UdpSocket>) -> bool {
        true
    }

    /// Sees what the server has sent to the client.
    fn inward(&mut self, _: &[u8]) {}
}

/// Nothing else.
impl Rule for () {}

impl<R: Rule> Relay<R> {
    pub(crate) fn towards(server: SocketAddr, rule: R) -> Self {
        let inside = Arc::new(bind());
        let state = State {
            rule,
            outside: Arc::new(bind()),
            client: None,
        };
        let mut relay = Self {
            address: inside.local_addr().unwrap(),
            state: Arc::new(Mutex::new(state)),
            stopped: Arc::default(),
            threads: Vec::new(),
        };
        let (from, state) = (inside.clone(), relay.state.clone());
        relay.carry(
            move || from.clone(),
            move |datagram, client| state.lock().unwrap().pass_out(datagram, client, server),
        );
        let (from, state) = (relay.state.clone(), relay.state.clone());
        relay.carry(
            move || from.lock().unwrap().outside.clone(),
            move |datagram, _| state.lock().unwrap().pass_in(datagram, &inside),
        );
        relay
    }

    /// Takes what comes in on a socket, which may be another each time, in a thread.
    fn carry(
        &mut self,
        socket: impl Fn() -> Arc<UdpSocket> + Send + 'static,
        mut take: impl FnMut(&[u8], SocketAddr) + Send + 'static,
    ) {
        let stopped = self.stopped.clone();
        self.threads.push(thread::spawn(move || {
            let mut buffer = vec![0; 65536];
            while !stopped.load(Ordering::SeqCst) {
                if let Some((length, from)) = receive(&socket(), &mut buffer) {
                    take(&buffer[..length], from);
                }
            }
        }));
    }
}

impl<R: Rule> State<R> {
    fn pass_out(&mut self, datagram: &[u8], client: SocketAddr, server: SocketAddr) {
        self.client = Some(client);
        if self.rule.outward(datagram, &mut self.outside) {
            let _ = self.outside.send_to(datagram, server);
        }
    }

    fn pass_in(&mut self, datagram: &[u8], inside: &UdpSocket) {
        if let Some(client) = self.client {
            let _ = inside.send_to(datagram, client);
            self.rule.inward(datagram);
        }
    }
}

impl<R> Drop for Relay<R> {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

/// A socket for either side of a relay.
pub(crate) fn bind() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(TICK)).unwrap();
    socket
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
    match socket.recv_from(buffer) {
        Ok(received) => Some(received),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
        Err(error) => panic!("{error}"),
    }
}
