//! Random scenarios: what the programs do, over which links, and what may be expected of it.

use std::time::Duration;

use mkcp::{Config, internal::connection::Side};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::{
    app::{Ending, Gate, Pause, Script},
    clock::Time,
    go_peer::{GoPeer, config::GoConfig},
    network::{Bursts, Change, Damage, LinkProfile, Order},
    peer::OurPeer,
    world::{CLIENT, End, SERVER, World},
};

/// Everything is over by then, whatever happens.
pub const LIMIT: Time = Duration::from_secs(600);
/// Programs close by then.
const PATIENCE: Time = Duration::from_secs(300);

const MS: Duration = Duration::from_millis(1);

/// Who talks to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    OursWithOurs,
    OurClientWithGo,
    OurServerWithGo,
    GoWithGo,
}

impl Pairing {
    /// Whether this end is a Go peer.
    fn is_go(self, end: usize) -> bool {
        match self {
            Self::OursWithOurs => false,
            Self::OurClientWithGo => end == SERVER,
            Self::OurServerWithGo => end == CLIENT,
            Self::GoWithGo => true,
        }
    }
}

#[derive(Debug)]
pub struct Scenario {
    seed: u64,
    pairing: Pairing,
    conversation: u16,
    scripts: [Script; 2],
    links: [LinkProfile; 2],
    changes: Vec<(Time, usize, Change)>,
    config: Config,
    go: GoConfig,
    /// Whether everything must arrive, at both ends.
    pub must_complete: bool,
}

impl Scenario {
    pub fn random(pairing: Pairing, seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let weather = Weather::random(&mut rng);
        let links = weather.links(&mut rng, pairing);
        let changes = weather.changes(&mut rng, &links);
        let (scripts, orderly) = programs(&mut rng, pairing);
        let damaged = links.iter().any(|link| link.damage == Damage::Delivered);
        Self {
            seed,
            pairing,
            conversation: rng.random(),
            must_complete: orderly && weather != Weather::Broken && !damaged,
            scripts,
            links,
            changes,
            config: random_config(&mut rng),
            go: random_go(&mut rng),
        }
    }

    pub fn world(&self) -> World {
        let ends = [CLIENT, SERVER].map(|end| self.end(end));
        let mut world = World::new(ends, self.scripts.clone(), self.links.clone(), self.seed);
        for &(at, from, change) in &self.changes {
            world.schedule(at, from, change);
        }
        world
    }

    fn end(&self, end: usize) -> End {
        if self.pairing.is_go(end) {
            return End::Go(match end {
                CLIENT => GoPeer::dialer(self.conversation, self.go.clone()),
                _ => GoPeer::listener(self.go.clone()),
            });
        }
        let side = if end == CLIENT {
            Side::Client
        } else {
            Side::Server
        };
        let seed = self.seed.wrapping_add(0x100 + end as u64);
        let peer = OurPeer::new(side, self.conversation, self.config.clone(), seed);
        End::ours(peer, self.conversation)
    }

    /// Whether the programs got what they were to get. Called when all is over.
    pub fn check_outcome(&self, world: &World) {
        assert!(world.is_over(), "not over after {LIMIT:?}");
        if !self.must_complete {
            return;
        }
        for (end, app) in world.apps.iter().enumerate() {
            let expected = self.scripts[1 - end].total;
            assert_eq!(app.received, expected, "bytes that arrived at end {end}");
            if matches!(
                self.scripts[end].ending,
                Ending::AfterPeer | Ending::HalfClose
            ) {
                let result = app.ended.map(|(_, result)| result);
                assert_eq!(result, Some(Ok(())), "how the stream ended at end {end}");
            }
        }
    }
}

fn one_of<T: Copy>(rng: &mut SmallRng, choices: &[T]) -> T {
    choices[rng.random_range(0..choices.len())]
}

fn random_config(rng: &mut SmallRng) -> Config {
    Config::builder()
        .mtu(one_of(rng, &[576, 1350, 1350, 1350, 1460]))
        .tti(one_of(rng, &[10, 20, 50, 50, 100]) * MS)
        .read_buffer(one_of(rng, &[1 << 16, 1 << 18, 1 << 22]))
        .write_buffer(one_of(rng, &[1 << 16, 1 << 18, 1 << 21]))
        .linger(Duration::from_secs(60))
        .build()
        .expect("all of these are in range")
}

