//! Whole clients for the laboratory, and servers' programs: virtual paths to a worker.

use std::{io::IoSliceMut, net::SocketAddr};

use super::*;
use crate::{
    config::derive,
    connection::{Connection, Side},
    endpoint::accept::AcceptQueue,
};

/// A client at the other end of a path.
pub(super) struct Client {
    pub(super) address: SocketAddr,
    pub(super) connection: Connection,
    pub(super) received: usize,
    pub(super) reads: bool,
    delay: Duration,
    /// What is under way to it.
    arriving: VecDeque<(Instant, Vec<u8>)>,
}

impl Client {
    pub(super) fn new(address: SocketAddr, conversation: u16, delay: Duration, lab: &Lab) -> Self {
        let config = lab.port.config.clone();
        let max_plaintext = derive::max_plaintext(&config);
        let seed = 0x1234_5678_9abc_def0 ^ u64::from(conversation);
        let side = Side::Client;
        Self {
            address,
            connection: Connection::new(side, conversation, config, max_plaintext, seed, lab.now),
            received: 0,
            reads: true,
            delay,
            arriving: VecDeque::new(),
        }
    }

    fn next_event(&self) -> Option<Instant> {
        let arrival = self.arriving.front().map(|&(at, _)| at);
        let timer = self.connection.poll_timeout().map(|(at, _)| at);
        [arrival, timer].into_iter().flatten().min()
    }

    /// Does all that is due, and gives the datagrams that leave.
    fn run(&mut self, now: Instant) -> Vec<Vec<u8>> {
        while self.arriving.front().is_some_and(|&(at, _)| at <= now) {
            if let Some((_, datagram)) = self.arriving.pop_front() {
                self.connection.handle_datagram(now, &datagram);
            }
        }
        let timer = self.connection.poll_timeout();
        if timer.is_some_and(|(at, _)| at <= now) {
            self.connection.handle_timeout(now);
        }
        while self.reads {
            let count = self.connection.read().len();
            if count == 0 {
                break;
            }
            self.connection.consume(count);
            self.received += count;
        }
        let mut sent = Vec::new();
        let mut datagram = Vec::new();
        while self.connection.poll_transmit(now, &mut datagram).is_some() {
            sent.push(std::mem::take(&mut datagram));
        }
        sent
    }
}

/// A worker with clients around it and a program on its sessions.
pub(super) struct Town {
    pub(super) lab: Lab,
    pub(super) clients: Vec<Client>,
    pub(super) program: Program,
    /// What is under way to the worker.
    arriving: Vec<(Instant, SocketAddr, u16, Vec<u8>)>,
    /// Bytes of UDP payload that went to nobody of the clients.
    pub(super) astray: usize,
}

/// What is done with the sessions that peers open.
pub(super) struct Program {
    queue: Arc<AcceptQueue>,
    /// Each with what has been read and is not sent back yet.
    streams: Vec<(Arc<SessionHandle>, Vec<u8>)>,
    /// What each is sent at first.
    pub(super) greeting: usize,
    pub(super) accepts: bool,
    /// What it does at once with all that it accepts, before it drops that.
    pub(super) refuses: Option<fn(&SessionHandle)>,
}

impl Program {
    /// Everything that is read is sent back.
    fn run(&mut self) {
        while self.accepts
            && let Ok(stream) = self.queue.accept_timeout(Duration::ZERO)
        {
            if let Some(refuse) = self.refuses {
                refuse(&stream);
                stream.release();
                continue;
            }
            stream.receive_pipe().set_nonblocking(true);
            stream.send_pipe().set_nonblocking(true);
            if self.greeting > 0 {
                let _ = stream.write(&[IoSlice::new(&vec![7; self.greeting])]);
            }
            self.streams.push((stream, Vec::new()));
        }
        let must_wait = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
        self.streams.retain_mut(|(stream, unsent)| {
            if unsent.is_empty() {
                let mut bytes = [0; 4096];
                match stream.read(&mut [IoSliceMut::new(&mut bytes)]) {
                    Ok(0) => return false,
                    Ok(count) => unsent.extend(&bytes[..count]),
                    Err(error) => return must_wait(error),
                }
            }
            match stream.write(&[IoSlice::new(unsent)]) {
                Ok(count) => unsent.drain(..count).count() == count,
                Err(error) => must_wait(error),
            }
        });
    }
}

