//! Any number of flows over one shared link, and a log of what they did.
//!
//! Nothing is checked here, and bytes have no pattern: the sweeps do that, and it costs time.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use mkcp::{
    ConnectionStats,
    internal::{
        connection::{Ensembles, Members, Side},
        wire::{Segment, Segments},
    },
};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{
    host::{Host, Hosts},
    row::{Driver, OVERHEAD, Row, Work},
};
use crate::{
    clock::{EventHeap, Time},
    network::{Change, Counters, Link},
};

/// Data goes from the client to the server; the other direction is the reverse.
pub const CLIENT: usize = 0;
pub const SERVER: usize = 1;

/// How often a flow's state is looked at.
pub const SAMPLE: Duration = Duration::from_millis(50);
/// How long what was written may take to be delivered when the senders have stopped.
const DRAIN: Duration = Duration::from_secs(10);

/// A datagram that was put on the link.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub at: Time,
    pub wire_len: u64,
    /// Looked for only where the reader does not read all the time.
    pub has_data: bool,
    /// How long it waits in the queue; `None` if there is no room for it.
    pub queueing: Option<Duration>,
}

/// What happened to one flow.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// By the end that sent.
    pub sent: [Vec<Sent>; 2],
    /// Bytes that the server's program read, and when.
    pub read: Vec<(Time, u64)>,
    pub rounds: Vec<Duration>,
    /// The client's statistics, every now and then.
    pub samples: Vec<(Time, ConnectionStats)>,
    /// At the end.
    pub stats: [Option<ConnectionStats>; 2],
}

impl Log {
    pub fn delivered(&self) -> u64 {
        self.read.iter().map(|(_, bytes)| bytes).sum()
    }

    pub fn delivered_between(&self, from: Time, to: Time) -> u64 {
        let start = self.read.partition_point(|&(at, _)| at <= from);
        let end = self.read.partition_point(|&(at, _)| at <= to);
        self.read[start..end.max(start)]
            .iter()
            .map(|(_, bytes)| bytes)
            .sum()
    }
}

/// What a run gave.
pub struct Run {
    pub flows: Vec<Log>,
    pub links: [Counters; 2],
    /// When everything was over.
    pub end: Time,
}

enum Event {
    Start {
        flow: usize,
    },
    Arrival {
        host: usize,
        datagram: Vec<u8>,
    },
    Change(Change),
    Sample,
    /// A side's processor may have time for others.
    Idle {
        side: usize,
    },
}

/// What all ends of a side share.
#[derive(Default)]
struct Processor {
    busy_until: Time,
    /// Ends that have something to do, in the order in which that came.
    waiting: VecDeque<usize>,
}

struct Lab {
    now: Time,
    /// What virtual time zero is to ensembles.
    epoch: Instant,
    hosts: Hosts,
    ensembles: Option<[Ensembles<Hosts>; 2]>,
    started: Vec<bool>,
    links: [Link; 2],
    events: EventHeap<Event>,
    logs: Vec<Log>,
    rng: SmallRng,
    driver: Driver,
    processors: [Processor; 2],
    looks_for_data: bool,
}

/// Runs a row to its end.
pub fn run(row: &Row, seed: u64) -> Run {
    let _replay = Replay { row, seed };
    let mut lab = Lab::new(row, seed);
    let mut steps_here = 0u32;
    while let Some(next) = lab.next_time() {
        let stopped = next > row.time;
        if next > row.time + DRAIN || stopped && lab.is_done() || lab.has_answers(row) {
            break;
        }
        steps_here = if next > lab.now { 0 } else { steps_here + 1 };
        assert!(steps_here < 1_000_000, "time stands at {next:?}");
        lab.now = lab.now.max(next);
        lab.step(next);
    }
    lab.finish()
}

/// Says which run it was if that panics.
struct Replay<'a> {
    row: &'a Row,
    seed: u64,
}

impl Drop for Replay<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("row {}, seed {}", self.row.name, self.seed);
        }
    }
}

