//! Floods of forged first datagrams, by virtual time: what they cost, and whom they keep out.

use super::{
    peers::{Client, Town},
    *,
};
use crate::error::DropReason;

const MS: Duration = Duration::from_millis(1);
const DELAY: Duration = Duration::from_millis(10);
/// For whoever is let in at once.
const SOON: Duration = Duration::from_millis(45);
/// For whoever has to repeat the first datagram.
const AFTER_REPETITION: Duration = Duration::from_millis(1000);

const LIMITS: Limits = Limits {
    sessions: 3000,
    unvalidated: 1000,
    per_source: usize::MAX,
    memory: usize::MAX,
    accept_backlog: 16,
    amplification_factor: 3,
    migration: false,
};

/// Ever new addresses that nobody has.
struct Forger {
    count: u32,
}

impl Forger {
    fn send(&mut self, lab: &Lab) {
        self.count += 1;
        // An odd factor: no address comes twice.
        let ip = self.count.wrapping_mul(0x9e37_79b1).to_be_bytes();
        let remote = SocketAddr::from((ip, 9));
        let mut plaintext = Vec::new();
        match self.count % 2 {
            0 => data(7, 0).encode(&mut plaintext),
            _ => data(7, 3).encode(&mut plaintext),
        }
        lab.post(remote, 7, &plaintext);
    }
}

fn client_address(index: u16) -> SocketAddr {
    ([198, 51, 100, index as u8], 1000 + index).into()
}

/// Has a client ask and get its answer; returns how long that took.
fn ask(
    town: &mut Town,
    forger: &mut Forger,
    rate: u32,
    client: usize,
    limit: Duration,
) -> Duration {
    let expected = town.clients[client].received + 100;
    town.clients[client].connection.write(&[1; 100]);
    let start = town.lab.now;
    while town.clients[client].received < expected {
        assert!(town.lab.now < start + limit, "no answer within {limit:?}");
        pour(town, forger, rate);
    }
    town.lab.now - start
}

/// A millisecond of the flood.
fn pour(town: &mut Town, forger: &mut Forger, rate: u32) {
    for _ in 0..rate {
        forger.send(&town.lab);
    }
    town.run_until(town.lab.now + MS);
    let port = &town.lab.port;
    let limits = &port.admission.limits;
    assert!(port.sessions() <= limits.sessions);
    assert!(port.admission.unvalidated() <= limits.unvalidated);
    assert!(town.unaccepted() <= limits.accept_backlog);
    // Its few bytes of payload, and the places for segments that have not come.
    let most = 64 * 1024 + 128 * port.sessions() as u64;
    let held = port.memory.held();
    assert!(held <= most, "{held} bytes held");
}

/// What a flood of 10,000 a second for five seconds does, on a server whose program accepts all
/// at once, or nobody but in between.
fn survives_a_flood(accepts: impl Fn(u32) -> bool) {
    let mut town = Town::new(Lab::with(Config::default(), LIMITS));
    let mut forger = Forger { count: 0 };
    let established = town.add(client_address(0), 7, DELAY);
    let known = town.add(client_address(1), 7, DELAY);
    for client in [established, known] {
        ask(&mut town, &mut forger, 0, client, SOON);
    }
    town.run_until(town.lab.now + 100 * MS);
    let before = town.lab.port.sessions();
    assert_eq!((before, town.lab.port.admission.unvalidated()), (2, 0));

    const RATE: u32 = 10;
    for round in 0..50 {
        for tick in 0..60 {
            town.program.accepts = accepts(tick);
            pour(&mut town, &mut forger, RATE);
        }
        town.program.accepts = true;
        ask(&mut town, &mut forger, RATE, established, SOON);
        if round % 5 == 0 {
            let mut new_port = client_address(1);
            new_port.set_port(2000 + round);
            let again = town.add(new_port, 7, DELAY);
            ask(&mut town, &mut forger, RATE, again, SOON);
        }
        if round % 5 == 2 {
            let fresh = town.add(client_address(10 + round), 7, DELAY);
            ask(&mut town, &mut forger, RATE, fresh, AFTER_REPETITION);
        }
    }
    assert!(forger.count >= 50_000, "{} forged", forger.count);
    let sessions = town.clients.len();
    let drops = |reason| town.lab.port.counters.snapshot().drops.get(reason);
    assert!(drops(DropReason::Deferred) > 0);
    expect_all_gone(&mut town, sessions);
}

