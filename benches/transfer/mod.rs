//! Two connections and the path between them, in virtual time: the protocol's core without
//! sockets, threads, seals or clocks. What happens depends on nothing but the numbers in here.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use mkcp::{
    Config,
    internal::connection::{Connection, Side},
};

/// One way along the path.
const DELAY: Duration = Duration::from_millis(5);
const MAX_PLAINTEXT: usize = 1350;
const REQUEST: usize = 100;
const RESPONSE: usize = 1000;

/// A client, a server, and what is on its way between them.
pub(crate) struct Pair {
    now: Instant,
    client: End,
    server: End,
    /// Datagrams that get lost, of a thousand.
    loss: u64,
    random: Dice,
    /// Memory for datagrams.
    spare: Vec<Vec<u8>>,
}

struct End {
    connection: Connection,
    /// What comes to it, and when.
    arriving: VecDeque<(Instant, Vec<u8>)>,
}

impl Pair {
    pub(crate) fn new(config: Config, loss: u64) -> Self {
        let now = Instant::now();
        let config = Arc::new(config);
        let end = |side| End {
            connection: Connection::new(side, 7, config.clone(), MAX_PLAINTEXT, 1 << 40, now),
            arriving: VecDeque::new(),
        };
        Self {
            now,
            client: end(Side::Client),
            server: end(Side::Server),
            loss,
            spare: Vec::new(),
            random: Dice(0x9e37_79b9_7f4a_7c15),
        }
    }

    /// The client sends so many bytes, and the server reads them all.
    pub(crate) fn bulk(&mut self, bytes: usize) {
        let block = [0x5a; 16 * 1024];
        let (mut unwritten, mut unread) = (bytes, bytes);
        loop {
            unread -= self.server.read();
            if unread == 0 {
                return;
            }
            while unwritten > 0 {
                let count = self
                    .client
                    .connection
                    .write(&block[..unwritten.min(block.len())]);
                unwritten -= count;
                if count == 0 {
                    break;
                }
            }
            self.advance();
        }
    }

    /// The client asks and the server answers, so many times.
    pub(crate) fn requests(&mut self, count: usize) {
        for _ in 0..count {
            self.client.connection.write(&[1; REQUEST]);
            self.await_bytes(REQUEST, |pair| &mut pair.server);
            self.server.connection.write(&[2; RESPONSE]);
            self.await_bytes(RESPONSE, |pair| &mut pair.client);
        }
    }

    fn await_bytes(&mut self, count: usize, reader: impl Fn(&mut Self) -> &mut End) {
        let mut missing = count;
        loop {
            missing -= reader(self).read();
            if missing == 0 {
                return;
            }
            self.advance();
        }
    }

    /// Sends what there is to send, and goes on to the next thing that happens.
    fn advance(&mut self) {
        self.flush();
        let ends = [&self.client, &self.server];
        let next = ends.into_iter().filter_map(End::next).min();
        self.now = self.now.max(next.expect("both wait for ever"));
        for end in [&mut self.client, &mut self.server] {
            end.take(self.now, &mut self.spare);
        }
    }

    fn flush(&mut self) {
        let mut ends = (&mut self.client, &mut self.server);
        for _ in 0..2 {
            let (from, to) = ends;
            loop {
                let mut datagram = self
                    .spare
                    .pop()
                    .unwrap_or_else(|| Vec::with_capacity(MAX_PLAINTEXT));
                datagram.clear();
                let sent = from.connection.poll_transmit(self.now, &mut datagram);
                if sent.is_none() {
                    self.spare.push(datagram);
                    break;
                }
                if self.random.is_lost(self.loss) {
                    self.spare.push(datagram);
                } else {
                    to.arriving.push_back((self.now + DELAY, datagram));
                }
                if !from.connection.has_more() {
                    break;
                }
            }
            ends = (to, from);
        }
    }
}

/// Xorshift.
struct Dice(u64);

impl Dice {
    fn is_lost(&mut self, of_a_thousand: u64) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % 1000 < of_a_thousand
    }
}

impl End {
    fn next(&self) -> Option<Instant> {
        let arrival = self.arriving.front().map(|&(at, _)| at);
        let timeout = self.connection.poll_timeout().map(|(at, _)| at);
        arrival.into_iter().chain(timeout).min()
    }

    fn take(&mut self, now: Instant, spare: &mut Vec<Vec<u8>>) {
        while self.arriving.front().is_some_and(|&(at, _)| at <= now) {
            if let Some((_, datagram)) = self.arriving.pop_front() {
                self.connection.handle_datagram(now, &datagram);
                spare.push(datagram);
            }
        }
        if self
            .connection
            .poll_timeout()
            .is_some_and(|(at, _)| at <= now)
        {
            self.connection.handle_timeout(now);
        }
    }

    /// Reads all that has come; returns how much that was.
    fn read(&mut self) -> usize {
        let mut count = 0;
        while !self.connection.read().is_empty() {
            let length = self.connection.read().len();
            self.connection.consume(length);
            count += length;
        }
        count
    }
}
