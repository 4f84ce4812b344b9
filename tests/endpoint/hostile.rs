//! What strangers send, made by hand from the crate's own wire and packet layers.

use std::{
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use mkcp::{
    Config, Decision, DropReason, Endpoint, Listener,
    internal::{
        packet::{NonceSource, PacketCodec},
        wire::{
            Ack, Command, CommandKind, Data, Numbers, Options, Segment, Segments, SeqNum, Timestamp,
        },
    },
};
use rand::{Rng, RngCore, SeedableRng, rngs::SmallRng};

use super::{EchoServer, PATIENCE, bytes, eventually, exchange, small};

/// A peer without a protocol.
pub(super) struct Stranger {
    pub(super) socket: UdpSocket,
    codec: PacketCodec,
    nonces: NonceSource,
}

impl Stranger {
    pub(super) fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            socket,
            codec: PacketCodec::new(&Config::default()),
            nonces: NonceSource::default(),
        }
    }

    pub(super) fn towards(address: SocketAddr) -> Self {
        let stranger = Self::new();
        stranger.socket.connect(address).unwrap();
        stranger
    }

    pub(super) fn send(&mut self, segment: Segment<'_>) -> usize {
        let mut datagram = Vec::new();
        let start = self.codec.begin(&mut datagram);
        segment.encode(&mut datagram);
        self.codec
            .seal(&mut datagram, start, &mut self.nonces)
            .unwrap();
        self.socket.send(&datagram).unwrap()
    }

    /// The next Terminate, and how long its datagram was.
    fn receive_terminate(&self) -> (Command, usize) {
        loop {
            let mut datagram = [0; 2048];
            let length = self.socket.recv(&mut datagram).unwrap();
            let plaintext = self.codec.open(&mut datagram[..length]).unwrap();
            for segment in Segments::new(plaintext) {
                match segment {
                    Segment::Command(command) if command.kind == CommandKind::Terminate => {
                        return (command, length);
                    }
                    _ => {}
                }
            }
        }
    }

    fn hears_nothing(&self) -> bool {
        self.socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        self.socket.recv(&mut [0; 2048]).is_err()
    }
}

pub(super) fn data(conversation: u16, number: u32, sending_next: u32) -> Segment<'static> {
    Segment::Data(Data {
        conversation,
        options: Options::NONE,
        timestamp: Timestamp::new(1),
        number: SeqNum::new(number),
        sending_next: SeqNum::new(sending_next),
        payload: b"hello",
    })
}

pub(super) fn command(conversation: u16, kind: CommandKind, next: u32) -> Segment<'static> {
    Segment::Command(Command {
        conversation,
        kind,
        options: Options::NONE,
        sending_next: SeqNum::new(next),
        receiving_next: SeqNum::new(next),
        peer_rto: 100,
    })
}

fn ack(conversation: u16, receiving_next: u32) -> Segment<'static> {
    Segment::Ack(Ack {
        conversation,
        options: Options::NONE,
        receiving_window: SeqNum::new(receiving_next + 100),
        receiving_next: SeqNum::new(receiving_next),
        timestamp: Timestamp::new(1),
        numbers: Numbers::EMPTY,
    })
}

