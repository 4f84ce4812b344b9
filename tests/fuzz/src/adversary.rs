//! Two connections, and somebody on the link between them.
//!
//! While the adversary only drops, repeats and holds back, as a bad path does, each reader gets what
//! the other end has written, up to where it ends. Once a datagram was altered or made up, only the
//! bounds of each end remain.

use std::{
    collections::VecDeque,
    net::Shutdown,
    sync::Arc,
    time::{Duration, Instant},
};

use arbitrary::Arbitrary;
use mkcp::{
    Config, ConnectionError,
    internal::connection::{Origin, Side},
};

use super::{
    end::{End, milliseconds, stream_bytes},
    listener::{Listener, Spoken},
    settings::{Path, Steps},
};

/// How often something may happen in all, because small datagrams are many.
const MOST_TURNS: usize = 800;
const MOST_UNDER_WAY: usize = 128;
const MOST_REMEMBERED: usize = 32;
const DELAY: Duration = Duration::from_millis(10);
/// After both programs have left and the linger time is over.
const TIME_TO_END: Duration = Duration::from_secs(10);

#[derive(Arbitrary, Debug)]
pub struct Input {
    path: Path,
    seeds: [u8; 2],
    events: Steps<Event>,
}

#[derive(Arbitrary, Debug)]
enum Event {
    Wait(u16),
    Program(Who, Action),
    /// On the link that leads to this end.
    Link(Who, Attack),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Who {
    Client,
    Server,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Action {
    Write(u16),
    Read(u16),
    ShutdownRead,
    ShutdownWrite,
    ShutdownBoth,
    Reset,
}

/// The first number chooses among the datagrams under way, or those that were.
#[derive(Arbitrary, Debug)]
enum Attack {
    Drop(u8),
    DropAll,
    Hold(u8, u16),
    Replay(u8),
    Alter(u8, u16, u8),
    Inject(Spoken),
}

pub fn run(input: Input) {
    let mut world = World::new(&input);
    for event in &input.events.0 {
        match event {
            Event::Wait(time) => world.pass(milliseconds(*time)),
            Event::Program(who, action) => world.act(*who as usize, *action),
            Event::Link(who, attack) => world.attack(*who as usize, attack),
        }
        world.speak();
    }
    world.end();
}

struct World {
    now: Instant,
    config: Arc<Config>,
    seeds: [u8; 2],
    /// There is no server before it is spoken to.
    ends: [Option<End>; 2],
    programs: [Program; 2],
    /// The links to the ends.
    links: [Link; 2],
    is_honest: bool,
    turns: usize,
}

#[derive(Default)]
struct Program {
    written: u64,
    received: u64,
    read_shut: bool,
    write_shut: bool,
}

#[derive(Default)]
struct Link {
    /// Each with the time when it arrives.
    under_way: VecDeque<(Instant, Vec<u8>)>,
    /// Those that were sent last.
    past: VecDeque<Vec<u8>>,
    listener: Listener,
}

impl World {
    fn new(input: &Input) -> Self {
        let now = Instant::now();
        let config = input.path.config();
        let client = End::new(
            Side::Client,
            &config,
            input.seeds[0],
            Origin::default(),
            now,
        );
        Self {
            now,
            config,
            seeds: input.seeds,
            ends: [Some(client), None],
            programs: Default::default(),
            links: Default::default(),
            is_honest: true,
            turns: 0,
        }
    }

    fn act(&mut self, who: usize, action: Action) {
        let Some(end) = &mut self.ends[who] else {
            return;
        };
        let program = &mut self.programs[who];
        let connection = &mut end.connection;
        match action {
            Action::Write(len) => {
                let bytes = stream_bytes(program.written, len.into());
                program.written += connection.write(bytes) as u64;
            }
            Action::Read(most) => {
                self.read(who, most.into());
                return;
            }
            Action::ShutdownRead => connection.shutdown(self.now, Shutdown::Read),
            Action::ShutdownWrite => connection.shutdown(self.now, Shutdown::Write),
            Action::ShutdownBoth => connection.shutdown(self.now, Shutdown::Both),
            Action::Reset => connection.reset(self.now, ConnectionError::LocallyClosed),
        }
        program.read_shut |= matches!(action, Action::ShutdownRead | Action::ShutdownBoth);
        program.write_shut |= matches!(action, Action::ShutdownWrite | Action::ShutdownBoth);
    }

    /// Returns how many bytes were read.
    fn read(&mut self, who: usize, most: usize) -> usize {
        let Some(end) = &mut self.ends[who] else {
            return 0;
        };
        let ready = end.connection.read();
        let bytes = &ready[..ready.len().min(most)];
        let program = &mut self.programs[who];
        if self.is_honest {
            let sent = stream_bytes(program.received, bytes.len());
            assert_eq!(bytes, sent, "bytes that were not sent");
        }
        let count = bytes.len();
        program.received += count as u64;
        end.connection.consume(count);
        let is_end = end.connection.read().is_empty() && end.connection.read_end() == Some(Ok(()));
        if self.is_honest && is_end && !program.read_shut {
            let [reader, writer] = [who, 1 - who].map(|who| &self.programs[who]);
            assert!(writer.write_shut, "an end before the writer's end");
            assert_eq!(
                reader.received, writer.written,
                "an end before the last byte"
            );
        }
        count
    }

    fn attack(&mut self, to: usize, attack: &Attack) {
        // Who wants to be heard by an end knows what that end has said.
        let [to_client, to_server] = &mut self.links;
        let (link, listener) = match to {
            0 => (to_client, &to_server.listener),
            _ => (to_server, &to_client.listener),
        };
        let Link {
            under_way, past, ..
        } = link;
        let chosen = |which: u8, len: usize| usize::from(which).checked_rem(len);
        match *attack {
            Attack::Drop(which) => {
                let index = chosen(which, under_way.len());
                index.and_then(|index| under_way.remove(index));
            }
            Attack::DropAll => under_way.clear(),
            Attack::Hold(which, time) => {
                if let Some(index) = chosen(which, under_way.len()) {
                    under_way[index].0 += milliseconds(time);
                }
            }
            Attack::Replay(which) => {
                if let Some(index) = chosen(which, past.len()) {
                    under_way.push_back((self.now + DELAY, past[index].clone()));
                }
            }
            Attack::Alter(which, at, bits) => {
                if let Some(index) = chosen(which, under_way.len()) {
                    let datagram = &mut under_way[index].1;
                    let at = usize::from(at) % datagram.len();
                    datagram[at] ^= bits;
                    self.is_honest = false;
                }
            }
            Attack::Inject(ref spoken) => {
                let mut datagram = Vec::new();
                listener.speak(spoken, &mut datagram);
                under_way.push_back((self.now + DELAY, datagram));
                self.is_honest = false;
            }
        }
    }

    fn speak(&mut self) {
        for who in 0..2 {
            if let Some(end) = &mut self.ends[who] {
                let sent = end.speak(self.now);
                self.links[1 - who].take(self.now + DELAY, sent);
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let target = self.now + time;
        while let Some(at) = self.next_event().filter(|&at| at <= target) {
            self.turns += 1;
            if self.turns > MOST_TURNS {
                return;
            }
            self.now = self.now.max(at);
            self.turn();
        }
        self.now = target;
    }

    fn next_event(&self) -> Option<Instant> {
        let arrivals = self.links.iter().filter_map(Link::next_arrival);
        let deadlines = self.ends.iter().flatten().filter_map(End::deadline);
        arrivals.chain(deadlines).min()
    }

    fn turn(&mut self) {
        for who in 0..2 {
            let arrived = self.links[who].arrive(self.now);
            if self.ends[who].is_none() && !arrived.is_empty() {
                let seed = self.seeds[who];
                let server = End::new(
                    Side::Server,
                    &self.config,
                    seed,
                    Origin::default(),
                    self.now,
                );
                self.ends[who] = Some(server);
            }
            let Some(end) = &mut self.ends[who] else {
                continue;
            };
            for datagram in arrived {
                end.hear(self.now, &datagram);
            }
            let sent = if end.deadline().is_some_and(|at| at <= self.now) {
                end.wake(self.now)
            } else {
                end.speak(self.now)
            };
            self.links[1 - who].take(self.now + DELAY, sent);
        }
    }

    /// Both programs read what there is and leave. Then all is soon over.
    fn end(&mut self) {
        for who in 0..2 {
            while self.read(who, u16::MAX.into()) > 0 {}
            self.act(who, Action::ShutdownBoth);
        }
        self.speak();
        self.pass(self.config.linger() + TIME_TO_END);
        let has_time = self.turns <= MOST_TURNS;
        for (end, program) in self.ends.iter().zip(&self.programs) {
            // A server that is spoken to only now has a program that stays.
            let has_left = program.read_shut && program.write_shut;
            if let Some(end) = end.as_ref().filter(|_| has_time && has_left) {
                let state = end.connection.state();
                assert!(end.connection.is_drained(), "{state:?} goes on");
            }
        }
    }
}

impl Link {
    fn take(&mut self, arrival: Instant, datagrams: Vec<Vec<u8>>) {
        self.listener.hear(&datagrams);
        for datagram in datagrams {
            self.past.push_back(datagram.clone());
            if self.past.len() > MOST_REMEMBERED {
                self.past.pop_front();
            }
            if self.under_way.len() < MOST_UNDER_WAY {
                self.under_way.push_back((arrival, datagram));
            }
        }
    }

    fn next_arrival(&self) -> Option<Instant> {
        self.under_way.iter().map(|&(at, _)| at).min()
    }

    fn arrive(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let (arrived, under_way) = self.under_way.drain(..).partition(|&(at, _)| at <= now);
        self.under_way = under_way;
        let arrived: VecDeque<(Instant, Vec<u8>)> = arrived;
        arrived.into_iter().map(|(_, datagram)| datagram).collect()
    }
}