impl Town {
    pub(super) fn new(lab: Lab) -> Self {
        let queue = lab.port.start_listening().unwrap();
        Self {
            lab,
            clients: Vec::new(),
            program: Program {
                queue,
                streams: Vec::new(),
                greeting: 0,
                accepts: true,
                refuses: None,
            },
            arriving: Vec::new(),
            astray: 0,
        }
    }

    pub(super) fn add(&mut self, address: SocketAddr, conversation: u16, delay: Duration) -> usize {
        let client = Client::new(address, conversation, delay, &self.lab);
        self.clients.push(client);
        self.clients.len() - 1
    }

    pub(super) fn unaccepted(&self) -> usize {
        self.program.queue.len()
    }

    /// The machine with the worker starts anew, and nothing is left of what was. What is under way
    /// to it still arrives.
    pub(super) fn restart(&mut self) {
        let arriving = std::mem::take(&mut self.arriving);
        let now = self.lab.now;
        let mut lab = Lab::with((*self.lab.port.config).clone(), Limits::default());
        lab.now = now;
        let clients = std::mem::take(&mut self.clients);
        *self = Self::new(lab);
        self.clients = clients;
        self.arriving = arriving;
    }

    /// All that happens until then.
    pub(super) fn run_until(&mut self, end: Instant) {
        self.run_now();
        while let Some(next) = self.next_event().filter(|&next| next <= end) {
            self.lab.now = self.lab.now.max(next);
            self.run_now();
        }
        self.lab.now = self.lab.now.max(end);
    }

    /// Runs until something holds; returns how long that took.
    pub(super) fn run_while(
        &mut self,
        limit: Duration,
        condition: impl Fn(&Self) -> bool,
    ) -> Duration {
        let start = self.lab.now;
        self.run_now();
        while condition(self) {
            let next = self.next_event().expect("something is to happen");
            assert!(next <= start + limit, "not within {limit:?}");
            self.lab.now = self.lab.now.max(next);
            self.run_now();
        }
        self.lab.now - start
    }

    fn next_event(&mut self) -> Option<Instant> {
        let timer = self.lab.worker.next_deadline();
        let clients = self.clients.iter().filter_map(Client::next_event);
        let arrivals = self.arriving.iter().map(|arrival| arrival.0);
        clients.chain(arrivals).chain(timer).min()
    }

    fn run_now(&mut self) {
        let now = self.lab.now;
        for client in &mut self.clients {
            for datagram in client.run(now) {
                let conversation = client.connection.conversation();
                let arrival = (now + client.delay, client.address, conversation, datagram);
                self.arriving.push(arrival);
            }
        }
        let due = |arrival: &mut (Instant, SocketAddr, u16, Vec<u8>)| arrival.0 <= now;
        for (_, address, conversation, datagram) in self.arriving.extract_if(.., due) {
            self.lab.post(address, conversation, &datagram);
        }
        self.lab.settle();
        self.program.run();
        self.lab.settle();
        self.carry();
    }

    /// What the worker has sent is under way.
    fn carry(&mut self) {
        let trains = std::mem::take(&mut *self.lab.outbox.trains.lock());
        let destinations = std::mem::take(&mut *self.lab.outbox.destinations.lock());
        for (train, destination) in trains.into_iter().zip(destinations) {
            for mut datagram in train {
                let plaintext = self.lab.port.codec.open(&mut datagram).unwrap().to_vec();
                let conversation = u16::from_be_bytes([plaintext[0], plaintext[1]]);
                let meant = |client: &&mut Client| {
                    client.address == destination
                        && client.connection.conversation() == conversation
                };
                match self.clients.iter_mut().find(meant) {
                    Some(client) => {
                        let at = self.lab.now + client.delay;
                        client.arriving.push_back((at, plaintext));
                    }
                    None => self.astray += datagram.len(),
                }
            }
        }
    }
}