impl Lab {
    fn new(row: &Row, seed: u64) -> Self {
        let mut events = EventHeap::new();
        for (flow, plan) in row.flows.iter().enumerate() {
            events.insert(plan.start, Event::Start { flow });
        }
        for &(at, change) in &row.changes {
            events.insert(at, Event::Change(change));
        }
        events.insert(SAMPLE, Event::Sample);
        let mut hosts = Vec::new();
        for (flow, plan) in row.flows.iter().enumerate() {
            let conversation = 0x1234 + flow as u16;
            for (side, kind) in [(Side::Client, &plan.client), (Side::Server, &plan.server)] {
                let seed = seed.wrapping_mul(1000) + hosts.len() as u64;
                let work = &plan.work;
                hosts.push(Host::new(kind, side, conversation, work, row.time, seed));
            }
        }
        Self {
            now: Time::ZERO,
            epoch: Instant::now(),
            hosts: Hosts(hosts),
            ensembles: row.together.then(Default::default),
            started: vec![false; row.flows.len()],
            links: [
                Link::new(row.link.clone(), seed.wrapping_add(1)),
                Link::new(row.link.clone(), seed.wrapping_add(2)),
            ],
            events,
            logs: vec![Log::default(); row.flows.len()],
            rng: SmallRng::seed_from_u64(seed),
            driver: row.driver,
            processors: Default::default(),
            looks_for_data: row.flows.iter().any(|plan| {
                matches!(
                    plan.work,
                    Work::ReaderRests { .. } | Work::ReaderLeaves { .. }
                )
            }),
        }
    }

    fn next_time(&self) -> Option<Time> {
        let dues = self.hosts.0.iter().filter_map(|host| host.due);
        dues.chain(self.events.next_time()).min()
    }

    fn is_done(&self) -> bool {
        self.hosts.0.iter().all(Host::is_done)
    }

    /// Whether every request there was to be is answered.
    fn has_answers(&self, row: &Row) -> bool {
        let asks = row
            .flows
            .iter()
            .all(|plan| matches!(plan.work, Work::Rounds { .. }));
        asks && self.started[0] && self.hosts.0.iter().step_by(2).all(Host::is_done)
    }

    fn step(&mut self, next: Time) {
        if self.events.next_time() == Some(next) {
            match self.events.pop() {
                Some((_, Event::Start { flow })) => {
                    self.started[flow] = true;
                    self.drive(2 * flow);
                }
                Some((_, Event::Arrival { host, datagram })) => self.arrive(host, datagram),
                Some((_, Event::Change(change))) => self.change(change),
                Some((_, Event::Sample)) => self.sample(),
                Some((_, Event::Idle { side })) => self.serve_next(side),
                None => {}
            }
            return;
        }
        for host in 0..self.hosts.0.len() {
            if self.hosts.0[host].due.is_some_and(|due| due <= self.now) {
                self.serve(host);
            }
        }
    }

    /// Wakes an end, or lets it wait for its processor.
    fn serve(&mut self, host: usize) {
        if self.driver.work.is_zero() {
            return self.wake(host);
        }
        let side = host % 2;
        if self.is_busy(side) {
            self.hosts.0[host].due = None;
            let waiting = &mut self.processors[side].waiting;
            if !waiting.contains(&host) {
                waiting.push_back(host);
            }
            return;
        }
        let (held, sent) = (
            self.hosts.0[host].inbox.len(),
            self.links[side].counters.sent,
        );
        self.wake(host);
        let handled = held - self.hosts.0[host].inbox.len();
        let datagrams = handled as u32 + (self.links[side].counters.sent - sent) as u32;
        self.occupy(side, self.now + self.driver.work * datagrams.max(1));
    }

    fn serve_next(&mut self, side: usize) {
        if !self.is_busy(side)
            && let Some(host) = self.processors[side].waiting.pop_front()
        {
            self.serve(host);
        }
    }

    /// Whether a side's processor has something else to do. While it is the other side's turn, it has.
    fn is_busy(&mut self, side: usize) -> bool {
        let turn = self.driver.turn;
        if self.processors[side].busy_until <= self.now && !turn.is_zero() {
            let turns = (self.now.as_nanos() / turn.as_nanos()) as u32;
            if turns as usize % 2 != side {
                self.occupy(side, turn * (turns + 1));
            }
        }
        self.processors[side].busy_until > self.now
    }

    fn occupy(&mut self, side: usize, until: Time) {
        self.processors[side].busy_until = until;
        self.events.insert(until, Event::Idle { side });
    }

    fn arrive(&mut self, host: usize, datagram: Vec<u8>) {
        self.hosts.0[host].inbox.push_back(datagram);
        if self.driver.lateness.is_zero() {
            return self.serve(host);
        }
        let noticed = self.now + self.driver.lateness.mul_f64(self.rng.random());
        let due = &mut self.hosts.0[host].due;
        // A wake that is pending takes this one too.
        *due = Some(due.map_or(noticed, |due| due.min(noticed)));
    }

    fn wake(&mut self, host: usize) {
        let now = self.now;
        let end = &mut self.hosts.0[host];
        let node = end.peer.node_mut();
        for _ in 0..self.driver.batch {
            let Some(datagram) = end.inbox.pop_front() else {
                break;
            };
            node.handle_datagram(now, &datagram);
        }
        if end.timeout.is_some_and(|timeout| timeout <= now) {
            node.handle_timeout(now);
        }
        self.drive(host);
    }

