//! Endpoints on systems that can less, or refuse in mid-flight, and sockets whose peers move among
//! them. The sockets are real.

use std::{
    collections::HashSet,
    io::{ErrorKind, Read, Write},
    net::UdpSocket,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use quinn_udp::Transmit;
use socket2::SockRef;

use super::{builder::open_port, port::Lane, transmit::SendDatagrams, *};

#[cfg(unix)]
mod send_errors;

const PATIENCE: Duration = Duration::from_secs(20);
const BYTES: usize = 600_000;
const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A socket that sends as it is told to.
struct Moody<S> {
    socket: Arc<Socket>,
    mood: S,
    trains: AtomicUsize,
    datagrams: AtomicUsize,
}

impl<S> Moody<S> {
    fn calls(&self) -> usize {
        self.trains.load(Ordering::SeqCst) + self.datagrams.load(Ordering::SeqCst)
    }
}

/// What happens to the n-th train and datagram before the socket gets it.
trait Mood: Send + Sync + 'static {
    fn max_segments(&self, socket: &Socket) -> usize {
        socket.max_segments()
    }

    fn disturb(&self, _call: usize, _socket: &Socket, _transmit: &Transmit<'_>) -> io::Result<()> {
        Ok(())
    }
}

impl<S: Mood> SendDatagrams for Moody<S> {
    fn send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let calls = match transmit.segment_size {
            Some(_) => &self.trains,
            None => &self.datagrams,
        };
        let call = calls.fetch_add(1, Ordering::SeqCst);
        self.mood.disturb(call, &self.socket, transmit)?;
        self.socket.send(transmit)
    }

    fn max_segments(&self) -> usize {
        self.mood.max_segments(&self.socket)
    }
}

/// `UDP_SEGMENT` was refused at the start.
struct WithoutTrains;

impl Mood for WithoutTrains {
    fn max_segments(&self, _: &Socket) -> usize {
        1
    }
}

/// The kernel itself refuses the second train: in its place it gets one of too many datagrams.
struct RefusesSecondTrain;

impl Mood for RefusesSecondTrain {
    fn disturb(&self, call: usize, socket: &Socket, transmit: &Transmit<'_>) -> io::Result<()> {
        if transmit.segment_size.is_none() || call != 1 {
            return Ok(());
        }
        socket.send(&Transmit {
            contents: &[0; 10_000],
            segment_size: Some(1),
            ..transmit.clone()
        })
    }
}

/// Every third time the buffer is full.
struct OftenFull;

impl Mood for OftenFull {
    fn disturb(&self, call: usize, _: &Socket, _: &Transmit<'_>) -> io::Result<()> {
        match call % 3 {
            2 => Err(ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    }
}

fn batched() -> Arc<Socket> {
    let socket = socket::bind(HERE, Sharing::Exclusive).unwrap();
    Arc::new(Socket::new(socket, BufferSizes::default(), None).unwrap())
}

fn plain() -> Arc<Socket> {
    let socket = socket::bind(HERE, Sharing::Exclusive).unwrap();
    Arc::new(Socket::plain(socket, BufferSizes::default()).unwrap())
}

fn open(socket: Arc<Socket>) -> Endpoint {
    open_port(
        Runtime::start(1, 2).unwrap(),
        vec![socket],
        Arc::default(),
        Admission::new(Limits::default(), None),
        Conversations::starting_at(next_start()),
        None,
    )
    .unwrap()
}

/// As `open_port`, but for what sends. Only the first `served` sockets are read.
fn open_lanes(
    sockets: Vec<(Arc<Socket>, Arc<dyn SendDatagrams>)>,
    served: usize,
) -> (Endpoint, Arc<Runtime>) {
    let runtime = Runtime::start(sockets.len(), 2).unwrap();
    let pollers = &runtime.shared().pollers;
    let lanes = sockets.iter().zip(pollers);
    let lanes =
        lanes.map(|((_, sender), poller)| Lane::new(Arc::downgrade(sender), Some(poller.clone())));
    let port = Arc::new(Port::new(
        sockets[0].0.local_addr().unwrap(),
        None,
        Arc::default(),
        Admission::new(Limits::default(), None),
        Conversations::starting_at(next_start()),
        lanes.collect(),
    ));
    let read = sockets.into_iter().take(served).map(|(socket, _)| socket);
    runtime.add(&port, read.collect()).unwrap();
    (Endpoint::new(runtime.clone(), port), runtime)
}

fn moody<S: Mood>(mood: S) -> (Endpoint, Arc<Moody<S>>) {
    let socket = batched();
    let sender = Arc::new(Moody {
        socket: socket.clone(),
        mood,
        trains: AtomicUsize::new(0),
        datagrams: AtomicUsize::new(0),
    });
    let (endpoint, _) = open_lanes(vec![(socket, sender.clone())], 1);
    (endpoint, sender)
}

/// Echoes what comes until nothing is accepted any more.
fn echo<S>(accept: impl Fn() -> io::Result<S> + Send + 'static)
where
    S: Send + Sync + 'static,
    for<'a> &'a S: Read + Write,
{
    thread::spawn(move || {
        while let Ok(stream) = accept() {
            thread::spawn(move || io::copy(&mut &stream, &mut &stream));
        }
    });
}

fn exchange<S: Sync>(stream: &S, count: usize)
where
    for<'a> &'a S: Read + Write,
{
    let sent: Vec<u8> = (0..count).map(|index| (index * 31 % 251) as u8).collect();
    let (mut reader, mut writer) = (stream, stream);
    let mut answer = vec![0; count];
    thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&sent).unwrap());
        reader.read_exact(&mut answer).unwrap();
    });
    assert!(answer == sent, "another answer than the question");
}

