//! Many sessions of peers that do not behave.

use std::{
    array,
    collections::HashMap,
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use mkcp::internal::wire::{
    Ack, Command, CommandKind, Numbers, Options as Flags, Segment, Segments, SeqNum, Timestamp,
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
/// Datagrams between two looks at what came back.
const AT_ONCE: u64 = 16;

/// Hostile peers: opens sessions that do not behave, and keeps sending on them
///
/// Works with a server in mode echo. The first echo of each session is acknowledged, so that its
/// address is proven. What that does to others is seen by running ping beside it; what it costs
/// the server, in the report of serve.
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
    /// Close the window, acknowledge all that could ever be sent, and claim timeouts from none to
    /// 50 days, in turns
    Extremes,
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
    report: Report,
}

impl Crowd<'_> {
    /// The next datagram of a session.
    fn send(&mut self, conversation: u16) {
        let (kind, payload) = (self.options.kind, &*self.payload);
        let index = usize::from(conversation);
        let arrived = self.arrived[index];
        let first = match kind {
            Kind::Good | Kind::Unread | Kind::Unacked if self.written[index] > arrived + FLIGHT => {
                arrived
            }
            _ => self.written[index],
        };
        let (count, size) = match kind {
            Kind::Small if first > 0 => (SMALL, 1),
            _ => (1, payload.len()),
        };
        let unsent: [SeqNum; 255] =
            array::from_fn(|place| SeqNum::new(FLIGHT + 255 * first + place as u32));
        let segment = |number: u32| match kind {
            Kind::Repeats => data(conversation, 0, 0, payload),
            Kind::Gap if number > 0 => data(conversation, number + 1, 0, payload),
            Kind::Pings if number > 0 => command(conversation, CommandKind::Ping),
            Kind::Acks if number > 0 => acks(conversation, FIRST_WINDOW, &unsent),
            Kind::Extremes if number > 0 => extreme(conversation, number),
            _ => data(conversation, number, arrived, &payload[..size]),
        };
        let segments = (first..first + count).map(segment);
        if let Ok(datagram) = self.sealer.seal(segments) {
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
            if let Segment::Ack(Ack {
                conversation,
                receiving_next,
                ..
            }) = segment
                && let Some(arrived) = self.arrived.get_mut(usize::from(conversation))
            {
                *arrived = receiving_next.get().max(*arrived);
            }
            let Segment::Data(data) = segment else {
                continue;
            };
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
                continue;
            }
            let ack = Segment::Ack(Ack {
                conversation: data.conversation,
                options: Flags::NONE,
                receiving_window: SeqNum::new(window),
                receiving_next: data.number,
                timestamp: data.timestamp,
                numbers: Numbers::List(&[data.number]),
            });
            if let Ok(datagram) = self.sealer.seal([ack]) {
                let _ = self.socket.send(datagram); // the server asks again
            }
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

/// What no honest peer says.
fn extreme(conversation: u16, number: u32) -> Segment<'static> {
    let ping = |receiving_next, peer_rto| {
        Segment::Command(Command {
            conversation,
            kind: CommandKind::Ping,
            options: Flags::NONE,
            sending_next: SeqNum::ZERO,
            receiving_next: SeqNum::new(receiving_next),
            peer_rto,
        })
    };
    match number % 3 {
        0 => acks(conversation, 0, &[]),
        1 => ping(0, u32::MAX),
        _ => ping(u32::MAX / 2, 0),
    }
}