/// Half a minute later only the clients are left.
fn expect_all_gone(town: &mut Town, sessions: usize) {
    town.run_until(town.lab.now + Duration::from_secs(30));
    assert_eq!(town.lab.port.sessions(), sessions);
    assert_eq!(town.lab.port.admission.unvalidated(), 0);
    assert_eq!(town.unaccepted(), 0);
    let gate = &town.lab.worker.gate;
    assert_eq!(gate.tombstones.len(), 0);
    assert_eq!(gate.newcomers.len(), 0);
    assert!(gate.knocks.is_empty());
    let active = |client: &Client| client.connection.read_end().is_none();
    assert!(town.clients.iter().all(active));
}

#[test]
fn a_flood_keeps_nobody_out_and_leaves_nothing_behind() {
    survives_a_flood(|_| true);
}

#[test]
fn nor_does_it_where_the_program_accepts_slowly() {
    survives_a_flood(|tick| tick % 20 == 0);
}

/// A flood of three seconds on a server whose program wants none of the sessions. From then on only
/// time passes.
fn is_forgotten_by_an_idle_server(refuse: fn(&SessionHandle)) {
    let mut town = Town::new(Lab::with(Config::default(), LIMITS));
    town.program.refuses = Some(refuse);
    let mut forger = Forger { count: 0 };
    for _ in 0..3000 {
        pour(&mut town, &mut forger, 3);
    }
    assert!(!town.lab.worker.gate.knocks.is_empty());
    expect_all_gone(&mut town, 0);
    assert_eq!(town.lab.worker.next_deadline(), None, "it wakes up again");
}

#[test]
fn sessions_of_a_flood_that_the_program_resets_are_forgotten() {
    is_forgotten_by_an_idle_server(SessionHandle::reset);
}

#[test]
fn sessions_of_a_flood_that_the_program_drops_are_forgotten() {
    is_forgotten_by_an_idle_server(|_| {});
}

/// Each forged datagram comes twice, so that all the room for strangers is taken.
#[test]
fn whoever_proves_nothing_makes_room() {
    let mut town = Town::new(Lab::with(Config::default(), LIMITS));
    let mut counts = [0, 0];
    let mut double = |town: &mut Town| {
        for count in &mut counts {
            let mut forger = Forger { count: *count };
            for _ in 0..2 {
                forger.send(&town.lab);
            }
            *count = forger.count;
        }
        town.run_until(town.lab.now + MS);
    };
    for _ in 0..100 {
        double(&mut town);
    }
    // From now on each comes again a moment later.
    let mut late = Forger { count: 0 };
    let mut flood = |town: &mut Town, double: &mut dyn FnMut(&mut Town)| {
        for _ in 0..2 {
            late.send(&town.lab);
        }
        double(town);
    };
    for _ in 0..2000 {
        flood(&mut town, &mut double);
    }
    assert!(town.lab.port.counters.sessions_displaced.get() > 1000);
    let limit = town.lab.port.admission.limits.unvalidated;
    let unvalidated = town.lab.port.admission.unvalidated();
    assert!((limit / 2..=limit).contains(&unvalidated), "{unvalidated}");
    let fresh = town.add(client_address(10), 7, DELAY);
    town.clients[fresh].connection.write(&[1; 100]);
    let start = town.lab.now;
    while town.clients[fresh].received < 100 {
        assert!(town.lab.now < start + AFTER_REPETITION);
        flood(&mut town, &mut double);
    }
    expect_all_gone(&mut town, 1);
}

