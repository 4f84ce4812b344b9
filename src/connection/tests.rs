//! Two connections on a virtual path of constant delay: the promises that need both ends.

mod closing;
mod migration;
mod news;
mod reflected;
mod scarce;
mod thin;
mod unanswered;
mod wrap;

use std::{
    collections::VecDeque,
    net::Shutdown,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Connection, Origin, Side, State};
use crate::{
    config::{Config, derive},
    error::ConnectionError,
    wire::{Ack, Segment, Segments, SeqNum},
};

const MS: Duration = Duration::from_millis(1);

struct End {
    connection: Connection,
    arriving: VecDeque<(Instant, Vec<u8>)>,
    sent: Vec<Vec<u8>>,
    received: Vec<u8>,
}

impl End {
    fn new(side: Side, now: Instant, origin: Origin) -> Self {
        let config = Arc::new(Config::default());
        let max_plaintext = derive::max_plaintext(&config);
        let seed = 0x1234_5678_9abc_def0;
        let connection = Connection::with_origin(side, 7, config, max_plaintext, seed, now, origin);
        Self {
            connection,
            arriving: VecDeque::new(),
            sent: Vec::new(),
            received: Vec::new(),
        }
    }

    fn read(&mut self) {
        loop {
            let chunk = self.connection.read();
            if chunk.is_empty() {
                return;
            }
            let len = chunk.len();
            self.received.extend_from_slice(chunk);
            self.connection.consume(len);
        }
    }
}

struct Pair {
    now: Instant,
    start: Instant,
    delay: Duration,
    client: End,
    server: End,
    /// Datagrams for which this says yes are lost: (sender, index).
    drops: fn(Side, usize) -> bool,
    reading: bool,
}

impl Pair {
    fn new(delay: Duration) -> Self {
        Self::with_origin(delay, Origin::default())
    }

    fn with_origin(delay: Duration, origin: Origin) -> Self {
        let now = Instant::now();
        let client = End::new(Side::Client, now, origin);
        let server = End::new(Side::Server, now, origin);
        Self {
            now,
            start: now,
            delay,
            client,
            server,
            drops: |_, _| false,
            reading: true,
        }
    }

    fn drive(&mut self) {
        self.drive_end(Side::Client);
        self.drive_end(Side::Server);
    }

    fn drive_end(&mut self, side: Side) {
        let (now, arrival) = (self.now, self.now + self.delay);
        let (reading, drops) = (self.reading, self.drops);
        let (from, to) = ends(self, side);
        if reading {
            from.read();
        }
        let mut datagram = Vec::new();
        while from.connection.poll_transmit(now, &mut datagram).is_some() {
            let datagram = std::mem::take(&mut datagram);
            assert!(datagram.len() <= derive::max_plaintext(&Config::default()));
            if !drops(side, from.sent.len()) {
                to.arriving.push_back((arrival, datagram.clone()));
            }
            from.sent.push(datagram);
        }
        from.connection.check_invariants();
        let next = from.connection.poll_timeout();
        assert!(
            next.is_none_or(|(at, _)| at > now),
            "{side:?} spins: {next:?}"
        );
    }

    /// Goes on to the next event; returns false if there is none.
    fn step(&mut self) -> bool {
        self.drive();
        let Some(next) = self.next_event() else {
            return false;
        };
        self.advance(next);
        true
    }

    fn next_event(&self) -> Option<Instant> {
        let ends = [&self.client, &self.server];
        let events = ends.iter().flat_map(|end| {
            let arrival = end.arriving.front().map(|&(at, _)| at);
            [arrival, end.connection.poll_timeout().map(|(at, _)| at)]
        });
        events.flatten().min()
    }

    fn advance(&mut self, to: Instant) {
        self.now = self.now.max(to);
        for end in [&mut self.client, &mut self.server] {
            while end.arriving.front().is_some_and(|&(at, _)| at <= self.now) {
                let Some((_, datagram)) = end.arriving.pop_front() else {
                    break;
                };
                end.connection.handle_datagram(self.now, &datagram);
            }
            if end
                .connection
                .poll_timeout()
                .is_some_and(|(at, _)| at <= self.now)
            {
                end.connection.handle_timeout(self.now);
            }
        }
    }

    fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> Duration {
        while !done(self) {
            assert!(self.step(), "nothing left to happen: {:?}", self.states());
            assert!(
                self.elapsed() < limit,
                "not done after {limit:?}: {:?}",
                self.states()
            );
            self.drive();
        }
        self.elapsed()
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        self.drive();
        while let Some(next) = self.next_event().filter(|&next| next <= end) {
            self.advance(next);
            self.drive();
        }
        self.now = end;
    }

    fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    fn states(&self) -> (State, State) {
        (
            self.client.connection.state(),
            self.server.connection.state(),
        )
    }

    fn establish(&mut self) {
        self.run_until(5000 * MS, |pair| pair.client.connection.is_established());
    }
}

