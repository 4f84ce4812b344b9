//! Threads of the library that die of a panic in the program's own code: in the hook that a worker
//! calls, or in a logger, which any of them calls.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use mkcp::{ConnectionError, Decision, DropReason, Endpoint, EndpointBuilder, Listener, Stream};

use super::{
    cause,
    log::Poison,
    process::alone,
    support::{ARRANGEMENTS, EchoServer, PATIENCE, bytes, eventually, exchange, small},
};

/// A listener whose hook panics once it is told to, and a client of it.
struct Fragile {
    listener: Listener,
    client: Endpoint,
    panics: Arc<AtomicBool>,
}

impl Fragile {
    fn new(builder: EndpointBuilder) -> Self {
        let panics = Arc::new(AtomicBool::new(false));
        let hook = panics.clone();
        let builder = builder.on_attempt(move |_| {
            assert!(!hook.load(Ordering::SeqCst), "a hook must not panic");
            Decision::Accept
        });
        let endpoint = builder.bind("127.0.0.1:0").unwrap();
        Self {
            listener: endpoint.listen().unwrap(),
            client: small().bind("127.0.0.1:0").unwrap(),
            panics,
        }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    fn endpoint(&self) -> &Endpoint {
        self.listener.endpoint()
    }

    /// The client's end of a new session, and this one's.
    fn session(&self) -> (Stream, Stream) {
        let here = self.client.connect(self.address()).unwrap();
        (&here).write_all(b"!").unwrap();
        let (there, _) = self.listener.accept_timeout(PATIENCE).unwrap();
        (&there).read_exact(&mut [0]).unwrap();
        here.set_read_timeout(Some(PATIENCE)).unwrap();
        (here, there)
    }

    /// The worker of a new session dies.
    fn kill_worker(&self) {
        self.panics.store(true, Ordering::SeqCst);
        let last = self.client.connect(self.address()).unwrap();
        (&last).write_all(b"boom").unwrap();
        self.wait_for_loss();
    }

    /// A poll thread dies of the line that it logs for a stranger's datagram.
    fn kill_poll_thread(&self) {
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = stranger.local_addr().unwrap();
        let _poison = Poison::new(format!("datagram from {address} dropped"));
        stranger.send_to(b"what is this?", self.address()).unwrap();
        self.wait_for_loss();
    }

    fn wait_for_loss(&self) {
        eventually("a thread is lost", PATIENCE, || {
            self.endpoint().stats().threads_lost == 1
        });
    }
}

/// Has `kill` end all sessions of an endpoint, with calls of every kind waiting for them.
fn expect_that_nothing_waits(builder: EndpointBuilder, kill: impl FnOnce(&Fragile)) {
    let bystander = EchoServer::start(small());
    let untouched = Stream::connect(bystander.address).unwrap();
    let fragile = Fragile::new(builder);
    let (reading, writing) = (fragile.session(), fragile.session());
    // What is sent there is never acknowledged.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let connect = || fragile.endpoint().connect(silent.local_addr().unwrap());
    let (asking, closing) = (connect().unwrap(), connect().unwrap());
    closing.set_linger(Some(Duration::from_secs(60))).unwrap();
    (&closing).write_all(b"to be delivered").unwrap();
    thread::scope(|scope| {
        let calls = [
            scope.spawn(|| (&reading.1).read(&mut [0]).map(drop)),
            scope.spawn(|| pour(&writing.1)),
            scope.spawn(|| (&asking).read(&mut [0]).map(drop)),
            scope.spawn(|| closing.close()),
            scope.spawn(|| fragile.listener.accept().map(drop)),
        ];
        // Nearly all of them wait by then; to one that comes later the same applies.
        thread::sleep(Duration::from_millis(100));
        assert!(!calls.iter().any(|call| call.is_finished()));
        kill(&fragile);
        for call in calls {
            expect_internal(call.join().unwrap());
        }
    });
    exchange(&untouched, &bytes(100_000));
    expect_internal((&reading.1).write(b"?"));
    expect_internal((&writing.1).read(&mut [0]));
    expect_internal(connect());
    eventually("no session is left", PATIENCE, || {
        fragile.endpoint().stats().sessions == 0
    });
    assert_eq!(fragile.endpoint().stats().threads_lost, 1);
    fragile.endpoint().clone().shutdown(PATIENCE).unwrap();
    // Another endpoint may have the address at once.
    let address = fragile.address();
    drop((fragile, reading, writing, asking));
    let again = EchoServer::start_at(small(), &address.to_string());
    exchange(
        &Stream::connect(again.address).unwrap(),
        b"as if nothing had been",
    );
}

/// Writes until that fails.
fn pour(mut stream: &Stream) -> io::Result<()> {
    loop {
        stream.write_all(&[7; 64 * 1024])?;
    }
}

fn expect_internal<T>(result: io::Result<T>) {
    let error = result.err().expect("it fails");
    assert_eq!(cause(&error), Some(ConnectionError::Internal), "{error}");
}

#[test]
fn nothing_waits_for_a_dead_worker_in_the_poll_thread() {
    expect_that_nothing_waits(Endpoint::builder().workers(1), Fragile::kill_worker);
}

#[test]
fn nothing_waits_for_a_dead_poll_thread() {
    for poll_threads in [1, 2] {
        for builder in ARRANGEMENTS {
            let builder = builder().poll_threads(poll_threads);
            expect_that_nothing_waits(builder, Fragile::kill_poll_thread);
        }
    }
}

/// It panics again at the line that tells of what it has done.
#[test]
fn nothing_waits_because_of_a_logger_that_panics_twice() {
    for builder in ARRANGEMENTS {
        expect_that_nothing_waits(builder(), |fragile| {
            let _poison = Poison::new("a poll thread of mkcp died".to_owned());
            fragile.kill_poll_thread();
        });
    }
}

#[test]
fn sessions_of_other_workers_go_on() {
    let fragile = Fragile::new(Endpoint::builder().workers(2));
    let sessions: Vec<_> = (0..64).map(|_| fragile.session()).collect();
    fragile.kill_worker();
    // The listener ends last.
    expect_internal(fragile.listener.accept());
    let mut dead = 0;
    for (here, there) in &sessions {
        match (&*there).write_all(b"still there?") {
            Ok(()) => {
                (&*here).read_exact(&mut [0; 12]).unwrap();
                (&*here).write_all(b"still there.").unwrap();
                (&*there).read_exact(&mut [0; 12]).unwrap();
            }
            failed => {
                expect_internal(failed);
                expect_internal((&*there).read(&mut [0]));
                dead += 1;
            }
        }
    }
    assert!((1..64).contains(&dead), "{dead} of 64 ended");
    eventually("the others are left", PATIENCE, || {
        fragile.endpoint().stats().sessions == 64 - dead
    });
    drop(sessions);
    fragile.endpoint().clone().shutdown(PATIENCE).unwrap();
}

/// Long before its inbox would be full.
#[test]
fn what_comes_for_a_dead_worker_is_counted() {
    let fragile = Fragile::new(Endpoint::builder().workers(2));
    let sessions: Vec<_> = (0..32).map(|_| fragile.session()).collect();
    fragile.kill_worker();
    for (here, _) in &sessions {
        (&*here).write_all(b"still there?").unwrap();
    }
    eventually("it is counted", PATIENCE, || {
        let stats = fragile.endpoint().stats();
        stats.drops.get(DropReason::WorkerBehind) > 0
    });
}

/// All streams on sockets of their own share a thread; it dies of what one of their peers sends.
#[test]
fn the_thread_of_all_sockets_of_their_own_is_replaced() {
    let name = "dead_threads::the_thread_of_all_sockets_of_their_own_is_replaced";
    alone(name, &[], || {
        let server = EchoServer::start(small());
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = peer.local_addr().unwrap();
        let _poison = Poison::new(format!("datagram from {address} dropped"));
        let (asking, other) = (Stream::connect(address).unwrap(), connect(&server));
        (&asking).write_all(b"hello").unwrap();
        let (_, client) = peer.recv_from(&mut [0; 2048]).unwrap();
        peer.send_to(b"what is this?", client).unwrap();
        for stream in [&asking, &other] {
            let mut stream: &Stream = stream;
            expect_internal(stream.read(&mut [0]));
        }
        eventually("another thread is started", PATIENCE, || {
            Stream::connect(server.address).is_ok()
        });
        exchange(&connect(&server), &bytes(100_000));
    });
}

fn connect(server: &EchoServer) -> Stream {
    let stream = Stream::connect(server.address).unwrap();
    exchange(&stream, b"hello");
    stream
}

/// The worker dies after the session is in the queue, perhaps after somebody has accepted it.
#[test]
fn a_session_that_is_accepted_as_its_worker_dies_ends() {
    for builder in ARRANGEMENTS {
        let listener = builder().bind("127.0.0.1:0").unwrap().listen().unwrap();
        let client = small().bind("127.0.0.1:0").unwrap();
        let address = client.local_addr().unwrap();
        let _poison = Poison::new(format!("of {address} opened"));
        thread::scope(|scope| {
            let accepting = scope.spawn(|| {
                let (stream, _) = listener.accept_timeout(PATIENCE)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                (&stream).read_to_end(&mut Vec::new()).map(drop)
            });
            let stream = client.connect(listener.local_addr().unwrap()).unwrap();
            (&stream).write_all(b"hello").unwrap();
            expect_internal(accepting.join().unwrap());
        });
    }
}
