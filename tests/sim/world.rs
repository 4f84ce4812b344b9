//! Two nodes, two links and a clock. The one drive loop.

use std::time::Duration;

use mkcp::internal::connection::Side;

use crate::{
    app::{App, Script},
    clock::{EventHeap, Time},
    go_peer::GoPeer,
    invariants::WireMonitor,
    judge,
    network::{Change, Damage, Link, LinkProfile},
    node::Node,
    peer::OurPeer,
    trace::{self, Trace},
};

/// What the system keeps for a process that does not read, at most.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;

/// The end that opens the connection, and the other.
pub const CLIENT: usize = 0;
pub const SERVER: usize = 1;

#[allow(clippy::large_enum_variant)]
pub enum End {
    Ours(OurPeer, WireMonitor),
    Go(GoPeer),
}

impl End {
    /// One of ours, watched.
    pub fn ours(peer: OurPeer, conversation: u16) -> Self {
        let opened_here = peer.side() == Side::Client;
        let monitor = WireMonitor::new(conversation, peer.max_plaintext(), opened_here);
        Self::Ours(peer, monitor)
    }

    fn node(&self) -> &dyn Node {
        match self {
            Self::Ours(peer, _) => peer,
            Self::Go(peer) => peer,
        }
    }

    fn node_mut(&mut self) -> &mut dyn Node {
        match self {
            Self::Ours(peer, _) => peer,
            Self::Go(peer) => peer,
        }
    }
}

enum Event {
    Arrival { to: usize, datagram: Vec<u8> },
    Change { from: usize, change: Change },
    Thaw { end: usize },
}

/// A process that stands still, with what has come for it.
#[derive(Debug, Default)]
struct Frozen {
    datagrams: Vec<Vec<u8>>,
    bytes: usize,
}

pub struct World {
    pub now: Time,
    pub steps: u64,
    pub ends: [End; 2],
    pub apps: [App; 2],
    pub links: [Link; 2],
    events: EventHeap<Event>,
    frozen: [Option<Frozen>; 2],
    trace: Trace,
    /// Damaged bytes are delivered: nothing can be said about the stream.
    pub hostile: bool,
}

impl World {
    /// `links[n]` carries what end `n` sends.
    pub fn new(ends: [End; 2], scripts: [Script; 2], links: [LinkProfile; 2], seed: u64) -> Self {
        let hostile = links
            .iter()
            .any(|link| link.corruption > 0.0 && link.damage == Damage::Delivered);
        let [client, server] = scripts;
        let [request, response] = [seed ^ 0xc11e_0000, seed ^ 0x5e54_0000];
        let expect = |pattern| (!hostile).then_some(pattern);
        let [up, down] = links;
        Self {
            now: Time::ZERO,
            steps: 0,
            ends,
            apps: [
                App::new(client, request, expect(response)),
                App::new(server, response, expect(request)),
            ],
            links: [
                Link::new(up, seed.wrapping_add(1)),
                Link::new(down, seed.wrapping_add(2)),
            ],
            events: EventHeap::new(),
            frozen: [None, None],
            trace: Trace::Off,
            hostile,
        }
    }

    pub fn trace(&mut self, trace: Trace) {
        self.trace = trace;
    }

    pub fn schedule(&mut self, at: Time, from: usize, change: Change) {
        self.events.insert(at, Event::Change { from, change });
    }

    /// Lets an end stand still for a while, with its clock going on: as a stopped process.
    pub fn freeze(&mut self, end: usize, time: Duration) {
        self.frozen[end] = Some(Frozen::default());
        self.events.insert(self.now + time, Event::Thaw { end });
    }

    pub fn node(&self, end: usize) -> &dyn Node {
        self.ends[end].node()
    }

    pub fn ours(&mut self, end: usize) -> &mut OurPeer {
        match &mut self.ends[end] {
            End::Ours(peer, _) => peer,
            End::Go(_) => panic!("end {end} is not ours"),
        }
    }

    pub fn go(&self, end: usize) -> &GoPeer {
        match &self.ends[end] {
            End::Go(peer) => peer,
            End::Ours(..) => panic!("end {end} is ours"),
        }
    }

    /// Whether all that the program at an end has written has come to the other; both are ours.
    pub fn has_delivered(&self, end: usize) -> bool {
        match [&self.ends[end], &self.ends[1 - end]] {
            [End::Ours(_, here), End::Ours(_, there)] => {
                there.has_all_of(here, self.apps[end].written)
            }
            _ => panic!("an end is not ours"),
        }
    }

    /// Whether both programs have left and both connections are over, or one will never exist.
    pub fn is_over(&self) -> bool {
        (0..2).all(|end| {
            let app = &self.apps[end];
            let unborn = !self.node(end).is_open() && self.events.next_time().is_none();
            app.has_vanished() || self.node(end).is_gone() && (app.has_left() || unborn)
        })
    }

    // ---- the clock

    /// Runs until all is over or the time has come; whether all is over.
    pub fn run_until(&mut self, time: Time) -> bool {
        while !self.is_over() {
            if self.next_time().is_none_or(|next| next > time) {
                self.now = self.now.max(time);
                return false;
            }
            self.step();
        }
        true
    }

