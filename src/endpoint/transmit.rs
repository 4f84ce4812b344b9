//! From connections to the kernel: datagrams of equal size leave as a train, in one system call.

use std::{
    collections::HashMap,
    fmt, io,
    net::{IpAddr, SocketAddr},
    ops::Range,
    sync::Arc,
    time::Instant,
};

use quinn_udp::Transmit;

use crate::{
    packet::NonceSource,
    wire::{Command, Segment},
};

use super::{
    batch::Origin,
    handle::Addresses,
    port::{Port, PortId},
    session::Session,
    table::{Slot, Tenant, canonical, native},
};

/// Datagrams that one session may send before others have their turn: two trains of full ones.
const BUDGET: usize = 96;
/// The longest train that the kernel takes.
const MAX_TRAIN: usize = 65_507;

/// Where datagrams leave: a socket, or a test's list.
pub(super) trait SendDatagrams: Send + Sync {
    /// Sends one datagram, or a train of `segment_size` bytes each. Never waits.
    fn send(&self, transmit: &Transmit<'_>) -> io::Result<()>;

    /// How many datagrams a train may have.
    fn max_segments(&self) -> usize;
}

/// How datagrams to a peer leave here.
#[derive(Clone, Copy, Debug, Default)]
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
#[derive(Clone, Copy, Debug)]
struct Path {
    lane: usize,
    destination: SocketAddr,
    source: Option<IpAddr>,
}

impl Path {
    fn of(session: &Session) -> Self {
        Self {
            lane: session.way.lane.into(),
            destination: native(session.port().local, session.id().remote()),
            source: session.way.source,
        }
    }
}

impl From<Origin> for Path {
    fn from(origin: Origin) -> Self {
        Self {
            lane: origin.lane,
            destination: origin.remote,
            source: origin.local_ip,
        }
    }
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
    buffer: Vec<u8>,
    nonces: NonceSource,
    blocked: HashMap<(PortId, usize), Held>,
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

/// What the kernel made of a train.
enum Sent {
    Yes,
    /// From this byte on it was not taken.
    Blocked(usize),
    /// Nobody listens at the peer.
    Refused,
}

impl Transmitter {
    pub(super) fn new(worker: usize) -> Self {
        Self {
            worker,
            buffer: Vec::new(),
            nonces: NonceSource::default(),
            blocked: HashMap::new(),
        }
    }

    /// Sends what the session's connection has to say, up to its budget.
    pub(super) fn flush(&mut self, now: Instant, slot: Slot, session: &mut Session) -> Flushed {
        let port = session.port().clone();
        let lane = usize::from(session.way.lane);
        if let Some(held) = self.blocked.get_mut(&(port.id, lane)) {
            held.waiting.push(slot);
            return Flushed::Blocked;
        }
        let max_segments = port.lanes[lane].sender().max_segments();
        self.buffer.clear();
        let (mut segment, mut count) = (0, 0);
        let mut flushed = Flushed::More;
        for _ in 0..BUDGET {
            let start = self.buffer.len();
            let Some(length) = self.append(now, &port, session) else {
                flushed = Flushed::Done;
                break;
            };
            if length > segment {
                // It cannot ride along; it begins a train.
                if !self.send_front(&port, slot, session, start, segment) {
                    return Flushed::Blocked;
                }
                (segment, count) = (length, 0);
            }
            count += 1;
            let full = count >= max_segments || self.buffer.len() + segment > MAX_TRAIN;
            if full || length < segment {
                if !self.send_front(&port, slot, session, self.buffer.len(), segment) {
                    return Flushed::Blocked;
                }
                (segment, count) = (0, 0);
            }
        }
        if self.send_front(&port, slot, session, self.buffer.len(), segment) {
            flushed
        } else {
            Flushed::Blocked
        }
    }

    /// Appends one datagram, to be sealed with the others of its train; returns its length.
    fn append(&mut self, now: Instant, port: &Port, session: &mut Session) -> Option<usize> {
        let start = port.codec.begin(&mut self.buffer);
        let written = session.connection.poll_transmit(now, &mut self.buffer);
        if written.is_none() {
            self.buffer.truncate(start);
            return None;
        }
        port.codec.end(&mut self.buffer);
        Some(self.buffer.len() - start)
    }

    /// Seals the train in the first `length` bytes of the buffer. Returns how long it is without
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