#[test]
fn what_a_client_never_finished_opening_is_not_handed_out() {
    let mut town = Town::new(Lab::with(Config::default(), LIMITS));
    town.program.accepts = false;
    town.lab.post(address(2), 7, &{
        let mut plaintext = Vec::new();
        data(7, 0).encode(&mut plaintext);
        plaintext
    });
    town.run_until(town.lab.now + MS);
    assert_eq!(town.unaccepted(), 1);
    town.run_until(town.lab.now + Duration::from_secs(30));
    assert_eq!(town.unaccepted(), 0);
}

#[test]
fn scarce_memory_closes_the_windows() {
    let limits = Limits {
        memory: 1_000_000,
        ..LIMITS
    };
    let mut town = Town::new(Lab::with(Config::default(), limits));
    town.program.accepts = false;
    let clients: Vec<usize> = (0..20)
        .map(|index| town.add(client_address(index), 7, DELAY))
        .collect();
    for &client in &clients {
        while town.clients[client].connection.write(&[1; 65536]) > 0 {}
    }
    for _ in 0..2000 {
        for &client in &clients {
            while town.clients[client].connection.write(&[1; 65536]) > 0 {}
        }
        town.run_until(town.lab.now + MS);
    }
    let held = town.lab.port.memory.held();
    assert!((500_000..=1_000_000).contains(&held), "{held} bytes held");
}

const HALF: Duration = Duration::from_millis(500);

/// First datagrams of so many peers within a tenth of a second, each from an address of its own.
fn knock(town: &mut Town, peers: u32) {
    for tick in 0..100 {
        for peer in (0..peers).filter(|peer| peer % 100 == tick) {
            let mut plaintext = Vec::new();
            data(7, 0).encode(&mut plaintext);
            let ip = (0x0a00_0000 + peer).to_be_bytes();
            town.lab.post(SocketAddr::from((ip, 9)), 7, &plaintext);
        }
        town.run_until(town.lab.now + MS);
    }
}

/// The limits are far away: only the rate holds the flood back.
#[test]
fn strangers_come_in_at_a_bounded_rate() {
    let mut town = Town::new(Lab::new());
    let mut forger = Forger { count: 0 };
    let known = town.add(client_address(1), 7, DELAY);
    ask(&mut town, &mut forger, 0, known, SOON);
    // A burst of 256 and 1024 a second.
    for (time, expected) in [(HALF, 768), (HALF, 1280), (2 * HALF, 2304)] {
        let end = town.lab.now + time;
        while town.lab.now < end {
            pour(&mut town, &mut forger, 20);
        }
        let strangers = town.lab.port.sessions() - 1;
        assert!(strangers.abs_diff(expected) <= 10, "{strangers} strangers");
    }
    let mut new_port = client_address(1);
    new_port.set_port(2000);
    let again = town.add(new_port, 7, DELAY);
    ask(&mut town, &mut forger, 20, again, SOON);
    let fresh = town.add(client_address(2), 7, DELAY);
    ask(&mut town, &mut forger, 20, fresh, AFTER_REPETITION);
    expect_all_gone(&mut town, 3);
}

/// As after a restart of the server.
#[test]
fn a_rush_of_honest_strangers_is_in_with_the_second_knock() {
    let mut town = Town::new(Lab::new());
    // So few that chance makes none forget another's first knock.
    const PEERS: u32 = 1000;
    knock(&mut town, PEERS);
    let at_once = town.lab.port.sessions();
    assert!((300..400).contains(&at_once), "{at_once} at once");
    knock(&mut town, PEERS);
    assert_eq!(town.lab.port.sessions(), PEERS as usize);
}

#[test]
fn where_more_may_be_held_more_strangers_come_in() {
    let limits = Limits {
        unvalidated: 1_000_000,
        ..Limits::default()
    };
    let mut town = Town::new(Lab::with(Config::default(), limits));
    knock(&mut town, 5000);
    assert_eq!(town.lab.port.sessions(), 5000);
}