    /// Runs until a condition holds. Panics if that takes longer than `within`.
    pub fn run_while(&mut self, within: Duration, mut condition: impl FnMut(&mut Self) -> bool) {
        let deadline = self.now + within;
        while condition(self) {
            let next = self.next_time();
            assert!(
                next.is_some_and(|next| next <= deadline),
                "still waiting {within:?} later: {} / {}",
                self.node(CLIENT).describe(),
                self.node(SERVER).describe()
            );
            self.step();
        }
    }

    /// Lets a program go on after its script was changed.
    pub fn resume(&mut self, end: usize) {
        self.drive(end);
    }

    fn next_time(&self) -> Option<Time> {
        let nodes = (0..2).map(|end| self.next_wake(end));
        nodes.chain([self.events.next_time()]).flatten().min()
    }

    /// When an end wants to do something by itself.
    fn next_wake(&self, end: usize) -> Option<Time> {
        if self.apps[end].has_vanished() || self.frozen[end].is_some() {
            return None;
        }
        let times = [self.node(end).next_timeout(), self.apps[end].next_wake()];
        times.into_iter().flatten().min()
    }

    /// One event: the earliest arrival, change or wake-up.
    fn step(&mut self) {
        let Some(next) = self.next_time() else {
            return;
        };
        self.steps += 1;
        self.now = self.now.max(next);
        if self.events.next_time() == Some(next) {
            match self.events.pop() {
                Some((_, Event::Arrival { to, datagram })) => self.arrive(to, &datagram),
                Some((_, Event::Change { from, change })) => {
                    self.note(from, || format!("link: {change:?}"));
                    self.links[from].change(change);
                }
                Some((_, Event::Thaw { end })) => self.thaw(end),
                None => {}
            }
            return;
        }
        for end in 0..2 {
            if self.next_wake(end).is_some_and(|wake| wake <= self.now) {
                self.wake(end);
            }
        }
    }

    // ---- one end

    fn arrive(&mut self, to: usize, datagram: &[u8]) {
        if self.apps[to].has_vanished() {
            return;
        }
        if let Some(frozen) = &mut self.frozen[to] {
            if frozen.bytes + datagram.len() <= SOCKET_BUFFER {
                frozen.bytes += datagram.len();
                frozen.datagrams.push(datagram.to_vec());
            }
            return;
        }
        if let End::Ours(_, monitor) = &mut self.ends[to]
            && !self.hostile
        {
            monitor.on_delivered(self.now, datagram);
        }
        self.ends[to].node_mut().handle_datagram(self.now, datagram);
        self.drive(to);
    }

    /// First it reads what has come, as an endpoint does; its timers are due in the next step.
    fn thaw(&mut self, end: usize) {
        let Some(frozen) = self.frozen[end].take() else {
            return;
        };
        for datagram in frozen.datagrams {
            self.arrive(end, &datagram);
        }
    }

    fn wake(&mut self, end: usize) {
        let node = self.ends[end].node_mut();
        let fired = node.next_timeout().is_some_and(|due| due <= self.now);
        if fired {
            node.handle_timeout(self.now);
        }
        self.drive(end);
        if fired {
            judge::check_progress(self, end);
        }
    }

    /// The program does what it can, then everything that is to be sent is sent.
    fn drive(&mut self, end: usize) {
        let before = self.progress(end);
        self.apps[end].run(self.now, self.ends[end].node_mut());
        if self.apps[end].has_vanished() {
            return;
        }
        if let End::Ours(_, monitor) = &mut self.ends[end]
            && before
                != (
                    self.apps[end].written,
                    self.apps[end].received,
                    self.apps[end].has_left(),
                )
        {
            monitor.on_activity(self.now);
        }
        while let Some(datagram) = self.ends[end].node_mut().transmit(self.now) {
            self.send(end, datagram);
        }
        self.note(end, || self.node(end).describe());
        judge::check(self, end);
    }

    fn progress(&self, end: usize) -> (u64, u64, bool) {
        let app = &self.apps[end];
        (app.written, app.received, app.has_left())
    }

    fn send(&mut self, from: usize, datagram: Vec<u8>) {
        let licence = judge::licence(self, from);
        if let End::Ours(_, monitor) = &mut self.ends[from]
            && !self.hostile
        {
            monitor.on_sent(self.now, &datagram, licence);
        }
        let text = (self.trace == Trace::On).then(|| trace::describe(&datagram));
        let arrivals = self.links[from].send(self.now, datagram);
        if let Some(text) = text {
            let times: Vec<Time> = arrivals.iter().map(|(at, _)| *at).collect();
            self.note(from, || format!("sends {text} arriving {times:?}"));
        }
        for (at, datagram) in arrivals {
            let event = Event::Arrival {
                to: 1 - from,
                datagram,
            };
            self.events.insert(at, event);
        }
    }

    fn note(&self, end: usize, text: impl FnOnce() -> String) {
        if self.trace == Trace::On {
            trace::print(self.now, self.steps, end, &text());
        }
    }
}