fn random_go(rng: &mut SmallRng) -> GoConfig {
    let version = if rng.random_bool(0.7) {
        GoConfig::v2ray()
    } else {
        GoConfig::xray()
    };
    GoConfig {
        tti: one_of(rng, &[10, 20, 50, 50, 100]),
        send_in_flight: one_of(rng, &[8, 32, 194]),
        receive_window: one_of(rng, &[8, 64, 776, 776]),
        congestion: version.congestion || rng.random_bool(0.3),
        ..version
    }
}

/// How bad the path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    Clean,
    Lossy,
    /// Everything at once, but nothing that may break a connection.
    Stormy,
    /// Long partitions, loss beyond reason: errors are allowed.
    Broken,
}

impl Weather {
    fn random(rng: &mut SmallRng) -> Self {
        match rng.random_range(0..10) {
            0..=2 => Self::Clean,
            3..=5 => Self::Lossy,
            6..=7 => Self::Stormy,
            _ => Self::Broken,
        }
    }

    fn links(self, rng: &mut SmallRng, pairing: Pairing) -> [LinkProfile; 2] {
        let delay = one_of(rng, &[0, 1, 5, 20, 50, 100, 150]) * MS;
        let bottleneck = rng.random_bool(0.4);
        // A Go peer floods whatever is slower than its window, and hardly gets through.
        let rates: &[u64] = match pairing {
            Pairing::OursWithOurs => &[50_000, 200_000, 1_000_000, 10_000_000],
            _ => &[500_000, 1_000_000, 10_000_000],
        };
        let mut link = || {
            let mut link = LinkProfile::clean(delay.mul_f64(rng.random_range(0.5..1.0)));
            if bottleneck {
                let rate = one_of(rng, rates);
                link = link.with_rate(rate, rng.random_range(10_000..200_000));
            }
            self.spoil(&mut link, rng);
            link
        };
        [link(), link()]
    }

    fn spoil(self, link: &mut LinkProfile, rng: &mut SmallRng) {
        if self == Self::Clean {
            return;
        }
        link.loss = rng.random_range(0.0..0.1);
        link.jitter = rng.random_range(0..30) * MS;
        link.order = one_of(rng, &[Order::Kept, Order::Free]);
        if self == Self::Lossy {
            return;
        }
        link.loss = rng.random_range(0.0..0.2);
        link.duplication = rng.random_range(0.0..0.1);
        link.held_back = rng.random_range(0.0..0.1);
        link.corruption = rng.random_range(0.0..0.05);
        if rng.random_bool(0.5) {
            link.bursts = Some(Bursts {
                enter: rng.random_range(0.0..0.03),
                leave: rng.random_range(0.1..0.5),
                loss: rng.random_range(0.5..1.0),
            });
        }
        if self == Self::Broken {
            link.loss = rng.random_range(0.0..0.7);
            if rng.random_bool(0.2) {
                link.damage = Damage::Delivered;
            }
        }
    }

    fn changes(self, rng: &mut SmallRng, links: &[LinkProfile; 2]) -> Vec<(Time, usize, Change)> {
        let mut changes = Vec::new();
        let longest = match self {
            Self::Clean | Self::Lossy => return changes,
            Self::Stormy => 3000,
            Self::Broken => 60_000,
        };
        for _ in 0..rng.random_range(0..3) {
            let from = rng.random_range(0..5000) * MS;
            let until = from + rng.random_range(0..longest) * MS;
            let directions: &[usize] = one_of(rng, &[&[0], &[1], &[0, 1]]);
            for &direction in directions {
                changes.push((from, direction, Change::Down));
                changes.push((until, direction, Change::Up));
            }
        }
        if rng.random_bool(0.3) {
            let direction = rng.random_range(0..2);
            let at = rng.random_range(0..3000) * MS;
            let slower = links[direction].delay + rng.random_range(0..200) * MS;
            changes.push((at, direction, Change::Delay(slower)));
        }
        changes
    }
}

