//! From connections to the kernel: datagrams of equal size leave as a train, in one system call,
//! those of several sessions with the same peer address together.

mod send;

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    ops::Range,
    sync::Arc,
    time::Instant,
};

use crate::{
    connection::Connection,
    packet::NonceSource,
    wire::{Command, Segment},
};

use super::{
    address::{CompactAddr, canonical},
    batch::Origin,
    handle::Addresses,
    port::{Port, PortId},
    session::Session,
    table::{Slot, Tenant},
};

pub(super) use send::SendDatagrams;
use send::{Passed, lose, send};

/// Datagrams that one session may send before others have their turn: two trains of full ones.
const BUDGET: usize = 96;
/// Sessions that are asked for datagrams that go along, before a train leaves: it waits for as long
/// as it takes to visit them.
const MOST_ASKED: usize = 16;
/// The longest train that the kernel takes.
const MAX_TRAIN: usize = 65_507;

/// How datagrams to a peer leave here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    /// The address of ours that the peer knows.
    pub(super) source: Option<IpAddr>,
    /// Which of the port's sockets.
    pub(super) lane: u16,
}

impl Way {
    /// Both ends, as the user is told; `local` is where the port is bound.
    pub(super) fn addresses(&self, mut local: SocketAddr, peer: SocketAddr) -> Addresses {
        if let Some(ip) = self.source {
            local.set_ip(ip);
        }
        Addresses {
            local: canonical(local),
            peer,
        }
    }
}

impl From<Origin> for Way {
    fn from(origin: Origin) -> Self {
        Self {
            source: origin.local_ip,
            lane: origin.lane as u16,
        }
    }
}

/// The way to a peer, all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Path {
    way: Way,
    peer: CompactAddr,
}

impl Path {
    fn of(session: &Session) -> Self {
        Self {
            way: session.way,
            peer: session.id().remote,
        }
    }

    fn lane(&self) -> usize {
        self.way.lane.into()
    }
}

impl From<Origin> for Path {
    fn from(origin: Origin) -> Self {
        Self {
            way: origin.into(),
            peer: origin.remote.into(),
        }
    }
}

/// What the worker does after this session's visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It visits others.
    Others,
    Nothing,
}

/// How far a session's output got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Nothing is left to send now.
    Done,
    /// There is more, but it is the others' turn.
    More,
    /// The kernel takes nothing at the moment; the worker is told when it does again.
    Blocked,
}

/// One worker's way out.
#[derive(Debug)]
pub(super) struct Transmitter {
    worker: usize,
    /// The train that is being made up, not sealed yet.
    buffer: Vec<u8>,
    forming: Option<Forming>,
    nonces: NonceSource,
    blocked: HashMap<(PortId, usize), Held>,
}

/// Of what kind the datagrams in the buffer are, and how many.
#[derive(Debug)]
struct Forming {
    port: Arc<Port>,
    path: Path,
    segment: usize,
    count: usize,
    /// How many there may be.
    most: usize,
    /// Sessions that have been asked since it began.
    asked: usize,
}

/// What a socket refused for lack of room, and who waits for it.
#[derive(Debug)]
struct Held {
    port: Arc<Port>,
    trains: Vec<Train>,
    waiting: Vec<Slot>,
}

/// Sealed datagrams of `segment` bytes each; the last may be shorter.
#[derive(Debug)]
struct Train {
    path: Path,
    bytes: Vec<u8>,
    segment: usize,
}

/// The same, with what was not taken in good hands.
pub(super) enum Sent {
    Yes,
    Blocked,
    Refused,
}

impl Transmitter {
    pub(super) fn new(worker: usize) -> Self {
        Self {
            worker,
            buffer: Vec::new(),
            forming: None,
            nonces: NonceSource::default(),
            blocked: HashMap::new(),
        }
    }

