//! Many sessions of peers that do not behave.

use std::{
    array,
    collections::{HashMap, HashSet},
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use mkcp::internal::wire::{
    Ack, Command, CommandKind, Data, Numbers, Options as Flags, Segment, Segments, SeqNum,
    Timestamp,
};

use crate::{
    ping,
    raw::{Sealer, command, data},
    report::Report,
    threads::Threads,
    transport::{self, Transport},
};

/// Segments that a peer takes before it has said anything.
const FIRST_WINDOW: u32 = 32;
/// What fits into a datagram of one-byte segments.
const SMALL: u32 = 70;
/// Segments beyond what the server has, before they are sent again.
const FLIGHT: u32 = 64;
/// As far ahead of the first segment as a number can be.
const FURTHEST: u32 = u32::MAX / 2;
/// Datagrams between two looks at what came back.
const AT_ONCE: u64 = 16;

/// Hostile peers: opens sessions that do not behave, and keeps sending on them
///
/// Works with a server in mode echo. The first echo of each session is acknowledged, so that its
/// address is proven. What that does to others is seen by running ping beside it; what it costs
/// the server, in the report of serve. sessions_heard counts those that were echoed to,
/// sessions_ended those of which the server said that they are over: all of jumps, and no others.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What they do
    #[arg(long, value_name = "KIND")]
    kind: Kind,

    /// Sessions
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..))]
    sessions: u16,

    /// Datagrams a second on each
    #[arg(long, value_name = "R", default_value_t = 10.0, value_parser = ping::rate)]
    rate: f64,

    /// Seconds
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    seconds: f64,

    /// Bytes of payload in a segment, unless they are small
    #[arg(long, value_name = "B", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1300))]
    size: u16,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    /// UDP address of the server
    #[arg(long, value_name = "ADDR", value_parser = transport::address)]
    connect: SocketAddr,

    #[command(flatten)]
    transport: Transport,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Write and acknowledge, as they should, for comparison
    Good,
    /// Write, and never open the window for what comes back
    Unread,
    /// Write, and never acknowledge what comes back
    Unacked,
    /// Send the same segment again and again
    Repeats,
    /// Leave the second segment out
    Gap,
    /// Fill datagrams with segments of one byte
    Small,
    /// Ping
    Pings,
    /// Acknowledge 255 segments that were never sent, in each datagram
    Acks,
    /// Write and acknowledge, and claim a closed window, one for all that could ever be sent, no
    /// timeout, and one of 50 days, in turns
    Extremes,
    /// Once there is an echo, claim to have what was never sent, or to know of what never arrived,
    /// which ends a session; and go on
    Jumps,
}

pub(crate) fn run(options: &Options) -> io::Result<Report> {
    let any: SocketAddr = match options.connect {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(options.connect)?;
    socket.set_nonblocking(true)?;
    let mut crowd = Crowd {
        options,
        socket,
        sealer: Sealer::new(&options.transport.config()),
        payload: vec![b'x'; options.size.into()],
        written: vec![0; options.sessions.into()],
        arrived: vec![0; options.sessions.into()],
        heard: HashMap::new(),
        ended: HashSet::new(),
        report: Report::default(),
    };
    let started = Instant::now();
    let period = 1.0 / (options.rate * f64::from(options.sessions));
    let most = (options.seconds / period) as u64;
    for count in 0..most {
        if count % AT_ONCE == 0 {
            crowd.answer_all();
            let due = Duration::from_secs_f64(count as f64 * period);
            thread::sleep(due.saturating_sub(started.elapsed()));
        }
        crowd.send((count % u64::from(options.sessions)) as u16);
    }
    let mut report = crowd.report;
    report.set_elapsed(started.elapsed());
    report.set_threads(Threads::now());
    report.insert("sessions_heard", crowd.heard.len());
    report.insert("sessions_ended", crowd.ended.len());
    Ok(report)
}

struct Crowd<'a> {
    options: &'a Options,
    socket: UdpSocket,
    sealer: Sealer,
    payload: Vec<u8>,
    /// Segments written on each session.
    written: Vec<u32>,
    /// Segments that the server has, on each session.
    arrived: Vec<u32>,
    /// The next segment of the server's, on each session of which there were any.
    heard: HashMap<u16, u32>,
    /// The sessions that the server has said to be over.
    ended: HashSet<u16>,
    report: Report,
}