/// Two programs, and whether both get everything if the path allows it.
fn programs(rng: &mut SmallRng, pairing: Pairing) -> ([Script; 2], bool) {
    let (mut client, mut server) = traffic(rng);
    let orderly = rng.random_bool(0.75);
    if orderly {
        end_in_order(rng, &mut client, &mut server, pairing);
    } else {
        end_anyhow(rng, &mut client, pairing.is_go(CLIENT));
        end_anyhow(rng, &mut server, pairing.is_go(SERVER));
    }
    habits(rng, &mut client, pairing.is_go(CLIENT));
    habits(rng, &mut server, pairing.is_go(SERVER));
    ([client, server], orderly)
}

/// How much is sent each way, and what waits for what.
fn traffic(rng: &mut SmallRng) -> (Script, Script) {
    let volume = |rng: &mut SmallRng| match rng.random_range(0..10) {
        0 => rng.random_range(1..10),
        1..=4 => rng.random_range(1..5_000),
        5..=8 => rng.random_range(1..60_000),
        _ => rng.random_range(1..300_000),
    };
    let mut client = Script::sending(volume(rng));
    let mut server = Script::sending(volume(rng));
    match rng.random_range(0..6) {
        0 => server.total = 0,
        1 => {
            // The client has to say something first, or nobody knows of it.
            client.total = 1;
            server.gate = Gate::After(1);
        }
        2 => {
            client.total = client.total.min(20_000);
            let request = client.total.div_ceil(rng.random_range(1..50));
            client.gate = Gate::PingPong(request);
            server.gate = Gate::Echo;
            server.total = client.total;
        }
        3 => {
            server.gate = Gate::Echo;
            server.total = client.total;
        }
        4 => server.gate = Gate::After(rng.random_range(1..=client.total)),
        _ => {}
    }
    (client, server)
}

fn end_in_order(rng: &mut SmallRng, client: &mut Script, server: &mut Script, pairing: Pairing) {
    // A Go peer gives up what is not delivered 15 s after its program has closed.
    let done = |end, expected| match pairing.is_go(end) {
        true => Ending::WhenFlushed(expected),
        false => Ending::WhenDone(expected),
    };
    let client_done = done(CLIENT, server.total);
    let server_done = done(SERVER, client.total);
    let both_half = (Ending::HalfClose, Ending::HalfClose);
    let choice = match rng.random_range(0..5) {
        0 => (client_done, server_done),
        1 => (client_done, Ending::AfterPeer),
        2 => (Ending::AfterPeer, server_done),
        3 if pairing == Pairing::OursWithOurs => both_half,
        3 => (client_done, server_done),
        // What is queued when its writer closes is delivered, if the other end only reads.
        _ if server.total == 0 && !pairing.is_go(CLIENT) => {
            (Ending::WhenWritten, Ending::AfterPeer)
        }
        _ => (client_done, Ending::AfterPeer),
    };
    (client.ending, server.ending) = choice;
}

fn end_anyhow(rng: &mut SmallRng, script: &mut Script, is_go: bool) {
    let at = rng.random_range(0..4000) * MS;
    script.ending = match rng.random_range(0..8) {
        0 => Ending::WhenWritten,
        1 => Ending::WhenDone(rng.random_range(0..20_000)),
        2 => Ending::HalfClose,
        3 | 4 => Ending::AfterPeer,
        5 => Ending::CloseAt(at),
        6 if !is_go => Ending::ResetAt(at),
        _ => Ending::VanishAt(at),
    };
}

/// How a program writes and reads.
fn habits(rng: &mut SmallRng, script: &mut Script, is_go: bool) {
    script.patience = PATIENCE;
    script.start = one_of(rng, &[0, 0, 1, 300]) * MS;
    let least = (script.total / 300).max(1) as usize;
    script.write_size = one_of(rng, &[1, 100, 1400, 20_000, 1 << 20]).max(least);
    script.write_gap = one_of(rng, &[0, 0, 0, 1, 7, 40]) * MS;
    script.read_size = one_of(rng, &[100, 5000, 1 << 20]);
    // A Go reader that rests for more than 4 s loses what came before the end.
    let longest = if is_go { 2500 } else { 15_000 };
    for _ in 0..rng.random_range(0..3) {
        script.pauses.push(Pause {
            after: rng.random_range(1..100_000),
            length: rng.random_range(1..longest) * MS,
        });
    }
    script.pauses.sort_by_key(|pause| pause.after);
}