fn acks(datagrams: &[Vec<u8>]) -> Vec<Ack<'_>> {
    let segments = datagrams
        .iter()
        .flat_map(|datagram| Segments::new(datagram));
    let ack = |segment| {
        if let Segment::Ack(ack) = segment {
            Some(ack)
        } else {
            None
        }
    };
    segments.filter_map(ack).collect()
}

#[test]
fn a_client_without_data_opens_and_is_answered_in_one_round_trip() {
    let mut pair = Pair::new(20 * MS);
    let took = pair.run_until(1000 * MS, |pair| pair.client.connection.is_established());
    assert_eq!(took, 42 * MS);
}

#[test]
fn bytes_arrive_once_and_in_order_whatever_is_lost() {
    for drops in [
        |_, _| false,
        |_, index| index % 7 == 3,
        |side, index| side == Side::Server && index % 2 == 0,
    ] as [fn(Side, usize) -> bool; 3]
    {
        let mut pair = Pair::new(20 * MS);
        pair.drops = drops;
        let data: Vec<u8> = (0..400_000u32).map(|i| (i * 7 / 5) as u8).collect();
        let mut written = 0;
        while pair.server.received.len() < data.len() {
            written += pair.client.connection.write(&data[written..]);
            assert!(pair.step());
            assert!(pair.elapsed() < 60_000 * MS);
        }
        assert!(pair.server.received == data);
    }
}

#[test]
fn an_ack_never_covers_the_largest_number_it_lists() {
    let mut pair = Pair::new(20 * MS);
    pair.client.connection.write(&[1; 60_000]);
    pair.run_until(5000 * MS, |pair| pair.server.received.len() == 60_000);
    pair.run_for(100 * MS);
    let acks = acks(&pair.server.sent);
    assert!(acks.len() > 2);
    for ack in acks {
        if let Some(largest) = ack.numbers.iter().max_by(|a, b| a.serial_cmp(*b)) {
            assert!(!largest.precedes(ack.receiving_next), "{ack:?}");
        }
    }
}

#[test]
fn the_end_is_known_within_a_round_trip_in_both_directions() {
    for rtt in [2 * MS, 100 * MS, 300 * MS] {
        for closer in [Side::Client, Side::Server] {
            let mut pair = Pair::new(rtt / 2);
            pair.client.connection.write(b"hello");
            pair.server.connection.write(b"welcome");
            pair.run_until(5000 * MS, |pair| {
                pair.client.received == b"welcome" && pair.server.received == b"hello"
            });
            let (from, _) = ends(&mut pair, closer);
            from.connection.write(b"good bye");
            pair.drive();
            let before = pair.now;
            let now = pair.now;
            let (from, _) = ends(&mut pair, closer);
            from.connection.shutdown(now, Shutdown::Both);
            pair.run_until(20_000 * MS, |pair| {
                let reader = if closer == Side::Client {
                    &pair.server
                } else {
                    &pair.client
                };
                reader.connection.read_end() == Some(Ok(()))
                    && reader.received.ends_with(b"good bye")
            });
            let took = pair.now - before;
            assert!(took <= rtt + 50 * MS, "{closer:?} {rtt:?}: {took:?}");
        }
    }
}

fn ends(pair: &mut Pair, closer: Side) -> (&mut End, &mut End) {
    match closer {
        Side::Client => (&mut pair.client, &mut pair.server),
        Side::Server => (&mut pair.server, &mut pair.client),
    }
}

#[test]
fn both_ends_are_gone_a_round_trip_after_both_closed() {
    let mut pair = Pair::new(10 * MS);
    pair.client.connection.write(b"hello");
    pair.run_until(1000 * MS, |pair| pair.server.received == b"hello");
    let now = pair.now;
    pair.client.connection.shutdown(now, Shutdown::Both);
    pair.run_until(1000 * MS, |pair| {
        pair.server.connection.read_end().is_some()
    });
    let now = pair.now;
    pair.server.connection.shutdown(now, Shutdown::Both);
    pair.run_until(1000 * MS, |pair| {
        pair.states() == (State::Terminated, State::Terminated)
            && pair.client.connection.is_drained()
            && pair.server.connection.is_drained()
    });
    assert!(pair.client.connection.is_flushed());
}

#[test]
fn what_was_written_before_closing_arrives_however_slow_the_reader() {
    let mut pair = Pair::new(10 * MS);
    pair.reading = false;
    assert_eq!(pair.client.connection.write(&[5; 100_000]), 100_000);
    let now = pair.now;
    pair.client.connection.shutdown(now, Shutdown::Both);
    pair.run_until(8000 * MS, |pair| pair.client.connection.is_drained());
    pair.run_for(60_000 * MS);
    assert_eq!(pair.server.connection.read_end(), Some(Ok(())));
    pair.server.read();
    assert_eq!(pair.server.received.len(), 100_000);
}

#[test]
fn a_reset_is_an_error_to_the_reader_even_if_nothing_is_missing() {
    let mut pair = Pair::new(10 * MS);
    pair.client.connection.write(b"hello");
    pair.run_until(1000 * MS, |pair| pair.server.received == b"hello");
    let now = pair.now;
    pair.client
        .connection
        .reset(now, ConnectionError::LocallyClosed);
    pair.run_until(1000 * MS, |pair| {
        pair.server.connection.read_end().is_some()
    });
    assert_eq!(
        pair.server.connection.read_end(),
        Some(Err(ConnectionError::Reset))
    );
    assert_eq!(
        pair.server.connection.write_end(),
        Some(ConnectionError::Reset)
    );
}

