//! A flood of forged first datagrams, and what it draws from the server.

mod fresh;

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use mkcp::internal::wire::{CommandKind, Segment};
use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::{
    payload, ping,
    raw::{Sealer, command, data},
    report::Report,
    threads::Threads,
    transport::{self, Transport},
};

/// Datagrams between two looks at the clock.
const AT_ONCE: u64 = 16;

/// Flood: forges first datagrams of connections, each as if from another address
///
/// The server has to be on the loopback interface, where every process may send from any address
/// of 127.0.0.0/8, and what it answers comes back here. answered_bytes and answered_datagrams tell
/// how much that is, amplification how much for each byte sent. A server of perf keeps the limits
/// that hold against this only if told so: `serve --limits`.
///
/// With --fresh, new clients come meanwhile, each from an address of its own in 127.0.0.0/16 that is not
/// forged; the server has to be in mode echo or xor. fresh tells how many, fresh_p50_us and so on
/// the time from connect until a byte is back.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Datagrams in all
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    datagrams: u64,

    /// Seconds to spread them over; 0 is as fast as can be
    #[arg(long, value_name = "S", default_value_t = 20.0)]
    seconds: f64,

    /// What they are: data, ping or unknown
    #[arg(long, value_name = "KIND", default_value = "data")]
    kind: Kind,

    /// Bytes of payload in each, if it is data
    #[arg(long, value_name = "B", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1300))]
    size: u16,

    /// Have so many new clients a second come meanwhile
    #[arg(long, value_name = "R", value_parser = ping::rate)]
    fresh: Option<f64>,

    /// Seconds in which answers are counted after the last datagram
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    watch: f64,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    /// UDP address of the server, in 127.0.0.0/8
    #[arg(long, value_name = "ADDR", value_parser = transport::address)]
    connect: SocketAddr,

    #[command(flatten)]
    transport: Transport,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Kind {
    Data,
    Ping,
    Unknown,
}

pub(crate) fn run(options: &Options) -> io::Result<Report> {
    match options.connect.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => {}
        ip => transport::bad_usage(format!("connect is to {ip}, must be in 127.0.0.0/8")),
    }
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(Duration::from_millis(50)))?;
    let (answers, over) = (Answers::default(), AtomicBool::new(false));
    let started = Instant::now();
    let mut report = Report::default();
    payload::prepare();
    thread::scope(|scope| {
        scope.spawn(|| answers.count(&socket, &over));
        let fresh = options.fresh;
        let fresh = fresh.map(|rate| scope.spawn(move || fresh::run(options, rate)));
        let sent = forge(options, &socket, &state, &mut report);
        report.set_elapsed(started.elapsed());
        match fresh.map(|clients| clients.join()) {
            Some(Ok(clients)) => report.absorb(clients),
            Some(Err(_)) => report.add_error(&io::Error::other("a thread panicked")),
            None => {}
        }
        if sent.is_ok() {
            thread::sleep(Duration::from_secs_f64(options.watch));
        }
        over.store(true, Ordering::Relaxed);
        let sent = sent?;
        let answered = answers.bytes.load(Ordering::Relaxed);
        report.insert("sent_bytes", sent);
        report.insert("amplification", answered as f64 / sent.max(1) as f64);
        io::Result::Ok(())
    })?;
    report.set_threads(Threads::now());
    report.insert("answered_bytes", answers.bytes.into_inner());
    report.insert("answered_datagrams", answers.datagrams.into_inner());
    Ok(report)
}

/// Sends all; returns how many bytes that were.
fn forge(
    options: &Options,
    socket: &UdpSocket,
    state: &UdpSocketState,
    report: &mut Report,
) -> io::Result<u64> {
    let mut sealer = Sealer::new(&options.transport.config());
    let mut random = SmallRng::from_os_rng();
    let payload = vec![b'x'; options.size.into()];
    let started = Instant::now();
    let (mut sent, mut datagrams) = (0, 0);
    while datagrams < options.datagrams {
        if datagrams % AT_ONCE == 0 {
            let due = datagrams as f64 / options.datagrams as f64 * options.seconds;
            thread::sleep(Duration::from_secs_f64(due).saturating_sub(started.elapsed()));
        }
        let segment = first_segment(options.kind, random.random(), &payload);
        let datagram = sealer.seal([segment])?;
        // Neither the network's own address nor where the server is.
        let source = Ipv4Addr::from_bits(random.random_range(0x7f01_0000..0x7fff_fffe));
        let result = state.try_send(
            UdpSockRef::from(socket),
            &Transmit {
                destination: options.connect,
                ecn: None,
                contents: datagram,
                segment_size: None,
                src_ip: Some(source.into()),
            },
        );
        match result {
            Ok(()) => sent += datagram.len() as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
            Err(error) => report.add_error(&error),
        }
        datagrams += 1;
    }
    report.insert("datagrams_forged", datagrams);
    Ok(sent)
}

fn first_segment(kind: Kind, conversation: u16, payload: &[u8]) -> Segment<'_> {
    match kind {
        Kind::Data => data(conversation, 0, 0, payload),
        Kind::Ping => command(conversation, CommandKind::Ping),
        Kind::Unknown => command(conversation, CommandKind::Unknown(9)),
    }
}

/// What comes back.
#[derive(Default)]
struct Answers {
    datagrams: AtomicU64,
    bytes: AtomicU64,
}

impl Answers {
    fn count(&self, socket: &UdpSocket, over: &AtomicBool) {
        let mut buffer = vec![0; 65_536];
        while !over.load(Ordering::Relaxed) {
            if let Ok(count) = socket.recv(&mut buffer) {
                self.datagrams.fetch_add(1, Ordering::Relaxed);
                self.bytes.fetch_add(count as u64, Ordering::Relaxed);
            }
        }
    }
}