    /// Whether the program has noticed by now what came.
    fn is_program_awake(&mut self, host: usize) -> bool {
        if self.driver.program.is_zero() {
            return true;
        }
        let notices = self.now + self.driver.program.mul_f64(self.rng.random());
        let at = *self.hosts.0[host].program_at.get_or_insert(notices);
        if at <= self.now {
            self.hosts.0[host].program_at = None;
        }
        at <= self.now
    }

    /// The program does what it can, then everything that is to be sent is sent.
    fn drive(&mut self, host: usize) {
        let now = self.now;
        let (flow, side) = (host / 2, host % 2);
        let (read, round) = match self.is_program_awake(host) {
            true => self.hosts.0[host].run(now),
            false => (0, None),
        };
        if side == SERVER && read > 0 {
            self.logs[flow].read.push((now, read));
        }
        self.logs[flow].rounds.extend(round);
        while let Some(datagram) = self.hosts.0[host].peer.node_mut().transmit(now) {
            self.send(host, datagram);
        }
        self.compare(host);
        let end = &mut self.hosts.0[host];
        end.timeout = end.peer.node().next_timeout();
        let wakes = [end.timeout, end.next_act(now), end.program_at];
        let mut due = wakes.into_iter().flatten().min();
        if !self.driver.lateness.is_zero() {
            due = due.map(|due| due + self.driver.lateness.mul_f64(self.rng.random()));
        }
        if !end.inbox.is_empty() {
            due = Some(now);
        }
        end.due = due;
    }

    fn compare(&mut self, host: usize) {
        let Some(ensembles) = &mut self.ensembles else {
            return;
        };
        let (now, ensemble) = (self.epoch + self.now, &mut ensembles[host % 2]);
        if let Some((_, connection)) = self.hosts.find(host) {
            ensemble.watch(now, host, connection);
        }
        ensemble.compare(now, &mut self.hosts);
    }

    fn send(&mut self, host: usize, datagram: Vec<u8>) {
        let (flow, side) = (host / 2, host % 2);
        let link = &mut self.links[side];
        let queueing = link.queueing_delay(self.now);
        let wire_len = datagram.len() as u64 + OVERHEAD;
        let is_data = |segment| matches!(segment, Segment::Data(_));
        let has_data = self.looks_for_data && Segments::new(&datagram).any(is_data);
        let drops = link.counters.queue_drops;
        let arrivals = link.send(self.now, datagram);
        let was_queued = link.counters.queue_drops == drops;
        self.logs[flow].sent[side].push(Sent {
            at: self.now,
            wire_len,
            has_data,
            queueing: was_queued.then_some(queueing),
        });
        let other = 2 * flow + 1 - side;
        for (at, datagram) in arrivals {
            let event = Event::Arrival {
                host: other,
                datagram,
            };
            self.events.insert(at, event);
        }
    }

    /// Both directions change.
    fn change(&mut self, change: Change) {
        let Change::BytesPerSecond(rate) = change else {
            return self.links.iter_mut().for_each(|link| link.change(change));
        };
        let now = self.now;
        let rescaled = self
            .links
            .each_mut()
            .map(|link| link.change_rate(now, rate));
        let mut moved = EventHeap::new();
        while let Some((at, event)) = self.events.pop() {
            let at = match event {
                // What arrives at a server has come over the first link.
                Event::Arrival { host, .. } => rescaled[1 - host % 2].arrival(at),
                _ => at,
            };
            moved.insert(at, event);
        }
        self.events = moved;
    }

    fn sample(&mut self) {
        for (flow, log) in self.logs.iter_mut().enumerate() {
            let stats = self.hosts.0[2 * flow].stats();
            if let (true, Some(stats)) = (self.started[flow], stats) {
                log.samples.push((self.now, stats));
            }
        }
        self.events.insert(self.now + SAMPLE, Event::Sample);
    }

    fn finish(mut self) -> Run {
        for (flow, log) in self.logs.iter_mut().enumerate() {
            log.stats = [CLIENT, SERVER].map(|side| self.hosts.0[2 * flow + side].stats());
        }
        Run {
            flows: self.logs,
            links: self.links.map(|link| link.counters),
            end: self.now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{report::Report, row::Driver, rows},
        *,
    };

    #[test]
    fn a_seed_decides_everything() {
        for driver in [Driver::IDEAL, Driver::REAL] {
            let mut row = rows::bursts();
            row.driver = driver;
            row.time /= 10;
            let line = |seed| Report::new(&row, &run(&row, seed)).line();
            assert_eq!(line(7), line(7));
            assert_ne!(line(7), line(8));
        }
    }
}