#[test]
fn ending_writing_alone_is_told_when_reading_ends_or_linger_is_over() {
    let mut pair = Pair::new(10 * MS);
    pair.client.connection.write(b"request");
    let now = pair.now;
    pair.client.connection.shutdown(now, Shutdown::Write);
    pair.run_until(1000 * MS, |pair| pair.server.received == b"request");
    pair.run_for(5000 * MS);
    assert_eq!(pair.states(), (State::Active, State::Active));
    pair.server.connection.write(b"answer");
    pair.run_until(10_000 * MS, |pair| pair.client.received == b"answer");
    pair.run_until(11_000 * MS, |pair| {
        pair.server.connection.read_end() == Some(Ok(()))
    });
}

#[test]
fn a_linger_time_that_runs_already_can_be_changed() {
    let mut pair = Pair::new(10 * MS);
    pair.client.connection.write(b"request");
    let now = pair.now;
    pair.client.connection.shutdown(now, Shutdown::Write);
    pair.run_for(5000 * MS);
    pair.client.connection.set_linger(20_000 * MS);
    pair.run_for(10_000 * MS);
    assert_eq!(pair.states(), (State::Active, State::Active));
    let took = pair.run_until(21_000 * MS, |pair| {
        pair.server.connection.read_end() == Some(Ok(()))
    });
    assert!(took >= 20_000 * MS, "{took:?}");
}

#[test]
fn silence_ends_a_connection_with_an_error() {
    let mut pair = Pair::new(10 * MS);
    pair.establish();
    pair.client.connection.write(b"hello");
    pair.drops = |_, _| true;
    let took = pair.run_until(40_000 * MS, |pair| pair.client.connection.is_drained());
    assert!(took > 30_000 * MS && took < 31_000 * MS, "{took:?}");
    assert_eq!(
        pair.client.connection.read_end(),
        Some(Err(ConnectionError::TimedOut))
    );
    assert!(!pair.client.connection.is_flushed());
    let sent = pair.client.sent.len();
    assert!(sent < 36, "{sent} datagrams into the void");
}

#[test]
fn an_idle_connection_stays_alive_and_is_quiet() {
    let mut pair = Pair::new(10 * MS);
    pair.client.connection.write(b"hello");
    pair.run_for(5000 * MS);
    let before = pair.client.sent.len() + pair.server.sent.len();
    pair.run_for(300_000 * MS);
    assert_eq!(pair.states(), (State::Active, State::Active));
    let sent = pair.client.sent.len() + pair.server.sent.len() - before;
    assert!(
        (50..=62).contains(&sent),
        "{sent} datagrams in five minutes"
    );
}

#[test]
fn a_closed_window_stops_the_sender_and_opens_again() {
    let mut pair = Pair::new(10 * MS);
    pair.reading = false;
    let data = vec![9; 8 << 20];
    let mut written = 0;
    while pair.elapsed() < 5000 * MS {
        written += pair.client.connection.write(&data[written..]);
        pair.step();
    }
    let window = derive::receive_window_bytes(&Config::default());
    let held = pair.server.connection.memory();
    assert!(held <= window + 2000, "{held}");
    pair.reading = true;
    while pair.server.received.len() < data.len() {
        written += pair.client.connection.write(&data[written..]);
        assert!(pair.step() && pair.elapsed() < 30_000 * MS);
    }
}

#[test]
fn an_unproven_peer_is_sent_little() {
    let now = Instant::now();
    let mut server = End::new(Side::Server, now, Origin::default());
    let ping = [0, 7, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100];
    server.connection.handle_datagram(now, &ping);
    server.connection.write(&[1; 100_000]);
    let mut datagram = Vec::new();
    let mut at = now;
    while server.connection.poll_transmit(at, &mut datagram).is_some() {}
    while let Some((next, _)) = server.connection.poll_timeout() {
        at = next;
        server.connection.handle_timeout(at);
        while server.connection.poll_transmit(at, &mut datagram).is_some() {}
    }
    assert!(
        datagram.len() < 4096 + 2 * 1350,
        "{} bytes to an address that never answered",
        datagram.len()
    );
    assert_eq!(server.connection.state(), State::Terminated);
}

#[test]
fn what_had_to_be_repeated_proves_an_address_as_well() {
    // Longer than the first timeout: every segment is repeated before it can be acknowledged.
    let mut pair = Pair::new(750 * MS);
    pair.client.connection.write(b"?");
    pair.run_until(10_000 * MS, |pair| !pair.server.received.is_empty());
    pair.server.connection.write(b"!");
    pair.run_until(10_000 * MS, |pair| {
        pair.server.connection.stats().acks_received > 0
    });
    assert!(pair.server.connection.stats().segments_retransmitted > 0);
    assert!(pair.server.connection.is_validated());
}