/// Moves bytes there and back, and sees that none was given up as an error.
fn expect_transfer(client: &Endpoint, server: &Endpoint) {
    transfer(client, server);
    for endpoint in [client, server] {
        let stats = endpoint.stats();
        assert_eq!(stats.send_errors, 0, "{stats:?}");
    }
}

/// Moves bytes there and back.
fn transfer(client: &Endpoint, server: &Endpoint) {
    let listener = server.listen().unwrap();
    let listening = listener.try_clone().unwrap();
    echo(move || Ok(listening.accept()?.0));
    let stream = client.connect(server.local_addr().unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    exchange(&stream, BYTES);
    assert_eq!(server.stats().sessions_accepted, 1);
    listener.close();
}

/// A call is counted before its datagrams, which may be under way.
fn expect_single_datagrams(endpoint: &Endpoint) {
    let stats = endpoint.stats();
    assert!(stats.send_calls >= stats.datagrams_sent, "{stats:?}");
}

#[test]
fn plain_system_calls_do_for_either_end_or_both() {
    expect_transfer(&open(plain()), &open(batched()));
    expect_transfer(&open(batched()), &open(plain()));
    let (client, server) = (open(plain()), open(plain()));
    expect_transfer(&client, &server);
    expect_single_datagrams(&client);
}

#[test]
fn without_trains_from_the_start_every_datagram_has_a_call() {
    let (client, sender) = moody(WithoutTrains);
    expect_transfer(&client, &open(batched()));
    assert_eq!(sender.trains.load(Ordering::SeqCst), 0);
    expect_single_datagrams(&client);
}

#[test]
#[cfg(target_os = "linux")]
fn a_kernel_that_refuses_a_train_gets_datagrams_from_then_on() {
    let (client, sender) = moody(RefusesSecondTrain);
    if sender.max_segments() == 1 {
        return; // a kernel without trains
    }
    expect_transfer(&client, &open(batched()));
    assert_eq!(sender.max_segments(), 1, "it is remembered");
    let trains = sender.trains.load(Ordering::SeqCst);
    // What one worker had under way for its session; there is one session.
    assert!((2..=6).contains(&trains), "{trains} trains");
    let datagrams = sender.datagrams.load(Ordering::SeqCst);
    assert!(datagrams > BYTES / 1400 - 100, "{datagrams} datagrams");
}

#[test]
#[cfg(target_os = "linux")]
fn a_refused_datagram_says_nothing_of_trains() {
    let socket = batched();
    let before = socket.max_segments();
    let to_nobody = Transmit {
        destination: ([127, 0, 0, 1], 0).into(),
        ecn: None,
        contents: b"port 0 is none",
        segment_size: None,
        src_ip: None,
    };
    let error = socket.send(&to_nobody).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(socket.max_segments(), before, "peers can provoke that");
}

#[test]
fn a_buffer_that_is_often_full_delays_and_loses_nothing() {
    let ((client, _client), (server, _server)) = (moody(OftenFull), moody(OftenFull));
    expect_transfer(&client, &server);
    assert!(client.stats().send_blocked > 0 && server.stats().send_blocked > 0);
}

/// The poll facility of the second thread knows the socket already, and refuses it.
#[test]
#[cfg(target_os = "linux")]
fn a_socket_that_cannot_be_served_leaves_no_thread_behind() {
    let runtime = Runtime::start(2, 2).unwrap();
    let (first, second) = (batched(), batched());
    let before = socket_in_use(&runtime, &second);
    let sockets = vec![first.clone(), second];
    let error = open_port(
        runtime.clone(),
        sockets,
        Arc::default(),
        Admission::new(Limits::default(), None),
        Conversations::starting_at(next_start()),
        None,
    )
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    before.orphan();
    let ending = thread::spawn(move || runtime.join());
    let deadline = Instant::now() + PATIENCE;
    while !ending.is_finished() {
        assert!(Instant::now() < deadline, "its threads do not end");
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(Arc::strong_count(&first), 1, "a thread serves it");
}

/// Has the second poll thread serve a socket of another port.
#[cfg(target_os = "linux")]
fn socket_in_use(runtime: &Runtime, socket: &Arc<Socket>) -> Arc<Port> {
    let pollers = &runtime.shared().pollers;
    let lane = || Lane::new(Arc::downgrade(socket) as _, Some(pollers[1].clone()));
    let port = Arc::new(Port::new(
        socket.local_addr().unwrap(),
        None,
        Arc::default(),
        Admission::new(Limits::default(), None),
        Conversations::starting_at(next_start()),
        vec![lane(), lane()],
    ));
    pollers[1].add(&port, 1, socket.clone()).unwrap();
    port
}

#[test]
fn tiny_socket_buffers_lose_much_and_stop_nothing() {
    let tiny = BufferSizes {
        receive: 4096,
        send: 4096,
    };
    let sockets: [fn(UdpSocket, BufferSizes) -> io::Result<Socket>; 2] = [
        |socket, sizes| Socket::new(socket, sizes, None),
        Socket::plain,
    ];
    for make in sockets {
        let open_tiny = || {
            let socket = socket::bind(HERE, Sharing::Exclusive).unwrap();
            open(Arc::new(make(socket, tiny).unwrap()))
        };
        expect_transfer(&open_tiny(), &open_tiny());
    }
}

#[test]
#[cfg(target_os = "linux")]
fn no_port_that_the_system_chooses_is_shared_by_chance() {
    let sockets: Vec<_> = (0..400)
        .map(|_| socket::bind(HERE, Sharing::ReusePort).unwrap())
        .collect();
    let port = |socket: &UdpSocket| socket.local_addr().unwrap().port();
    let ports: HashSet<u16> = sockets.iter().map(port).collect();
    assert_eq!(ports.len(), sockets.len());
}

/// When a socket joins those that share an address, the system gives it some of the peers that
/// others served.
#[test]
#[cfg(target_os = "linux")]
fn a_session_goes_on_when_its_peer_comes_by_another_socket() {
    const CLIENTS: usize = 24;
    let share = |socket: UdpSocket| {
        let socket = Arc::new(Socket::new(socket, BufferSizes::default(), None).unwrap());
        (socket.clone(), socket as Arc<dyn SendDatagrams>)
    };
    let first = socket::bind(HERE, Sharing::ReusePort).unwrap();
    let address = first.local_addr().unwrap();
    let second = socket::bind(address, Sharing::ReusePort).unwrap();
    let unbound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    unbound.set_reuse_port(true).unwrap();
    let third = share(unbound.into());
    let late = third.0.clone();
    let (server, runtime) = open_lanes(vec![share(first), share(second), third], 2);
    let listener = server.listen().unwrap();
    let listening = listener.try_clone().unwrap();
    echo(move || Ok(listening.accept()?.0));
    let endpoints: Vec<_> = (0..CLIENTS).map(|_| open(batched())).collect();
    let clients: Vec<_> = endpoints
        .iter()
        .map(|endpoint| endpoint.connect(address).unwrap())
        .collect();
    for client in &clients {
        client.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    clients.iter().for_each(|client| exchange(client, 3000));

    SockRef::from(late.udp()).bind(&address.into()).unwrap();
    thread::scope(|scope| {
        for client in &clients {
            scope.spawn(|| exchange(client, 20_000));
        }
        let deadline = Instant::now() + PATIENCE;
        while late.udp().peek_from(&mut [0]).is_err() {
            assert!(Instant::now() < deadline, "nobody comes by the new socket");
            thread::yield_now();
        }
        let poller = &runtime.shared().pollers[2];
        poller.add(&server.inner.port, 2, late.clone()).unwrap();
    });
    let stats = server.stats();
    assert_eq!(
        stats.sessions_accepted, CLIENTS as u64,
        "a session was split"
    );
    assert_eq!(stats.sessions, CLIENTS as u64);
    listener.close();
}