impl Crowd<'_> {
    /// The next datagram of a session.
    fn send(&mut self, conversation: u16) {
        let (kind, payload) = (self.options.kind, &*self.payload);
        let index = usize::from(conversation);
        let arrived = self.arrived[index];
        let first = match kind {
            Kind::Good | Kind::Unread | Kind::Unacked | Kind::Extremes
                if self.written[index] > arrived + FLIGHT =>
            {
                arrived
            }
            _ => self.written[index],
        };
        let (count, size) = match kind {
            Kind::Small if first > 0 => (SMALL, 1),
            _ => (1, payload.len()),
        };
        // Before that there may be no session yet that could end.
        let is_heard = self.heard.contains_key(&conversation);
        let unsent: [SeqNum; 255] =
            array::from_fn(|place| SeqNum::new(FLIGHT + 255 * first + place as u32));
        let segment = |number: u32| match kind {
            Kind::Repeats => data(conversation, 0, 0, payload),
            Kind::Gap if number > 0 => data(conversation, number + 1, 0, payload),
            Kind::Pings if number > 0 => command(conversation, CommandKind::Ping),
            Kind::Acks if number > 0 => acks(conversation, FIRST_WINDOW, &unsent),
            Kind::Jumps if is_heard => jump(conversation, number),
            _ => data(conversation, number, arrived, &payload[..size]),
        };
        let extreme = (kind == Kind::Extremes && first > 0).then(|| extreme(conversation, first));
        let segments = (first..first + count).map(segment);
        if let Ok(datagram) = self.sealer.seal(extreme.into_iter().chain(segments)) {
            match self.socket.send(datagram) {
                Ok(_) => self.report.add_count("datagrams", 1),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => self.report.add_error(&error),
            }
        }
        self.written[index] = first + count;
    }

    /// Takes what has come back, and acknowledges what such a peer does.
    fn answer_all(&mut self) {
        let mut buffer = [0; 2048];
        while let Ok(count) = self.socket.recv(&mut buffer) {
            self.report.add_count("datagrams_back", 1);
            self.report.add_count("bytes_back", count as u64);
            if let Some(plaintext) = self.sealer.open(&mut buffer[..count]) {
                self.answer(plaintext);
            }
        }
    }

    fn answer(&mut self, plaintext: &[u8]) {
        for segment in Segments::new(plaintext) {
            match segment {
                Segment::Ack(ack) => {
                    if let Some(arrived) = self.arrived.get_mut(usize::from(ack.conversation)) {
                        *arrived = ack.receiving_next.get().max(*arrived);
                    }
                }
                Segment::Data(data) => self.answer_data(&data),
                Segment::Command(command) if command.kind == CommandKind::Terminate => {
                    self.ended.insert(command.conversation);
                }
                Segment::Command(_) => {}
            }
        }
    }

    fn answer_data(&mut self, data: &Data<'_>) {
        let next = self.heard.entry(data.conversation).or_default();
        let number = data.number.get();
        *next = (*next).max(number + 1);
        // Segments beyond the window are trials whether it has opened.
        let (is_acknowledged, window) = match self.options.kind {
            Kind::Unacked => (number == 0, FIRST_WINDOW),
            Kind::Unread => (number < FIRST_WINDOW, FIRST_WINDOW),
            _ => (true, *next + 1024),
        };
        if !is_acknowledged {
            return;
        }
        let numbers = [data.number];
        let ack = Segment::Ack(Ack {
            conversation: data.conversation,
            options: Flags::NONE,
            receiving_window: SeqNum::new(window),
            receiving_next: data.number,
            timestamp: data.timestamp,
            numbers: Numbers::List(&numbers),
        });
        if let Ok(datagram) = self.sealer.seal([ack]) {
            let _ = self.socket.send(datagram); // the server asks again
        }
    }
}

/// Acknowledges these segments.
fn acks(conversation: u16, window: u32, numbers: &[SeqNum]) -> Segment<'_> {
    Segment::Ack(Ack {
        conversation,
        options: Flags::NONE,
        receiving_window: SeqNum::new(window),
        receiving_next: SeqNum::ZERO,
        timestamp: Timestamp::ZERO,
        numbers: Numbers::List(numbers),
    })
}

fn claim(
    conversation: u16,
    sending_next: u32,
    receiving_next: u32,
    peer_rto: u32,
) -> Segment<'static> {
    Segment::Command(Command {
        conversation,
        kind: CommandKind::Ping,
        options: Flags::NONE,
        sending_next: SeqNum::new(sending_next),
        receiving_next: SeqNum::new(receiving_next),
        peer_rto,
    })
}

/// What no honest peer claims, and what may be nevertheless.
fn extreme(conversation: u16, turn: u32) -> Segment<'static> {
    match turn % 4 {
        0 => acks(conversation, 0, &[]),
        1 => acks(conversation, FURTHEST, &[]),
        2 => claim(conversation, 0, 0, 0),
        _ => claim(conversation, 0, 0, u32::MAX),
    }
}

/// What cannot be. Half of the sessions begin with either.
fn jump(conversation: u16, turn: u32) -> Segment<'static> {
    match (u32::from(conversation) + turn) % 2 {
        0 => claim(conversation, FURTHEST, 0, 100),
        _ => claim(conversation, 0, FURTHEST, 100),
    }
}