    /// Sends what the session's connection has to say, up to its budget. If others are next, the
    /// end of it may wait for what they say to the same address, at most until `depart`.
    pub(super) fn flush(
        &mut self,
        now: Instant,
        slot: Slot,
        session: &mut Session,
        next: Next,
    ) -> Flushed {
        let path = Path::of(session);
        let (port, connection, refused) = session.sending();
        if !self.is_forming_for(port, &path) {
            self.depart();
        }
        if self.blocked.contains_key(&(port.id, path.lane())) {
            return self.wait(slot, port, &path);
        }
        let mut flushed = Flushed::More;
        for _ in 0..BUDGET {
            let start = self.buffer.len();
            let Some(length) = self.append(now, port, connection) else {
                flushed = Flushed::Done;
                break;
            };
            match self.couple(port, &path, start, length) {
                Sent::Yes => {}
                Sent::Refused => *refused = true,
                Sent::Blocked => return self.wait(slot, port, &path),
            }
            if !connection.has_more() {
                flushed = Flushed::Done;
                break;
            }
        }
        // Of a socket with one peer it is told below whom a refusal means. And a last word does not
        // wait, for once it is told that all is over the process may end.
        let may_wait = port.peer.is_none() && !connection.has_ended();
        if next == Next::Others && may_wait && self.may_wait() {
            return flushed;
        }
        match self.depart() {
            Sent::Yes => flushed,
            Sent::Refused => {
                *refused = true;
                flushed
            }
            Sent::Blocked => self.wait(slot, port, &path),
        }
    }

    /// Sends what waits for company.
    pub(super) fn depart(&mut self) -> Sent {
        self.send_front(self.buffer.len())
    }

    /// Another session has been asked for what goes the same way.
    fn may_wait(&mut self) -> bool {
        self.forming.as_mut().is_none_or(|forming| {
            forming.asked += 1;
            forming.asked < MOST_ASKED
        })
    }

    fn is_forming_for(&self, port: &Port, path: &Path) -> bool {
        let is_same = |forming: &Forming| forming.port.id == port.id && forming.path == *path;
        self.forming.as_ref().is_none_or(is_same)
    }

    /// The session is told when the kernel takes datagrams again.
    fn wait(&mut self, slot: Slot, port: &Port, path: &Path) -> Flushed {
        if let Some(held) = self.blocked.get_mut(&(port.id, path.lane())) {
            held.waiting.push(slot);
        }
        Flushed::Blocked
    }

    /// Adds the datagram at the end of the buffer to the train before it, or begins another with
    /// it. A train that can become no longer leaves.
    fn couple(&mut self, port: &Arc<Port>, path: &Path, start: usize, length: usize) -> Sent {
        let mut sent = Sent::Yes;
        if self
            .forming
            .as_ref()
            .is_none_or(|forming| length > forming.segment)
        {
            sent = self.send_front(start);
            if matches!(sent, Sent::Blocked) {
                return sent;
            }
            self.forming = Some(Forming {
                port: port.clone(),
                path: *path,
                segment: length,
                count: 0,
                most: port.lanes[path.lane()].max_segments(),
                asked: 0,
            });
        }
        let is_full = self.forming.as_mut().is_some_and(|forming| {
            forming.count += 1;
            let full =
                forming.count >= forming.most || self.buffer.len() + forming.segment > MAX_TRAIN;
            full || length < forming.segment
        });
        if !is_full {
            return sent;
        }
        match (sent, self.depart()) {
            (Sent::Refused, Sent::Yes) => Sent::Refused,
            (_, last) => last,
        }
    }

    /// Appends one datagram, to be sealed with the others of its train; returns its length.
    fn append(&mut self, now: Instant, port: &Port, connection: &mut Connection) -> Option<usize> {
        let start = port.codec.begin(&mut self.buffer);
        let written = connection.poll_transmit(now, &mut self.buffer);
        if written.is_none() {
            self.buffer.truncate(start);
            return None;
        }
        port.codec.end(&mut self.buffer);
        Some(self.buffer.len() - start)
    }

