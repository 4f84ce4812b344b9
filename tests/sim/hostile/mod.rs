//! Peers that lie, flood, dribble or never answer: what they can and cannot do to a connection.
//!
//! A [`Victim`] checks after every datagram and every timeout that no rule inside is broken, that
//! no more is held than the buffers allow, and that no timer asks to be fired again at once.
//! Connections share nothing, so that what one of them bears no other one feels; what a flood
//! costs is counted in `benches/instructions.rs`.

mod acks;
mod data;
mod silence;
mod words;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mkcp::{
    Config,
    internal::{
        config::derive,
        connection::{Connection, Side},
        wire::{
            Ack, Command, CommandKind, Data, Numbers, Options, Segment, Segments, SeqNum, Timestamp,
        },
    },
};

const CONVERSATION: u16 = 7;
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
/// What no connection sends in any second in which it hears nothing.
const LOUDEST_SECOND: u64 = 20;

/// A connection of ours in the hands of a test that plays its peer.
struct Victim {
    connection: Connection,
    config: Arc<Config>,
    now: Instant,
    /// What it has sent, unless somebody took it.
    sent: Vec<Vec<u8>>,
    datagrams: u64,
    bytes: u64,
    timeouts: u64,
}

impl Victim {
    fn new(side: Side) -> Self {
        let config = Arc::new(Config::default());
        let now = Instant::now();
        let most = derive::max_plaintext(&config);
        let seed = 0x1234_5678_9abc_def0;
        let connection = Connection::new(side, CONVERSATION, config.clone(), most, seed, now);
        Self {
            connection,
            config,
            now,
            sent: Vec::new(),
            datagrams: 0,
            bytes: 0,
            timeouts: 0,
        }
    }

    /// A client that has heard its peer.
    fn client() -> Self {
        let mut victim = Self::new(Side::Client);
        victim.hear(&[ping(0, 0, 100)]);
        victim
    }

    /// A server that a Ping has opened.
    fn server() -> Self {
        let mut victim = Self::new(Side::Server);
        victim.hear(&[ping(0, 0, 100)]);
        victim
    }

    // ---- what comes to it

    /// These segments, in one datagram.
    fn hear(&mut self, segments: &[Segment<'_>]) {
        let mut datagram = Vec::new();
        for segment in segments {
            segment.encode(&mut datagram);
        }
        self.hear_datagram(&datagram);
    }

    fn hear_datagram(&mut self, datagram: &[u8]) {
        self.connection.handle_datagram(self.now, datagram);
        self.drive();
    }

    /// Acknowledges as an honest peer does what has been sent since the last time, up to `limit`.
    fn acknowledge(&mut self, limit: u32) {
        for datagram in std::mem::take(&mut self.sent) {
            for segment in Segments::new(&datagram) {
                if let Segment::Data(data) = segment {
                    let next = data.number.get();
                    self.hear(&[ack(limit, next, data.timestamp.get(), &[data.number])]);
                }
            }
        }
        let next = self.numbers_used();
        self.hear(&[ack(limit, next, 0, &[])]);
    }

    // ---- what it does

    fn write(&mut self, bytes: usize) -> usize {
        let taken = self.connection.write(&vec![0x5a; bytes]);
        self.drive();
        taken
    }

    /// Reads everything; returns how much that was.
    fn read(&mut self) -> usize {
        let mut total = 0;
        while let count @ 1.. = self.connection.read().len() {
            self.connection.consume(count);
            total += count;
        }
        self.drive();
        total
    }

    fn drive(&mut self) {
        self.transmit();
        // What came may have brought a deadline forward, but once heeded it must be over.
        if self.deadline().is_some_and(|at| at <= self.now) {
            self.timeouts += 1;
            self.connection.handle_timeout(self.now);
            self.transmit();
        }
        self.check();
    }

    fn transmit(&mut self) {
        let mut datagram = Vec::new();
        while self
            .connection
            .poll_transmit(self.now, &mut datagram)
            .is_some()
        {
            self.datagrams += 1;
            self.bytes += datagram.len() as u64;
            self.sent.push(std::mem::take(&mut datagram));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.connection.poll_timeout().map(|(at, _)| at)
    }

    fn check(&self) {
        self.connection.check_invariants();
        let held = self.connection.memory();
        assert!(held <= self.most_held(), "{held} bytes held");
        let next = self.connection.poll_timeout();
        let spins = next.is_some_and(|(at, _)| at <= self.now);
        assert!(!spins, "it spins: {next:?}");
    }

    fn most_held(&self) -> usize {
        derive::receive_window_bytes(&self.config) + derive::send_window_bytes(&self.config)
    }

    /// Lets time pass in which nothing comes.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.deadline().filter(|&at| at <= end) {
            self.now = at;
            self.drive();
        }
        self.now = end;
    }

    /// As `wait`, and sees to it that it is quiet in every second.
    fn wait_in_quiet(&mut self, seconds: u32) {
        for second in 0..seconds {
            let before = (self.datagrams, self.timeouts);
            self.wait(SECOND);
            let (sent, woken) = (self.datagrams - before.0, self.timeouts - before.1);
            assert!(
                sent <= LOUDEST_SECOND && woken <= 2 * LOUDEST_SECOND,
                "{sent} datagrams and {woken} timeouts in second {second}"
            );
        }
    }

    // ---- what can be seen

    /// The numbers of all Data in what it has sent.
    fn data_numbers(&self) -> Vec<u32> {
        let segments = self.sent.iter().flat_map(|sent| Segments::new(sent));
        let number = |segment| match segment {
            Segment::Data(data) => Some(data.number.get()),
            _ => None,
        };
        segments.filter_map(number).collect()
    }

    /// How many numbers have been given to segments, going by what its Terminate would say.
    fn numbers_used(&self) -> u32 {
        let end = self.connection.final_terminate();
        end.sending_next.get()
    }

    /// Bytes written that count as delivered, unless the connection has ended.
    fn delivered(&self) -> u64 {
        let stats = self.connection.stats();
        stats.bytes_written - stats.send_queue
    }
}

// ---- segments of a peer

fn n(number: u32) -> SeqNum {
    SeqNum::new(number)
}

fn data(number: u32, sending_next: u32, payload: &[u8]) -> Segment<'_> {
    Segment::Data(Data {
        conversation: CONVERSATION,
        options: Options::NONE,
        timestamp: Timestamp::new(1),
        number: n(number),
        sending_next: n(sending_next),
        payload,
    })
}

fn ack(limit: u32, next: u32, echo: u32, numbers: &[SeqNum]) -> Segment<'_> {
    Segment::Ack(Ack {
        conversation: CONVERSATION,
        options: Options::NONE,
        receiving_window: n(limit),
        receiving_next: n(next),
        timestamp: Timestamp::new(echo),
        numbers: Numbers::List(numbers),
    })
}

fn command(kind: CommandKind, sending_next: u32, receiving_next: u32, rto: u32) -> Command {
    Command {
        conversation: CONVERSATION,
        kind,
        options: Options::NONE,
        sending_next: n(sending_next),
        receiving_next: n(receiving_next),
        peer_rto: rto,
    }
}

fn ping(sending_next: u32, receiving_next: u32, rto: u32) -> Segment<'static> {
    let ping = command(CommandKind::Ping, sending_next, receiving_next, rto);
    Segment::Command(ping)
}

fn terminate(sending_next: u32) -> Segment<'static> {
    Segment::Command(command(CommandKind::Terminate, sending_next, 0, 100))
}