fn listening() -> (Listener, SocketAddr) {
    let listener = small().bind("127.0.0.1:0").unwrap().listen().unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

pub(super) fn expect_drop(listener: &Listener, reason: DropReason, count: u64) {
    eventually(reason.as_str(), PATIENCE, || {
        listener.stats().drops.get(reason) >= count
    });
    assert_eq!(listener.stats().drops.get(reason), count, "{reason}");
}

#[test]
fn only_a_first_datagram_opens_a_session() {
    let (listener, address) = listening();
    let mut stranger = Stranger::towards(address);
    stranger.send(command(1, CommandKind::Terminate, 0));
    expect_drop(&listener, DropReason::UnknownTerminate, 1);
    stranger.send(data(2, 1 << 20, 0));
    expect_drop(&listener, DropReason::Stray, 1);
    assert!(stranger.hears_nothing());
    assert_eq!(listener.active_connections(), 0);
    stranger.send(data(3, 5, 0));
    eventually("a session", PATIENCE, || listener.active_connections() == 1);
    stranger.send(command(4, CommandKind::Unknown(200), 0));
    eventually("another", PATIENCE, || listener.active_connections() == 2);
}

/// How much more than it has said to have received the peer is told to have been sent: what it has
/// received since then must not be all.
const BEYOND: u32 = 1 << 30;

#[test]
fn remains_of_an_older_life_are_answered_once_and_not_longer() {
    let (listener, address) = listening();
    let mut stranger = Stranger::towards(address);
    let cases = [
        (ack(7, 41), BEYOND + 41),
        (command(7, CommandKind::Ping, 41), BEYOND + 41),
        (data(7, 50, 41), BEYOND),
    ];
    for (request, sending_next) in cases {
        let asked = stranger.send(request);
        let (answer, answered) = stranger.receive_terminate();
        assert_eq!(answer.conversation, 7);
        assert_eq!(answer.sending_next.get(), sending_next);
        assert!(answered <= asked, "{answered} bytes answer {asked}");
    }
    expect_drop(&listener, DropReason::Stray, 3);
    assert_eq!(listener.active_connections(), 0);
    listener.close();
    stranger.send(ack(7, 41));
    expect_drop(&listener, DropReason::NotListening, 1);
    assert!(stranger.hears_nothing());
}

#[test]
fn a_late_datagram_opens_no_ghost() {
    let (listener, address) = listening();
    let mut stranger = Stranger::towards(address);
    stranger.send(data(9, 0, 0));
    let (stream, _) = listener.accept_timeout(PATIENCE).unwrap();
    drop(stream);
    stranger.receive_terminate();
    stranger.send(command(9, CommandKind::Terminate, 1));
    eventually("the session is gone", PATIENCE, || {
        listener.active_connections() == 0
    });
    let before = listener.stats().drops.get(DropReason::Tombstone);
    stranger.send(data(9, 0, 0));
    eventually("it is known as late", PATIENCE, || {
        listener.stats().drops.get(DropReason::Tombstone) > before
    });
    assert_eq!(stranger.receive_terminate().0.conversation, 9);
    assert_eq!(listener.stats().sessions_accepted, 1);
    assert_eq!(listener.active_connections(), 0);
}

#[test]
fn caps_refuse_without_state_and_are_counted() {
    let cases = [
        (small().max_sessions(1), DropReason::TooManySessions),
        (small().max_unvalidated(1), DropReason::TooManyUnvalidated),
        (small().max_per_source(1), DropReason::TooManyFromSource),
        (small().accept_backlog(1), DropReason::AcceptQueueFull),
        (
            small().on_attempt(|attempt| match attempt.sessions_from_source() {
                0 => Decision::Accept,
                _ => Decision::Ignore,
            }),
            DropReason::Refused,
        ),
    ];
    for (builder, reason) in cases {
        let listener = builder.bind("127.0.0.1:0").unwrap().listen().unwrap();
        let mut stranger = Stranger::towards(listener.local_addr().unwrap());
        stranger.send(data(1, 0, 0));
        eventually("a session", PATIENCE, || listener.active_connections() == 1);
        stranger.send(data(2, 0, 0));
        expect_drop(&listener, reason, 1);
        assert_eq!(listener.active_connections(), 1);
        assert_eq!(listener.stats().sessions_accepted, 1);
    }
}

#[test]
fn the_hook_sees_who_asks() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let listener = Endpoint::builder()
        .on_attempt(move |attempt| {
            sender.send(*attempt).unwrap();
            Decision::Ignore
        })
        .bind("127.0.0.1:0")
        .unwrap()
        .listen()
        .unwrap();
    let mut stranger = Stranger::towards(listener.local_addr().unwrap());
    stranger.send(data(77, 0, 0));
    let attempt = receiver.recv_timeout(PATIENCE).unwrap();
    assert_eq!(attempt.conversation(), 77);
    assert_eq!(attempt.source(), stranger.socket.local_addr().unwrap());
    assert_eq!(attempt.sessions_from_source(), 0);
}

#[test]
fn a_flood_of_garbage_is_counted_and_real_clients_are_served() {
    let server = EchoServer::start(small());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut random = SmallRng::seed_from_u64(0x6d6b_6370);
    let mut datagram = [0; 1400];
    let client = mkcp::Stream::connect(server.address).unwrap();
    for round in 0..100 {
        for _ in 0..100 {
            let length = random.random_range(0..datagram.len());
            random.fill_bytes(&mut datagram[..length]);
            let _ = socket.send_to(&datagram[..length], server.address);
        }
        if round % 10 == 0 {
            exchange(&client, &bytes(5000));
        }
    }
    let _ = socket.send_to(&[1, 2, 3], server.address);
    let stats = || server.listener.stats();
    eventually("both reasons are counted", PATIENCE, || {
        let drops = stats().drops;
        drops.get(DropReason::TooShort) > 0 && drops.get(DropReason::BadSeal) > 1000
    });
    assert_eq!(stats().sessions_accepted, 1);
    exchange(&client, &bytes(5000));
}

#[test]
fn sealed_nonsense_is_no_segment() {
    let (listener, address) = listening();
    let mut stranger = Stranger::towards(address);
    let mut datagram = Vec::new();
    let start = stranger.codec.begin(&mut datagram);
    datagram.extend([0x12, 0x34, 3]);
    stranger
        .codec
        .seal(&mut datagram, start, &mut stranger.nonces)
        .unwrap();
    stranger.socket.send(&datagram).unwrap();
    expect_drop(&listener, DropReason::BadSegment, 1);
}
