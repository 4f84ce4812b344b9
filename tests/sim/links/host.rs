//! One end of a flow: a node, the program above it, and when it wants to be woken.

use std::{collections::VecDeque, net::Shutdown, time::Duration};

use mkcp::{
    ConnectionStats,
    internal::connection::{Connection, Members, Side},
};

use super::row::{Kind, Work};
use crate::{
    clock::Time,
    go_peer::GoPeer,
    node::{Node, Read},
    peer::OurPeer,
};

static CHUNK: [u8; 64 * 1024] = [0; 64 * 1024];

pub enum Peer {
    Ours(Box<OurPeer>),
    Go(Box<GoPeer>),
}

impl Peer {
    fn new(kind: &Kind, side: Side, conversation: u16, seed: u64) -> Self {
        match kind {
            Kind::Ours(config) => {
                let peer = OurPeer::new(side, conversation, config.clone(), seed);
                Self::Ours(Box::new(peer))
            }
            Kind::Go(config) => Self::Go(Box::new(match side {
                Side::Client => GoPeer::dialer(conversation, config.clone()),
                Side::Server => GoPeer::listener(config.clone()),
            })),
        }
    }

    pub fn node(&self) -> &dyn Node {
        match self {
            Self::Ours(peer) => peer.as_ref(),
            Self::Go(peer) => peer.as_ref(),
        }
    }

    pub fn node_mut(&mut self) -> &mut dyn Node {
        match self {
            Self::Ours(peer) => peer.as_mut(),
            Self::Go(peer) => peer.as_mut(),
        }
    }
}

pub struct Host {
    pub peer: Peer,
    program: Program,
    /// Datagrams that have come and wait for the driver's next look.
    pub inbox: VecDeque<Vec<u8>>,
    /// What its connection waits for.
    pub timeout: Option<Time>,
    /// When its program notices what came, if it does not at once.
    pub program_at: Option<Time>,
    /// When it is to be woken.
    pub due: Option<Time>,
    pub sent: u64,
    pub received: u64,
}

/// Two for each flow. Those of a side share their path.
pub struct Hosts(pub Vec<Host>);

impl Members for Hosts {
    type Name = usize;
    type Path = ();

    fn find(&mut self, host: usize) -> Option<((), &mut Connection)> {
        match &mut self.0[host].peer {
            Peer::Ours(peer) => Some(((), peer.connection_mut()?)),
            Peer::Go(_) => None,
        }
    }
}

/// What an end does with its connection.
#[derive(Clone, Debug)]
enum Program {
    /// Writes all that is taken, until a moment.
    Writes {
        until: Time,
    },
    Reads,
    /// Reads, but not between these moments.
    Rests {
        from: Time,
        until: Time,
    },
    Leaves {
        at: Time,
        resets: bool,
        done: bool,
    },
    Asks(Rounds),
    /// Gives back every byte.
    Echoes,
}

/// Requests, each sent when the one before is answered. The first opens the connection and is not
/// counted.
#[derive(Clone, Debug)]
struct Rounds {
    bytes: u64,
    left: u64,
    opened: bool,
    asked_at: Option<Time>,
}

impl Host {
    pub fn new(
        kind: &Kind,
        side: Side,
        conversation: u16,
        work: &Work,
        until: Time,
        seed: u64,
    ) -> Self {
        let program = match (work, side) {
            (Work::Rounds { bytes, count }, Side::Client) => Program::Asks(Rounds {
                bytes: *bytes,
                left: *count,
                opened: false,
                asked_at: None,
            }),
            (Work::Rounds { .. }, Side::Server) => Program::Echoes,
            (_, Side::Client) => Program::Writes { until },
            (Work::Bulk, Side::Server) => Program::Reads,
            (&Work::ReaderRests { from, until }, Side::Server) => Program::Rests { from, until },
            (&Work::ReaderLeaves { at, resets }, Side::Server) => Program::Leaves {
                at,
                resets,
                done: false,
            },
        };
        Self {
            peer: Peer::new(kind, side, conversation, seed),
            program,
            inbox: VecDeque::new(),
            timeout: None,
            program_at: None,
            due: None,
            sent: 0,
            received: 0,
        }
    }

    pub fn stats(&self) -> Option<ConnectionStats> {
        match &self.peer {
            Peer::Ours(peer) => peer.connection().map(|connection| connection.stats()),
            Peer::Go(_) => None,
        }
    }

    /// Whether it has nothing more to do than to answer.
    pub fn is_done(&self) -> bool {
        match &self.program {
            Program::Asks(rounds) => rounds.left == 0,
            _ => self.peer.node().is_flushed(),
        }
    }

    /// When its program does something by itself.
    pub fn next_act(&self, now: Time) -> Option<Time> {
        let at = match self.program {
            Program::Rests { until, .. } => until,
            Program::Leaves { at, .. } => at,
            _ => return None,
        };
        (at > now).then_some(at)
    }

    /// Does all that can be done now. Gives how many bytes were read and, if a round has ended,
    /// how long it took.
    pub fn run(&mut self, now: Time) -> (u64, Option<Duration>) {
        let node = self.peer.node_mut();
        if !node.is_open() {
            return (0, None);
        }
        let rests = matches!(self.program, Program::Rests { from, until }
            if from <= now && now < until);
        let read = if rests { 0 } else { read_all(now, node) };
        self.received += read;
        let mut round = None;
        match &mut self.program {
            Program::Writes { until } if now < *until => {
                self.sent += write(now, node, u64::MAX);
            }
            Program::Leaves { at, resets, done } if now >= *at && !*done => {
                *done = true;
                if *resets {
                    node.reset(now);
                } else {
                    node.shutdown(now, Shutdown::Both);
                }
            }
            Program::Echoes => self.sent += write(now, node, self.received - self.sent),
            Program::Asks(rounds) if self.received == self.sent => {
                if rounds.opened {
                    round = rounds.asked_at.map(|at| now - at);
                }
                rounds.opened = rounds.asked_at.is_some();
                rounds.left -= u64::from(round.is_some());
                if rounds.left > 0 {
                    rounds.asked_at = Some(now);
                    self.sent += write(now, node, rounds.bytes);
                } else {
                    rounds.asked_at = None;
                }
            }
            _ => {}
        }
        (read, round)
    }
}

fn read_all(now: Time, node: &mut dyn Node) -> u64 {
    let mut read = 0;
    while let Read::Bytes(bytes) = node.read(now, usize::MAX) {
        read += bytes.len() as u64;
    }
    read
}

fn write(now: Time, node: &mut dyn Node, most: u64) -> u64 {
    let mut written = 0;
    while written < most {
        let size = CHUNK.len().min((most - written) as usize);
        let taken = node.write(now, &CHUNK[..size]);
        written += taken as u64;
        if taken < size {
            break;
        }
    }
    written
}