    /// Sends the first `length` bytes of the buffer and removes them. False if the kernel is
    /// full: everything in the buffer is then held for later.
    fn send_front(
        &mut self,
        port: &Arc<Port>,
        slot: Slot,
        session: &mut Session,
        length: usize,
        segment: usize,
    ) -> bool {
        if length == 0 {
            return true;
        }
        let path = Path::of(session);
        let length = self.seal_front(port, &path, length, segment);
        if length == 0 {
            return true;
        }
        match send(port, &path, &self.buffer[..length], segment) {
            Sent::Yes => {}
            Sent::Refused => session.refused = true,
            Sent::Blocked(from) => {
                self.hold(port, path, slot, from..length, segment);
                return false;
            }
        }
        self.buffer.drain(..length);
        true
    }

    fn hold(
        &mut self,
        port: &Arc<Port>,
        path: Path,
        slot: Slot,
        train: Range<usize>,
        segment: usize,
    ) {
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
            waiting: vec![slot],
        };
        self.blocked.insert((port.id, path.lane), held);
        port.lanes[path.lane].ask_writable(port.id, path.lane, self.worker);
    }

    /// The kernel takes datagrams again: sends what was held. Returns the sessions that wait, if
    /// it went.
    pub(super) fn resume(&mut self, port: PortId, lane: usize) -> Vec<Slot> {
        let Some(mut held) = self.blocked.remove(&(port, lane)) else {
            return Vec::new();
        };
        while let Some(train) = held.trains.first_mut() {
            match send(&held.port, &train.path, &train.bytes, train.segment) {
                Sent::Yes | Sent::Refused => {
                    held.trains.remove(0);
                }
                Sent::Blocked(_) if held.port.is_finished() => return Vec::new(),
                Sent::Blocked(from) => {
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
        self.buffer.clear();
        let start = port.codec.begin(&mut self.buffer);
        Segment::Command(command).encode(&mut self.buffer);
        let path = origin.into();
        match port.codec.seal(&mut self.buffer, start, &mut self.nonces) {
            Ok(()) => {
                send(port, &path, &self.buffer, self.buffer.len());
            }
            Err(error) => lose(port, &path, &error),
        }
    }
}

/// Gives a train to the kernel and counts what becomes of it.
fn send(port: &Port, path: &Path, train: &[u8], segment: usize) -> Sent {
    let sender = port.lanes[path.lane].sender();
    let counters = &port.counters;
    let transmit = Transmit {
        destination: path.destination,
        ecn: None,
        contents: train,
        segment_size: (train.len() > segment).then_some(segment),
        src_ip: path.source,
    };
    counters.send_calls.add(1);
    let mut result = sender.send(&transmit);
    if result.as_ref().is_err_and(is_refusal) {
        // An ICMP answer to an earlier datagram; this one was not even tried.
        counters.send_calls.add(1);
        result = sender.send(&transmit);
    }
    match result {
        Ok(()) => {
            counters
                .datagrams_sent
                .add(train.len().div_ceil(segment) as u64);
            counters.bytes_sent.add(train.len() as u64);
            Sent::Yes
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Sent::Blocked(0),
        // Without a peer of its own the socket does not say whom it means.
        Err(error) if is_refusal(&error) && port.peer.is_some() => Sent::Refused,
        // Drivers and routes may refuse trains at any time; single datagrams always go.
        Err(_) if train.len() > segment => send_singly(port, path, train, segment),
        Err(error) if quinn_udp::is_msg_size_err(&error) => {
            let length = train.len();
            lose(
                port,
                path,
                &format!("{length} bytes are too long; lower the mtu"),
            );
            Sent::Yes
        }
        Err(error) => {
            lose(port, path, &error);
            Sent::Yes
        }
    }
}

fn send_singly(port: &Port, path: &Path, train: &[u8], segment: usize) -> Sent {
    let mut sent = 0;
    for datagram in train.chunks(segment) {
        match send(port, path, datagram, datagram.len()) {
            Sent::Yes => sent += datagram.len(),
            Sent::Blocked(_) => return Sent::Blocked(sent),
            Sent::Refused => return Sent::Refused,
        }
    }
    Sent::Yes
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
    )
}

/// A datagram that could not be sent is lost, like any other that the network does not carry.
fn lose(port: &Port, path: &Path, error: &dyn fmt::Display) {
    port.counters.send_errors.add(1);
    if port.counters.warnings.allows(Instant::now()) {
        log::warn!("cannot send to {}: {error}", path.destination);
    }
}

impl fmt::Debug for dyn SendDatagrams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendDatagrams").finish_non_exhaustive()
    }
}
