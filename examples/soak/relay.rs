//! The bad path: a thread that passes datagrams between clients and servers through faulty links.
//!
//! Each lane has an address of its own, to which clients send. Towards the server each client has
//! a socket of its own, so that the server sees as many addresses as there are clients.

mod schedule;
mod sockets;

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token, Waker};

use crate::{
    forgery::Forger,
    link::{Faults, Injected, Link},
    stop::Stop,
};
use schedule::Schedule;
use sockets::{Place, Sockets};

/// How often clients are looked at that have said nothing for long.
const SWEEP: Duration = Duration::from_secs(5);
/// Datagrams that are read from one socket before others have their turn.
const TURN: usize = 64;
/// No datagram is longer.
const LONGEST: usize = 2048;
const WAKE: Token = Token(usize::MAX);

/// Where a lane leads, and who forges on it.
pub(crate) struct Exit {
    pub(crate) server: SocketAddr,
    pub(crate) forger: Option<Forger>,
}

pub(crate) struct Relay {
    thread: JoinHandle<io::Result<()>>,
    waker: Waker,
    stop: Arc<Stop>,
    /// Where clients of each lane are to send to.
    pub(crate) entrances: Vec<SocketAddr>,
    pub(crate) injected: Arc<Injected>,
}

impl Relay {
    pub(crate) fn start(exits: Vec<Exit>, faults: Faults, seed: u64) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        let sockets = Sockets::open(poll.registry().try_clone()?, exits)?;
        let entrances = sockets.entrances()?;
        let (stop, injected) = (Arc::new(Stop::default()), Arc::new(Injected::default()));
        let thread = {
            let (stop, injected) = (Arc::clone(&stop), Arc::clone(&injected));
            let run = move || Path::new(sockets, faults, seed, &injected).run(poll, &stop);
            thread::Builder::new().name("relay".to_owned()).spawn(run)?
        };
        Ok(Self {
            thread,
            waker,
            stop,
            entrances,
            injected,
        })
    }

    pub(crate) fn stop(self) -> io::Result<()> {
        self.stop.say();
        self.waker.wake()?;
        let result = self.thread.join();
        result.unwrap_or_else(|_| Err(io::Error::other("the relay panicked")))
    }
}

/// All that the thread has.
struct Path<'a> {
    sockets: Sockets,
    up: Link<'a>,
    down: Link<'a>,
    schedule: Schedule,
    /// Sockets from which more can be read.
    ready: Vec<Token>,
}

impl<'a> Path<'a> {
    fn new(sockets: Sockets, faults: Faults, seed: u64, injected: &'a Injected) -> Self {
        Self {
            sockets,
            up: Link::new(faults, seed, injected),
            down: Link::new(faults, !seed, injected),
            schedule: Schedule::default(),
            ready: Vec::new(),
        }
    }

    fn run(mut self, mut poll: Poll, stop: &Stop) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut next_sweep = Instant::now() + SWEEP;
        while !stop.is_said() {
            let wake = self
                .schedule
                .next()
                .map_or(next_sweep, |at| at.min(next_sweep));
            let left = match self.ready.is_empty() {
                true => wake.saturating_duration_since(Instant::now()),
                false => Duration::ZERO,
            };
            match poll.poll(&mut events, Some(left)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in events.iter().filter(|event| event.token() != WAKE) {
                if !self.ready.contains(&event.token()) {
                    self.ready.push(event.token());
                }
            }
            self.read_ready()?;
            self.deliver();
            if Instant::now() >= next_sweep {
                next_sweep = Instant::now() + SWEEP;
                self.sockets.sweep();
            }
        }
        Ok(())
    }

    fn read_ready(&mut self) -> io::Result<()> {
        for token in std::mem::take(&mut self.ready) {
            if self.read(token)? {
                self.ready.push(token);
            }
        }
        Ok(())
    }

    /// Reads from a socket for a while; tells whether there may be more.
    fn read(&mut self, token: Token) -> io::Result<bool> {
        let mut buffer = [0; LONGEST];
        for _ in 0..TURN {
            let Some((length, from)) = self.sockets.receive(token, &mut buffer)? else {
                return Ok(false);
            };
            let link = match from {
                Place::Client(_) => &mut self.up,
                Place::Server(_) => &mut self.down,
            };
            let datagram = &mut buffer[..length];
            let forger = self.sockets.forger(from);
            for arrival in link.pass(Instant::now(), datagram, forger) {
                self.schedule.add(arrival, from, datagram);
            }
        }
        Ok(true)
    }

    fn deliver(&mut self) {
        let now = Instant::now();
        while let Some((from, datagram)) = self.schedule.take_due(now) {
            self.sockets.pass_on(from, &datagram);
        }
    }
}