    /// Seals a train in the first `length` bytes of the buffer. Returns how long it is without
    /// what could not be sealed, which is lost and removed.
    fn seal_front(&mut self, port: &Port, path: &Path, length: usize, segment: usize) -> usize {
        let train = &mut self.buffer[..length];
        let Err(unsealed) = port.codec.seal_train(train, segment, &mut self.nonces) else {
            return length;
        };
        for _ in train[unsealed.from..].chunks(segment) {
            lose(port, path, &unsealed.error);
        }
        self.buffer.drain(unsealed.from..length);
        unsealed.from
    }

    /// Sends the train, which is the first `length` bytes of the buffer, and removes it. If the
    /// kernel is full, everything in the buffer is held for later.
    fn send_front(&mut self, length: usize) -> Sent {
        let Some(forming) = self.forming.take() else {
            return Sent::Yes;
        };
        let Forming {
            port,
            path,
            segment,
            ..
        } = forming;
        let length = self.seal_front(&port, &path, length, segment);
        if length == 0 {
            return Sent::Yes;
        }
        let train = &self.buffer[..length];
        match send(&port, &path, train, segment) {
            Passed::Blocked(from) => {
                self.hold(&port, path, from..length, segment);
                Sent::Blocked
            }
            passed => {
                self.buffer.drain(..length);
                match passed {
                    Passed::Refused => Sent::Refused,
                    _ => Sent::Yes,
                }
            }
        }
    }

    fn hold(&mut self, port: &Arc<Port>, path: Path, train: Range<usize>, segment: usize) {
        port.counters.send_blocked.add(1);
        let mut trains = vec![Train {
            path,
            bytes: self.buffer[train.clone()].to_vec(),
            segment,
        }];
        // What is behind the train is one datagram, which is not sealed yet.
        self.buffer.drain(..train.end);
        let length = self.buffer.len();
        if length > 0 && self.seal_front(port, &path, length, length) > 0 {
            trains.push(Train {
                path,
                bytes: self.buffer.to_vec(),
                segment: length,
            });
        }
        self.buffer.clear();
        let held = Held {
            port: port.clone(),
            trains,
            waiting: Vec::new(),
        };
        self.blocked.insert((port.id, path.lane()), held);
        port.lanes[path.lane()].ask_writable(port.id, path.lane(), self.worker);
    }

    /// The kernel takes datagrams again: sends what was held. Returns the sessions that wait, if
    /// it went.
    pub(super) fn resume(&mut self, port: PortId, lane: usize) -> Vec<Slot> {
        let Some(mut held) = self.blocked.remove(&(port, lane)) else {
            return Vec::new();
        };
        while let Some(train) = held.trains.first_mut() {
            match send(&held.port, &train.path, &train.bytes, train.segment) {
                Passed::Yes | Passed::Refused => {
                    held.trains.remove(0);
                }
                Passed::Blocked(_) if held.port.is_finished() => return Vec::new(),
                Passed::Blocked(from) => {
                    train.bytes.drain(..from);
                    held.port.lanes[lane].ask_writable(port, lane, self.worker);
                    self.blocked.insert((port, lane), held);
                    return Vec::new();
                }
            }
        }
        held.waiting
    }

    /// Answers a datagram that belongs to no session. If the kernel has no room, nobody is
    /// answered.
    pub(super) fn reply(&mut self, port: &Arc<Port>, origin: Origin, command: Command) {
        self.depart();
        let start = port.codec.begin(&mut self.buffer);
        Segment::Command(command).encode(&mut self.buffer);
        let path = origin.into();
        match port.codec.seal(&mut self.buffer, start, &mut self.nonces) {
            Ok(()) => {
                send(port, &path, &self.buffer, self.buffer.len());
            }
            Err(error) => lose(port, &path, &error),
        }
        self.buffer.clear();
    }
}
