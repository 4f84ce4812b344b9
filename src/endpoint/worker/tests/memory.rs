//! Peers that make the server hold as much as they can, and whom that keeps from getting on.

use super::{
    peers::{Client, Town},
    *,
};
use crate::endpoint::memory::LEAST;

const MS: Duration = Duration::from_millis(1);
const DELAY: Duration = Duration::from_millis(10);
const LIMIT: usize = 2_000_000;
const HOSTILE: u16 = 40;

fn town() -> Town {
    let limits = Limits {
        memory: LIMIT,
        ..Limits::default()
    };
    Town::new(Lab::with(Config::default(), limits))
}

fn add(town: &mut Town, index: u16) -> usize {
    town.add(([198, 51, 100, 1], 1000 + index).into(), 7, DELAY)
}

/// Clients that write without end, and read nothing of what comes back.
fn add_hostile(town: &mut Town) -> Vec<usize> {
    let add = |index| {
        let client = add(town, index);
        town.clients[client].reads = false;
        town.clients[client].connection.set_allowance(LEAST);
        client
    };
    (0..HOSTILE).map(add).collect()
}

fn write_all(client: &mut Client) {
    while client.connection.write(&[1; 65536]) > 0 {}
}

/// A while in which the hostile ones write, and the limit holds at every moment.
fn oppress(town: &mut Town, hostile: &[usize], time: Duration) {
    let end = town.lab.now + time;
    while town.lab.now < end {
        for &client in hostile {
            write_all(&mut town.clients[client]);
        }
        town.run_until(town.lab.now + MS);
        let held = town.lab.port.memory.held();
        assert!(held <= LIMIT as u64, "{held} bytes held");
    }
}

/// Has an honest client send so many bytes and get them back.
fn ask(town: &mut Town, hostile: &[usize], client: usize, bytes: usize, limit: Duration) {
    let expected = town.clients[client].received + bytes;
    assert_eq!(
        town.clients[client].connection.write(&vec![2; bytes]),
        bytes
    );
    let end = town.lab.now + limit;
    while town.clients[client].received < expected {
        let received = town.clients[client].received;
        assert!(
            town.lab.now < end,
            "{received} of {expected} bytes came back"
        );
        oppress(town, hostile, MS);
    }
}

fn drops(town: &Town, reason: DropReason) -> u64 {
    town.lab.port.counters.snapshot().drops.get(reason)
}

/// The program sends back what it reads: bytes pile up in all four places of a session.
#[test]
fn the_limit_holds_and_whoever_reads_gets_on() {
    let mut town = town();
    let honest = add(&mut town, 1000);
    ask(&mut town, &[], honest, 100, 100 * MS);
    let hostile = add_hostile(&mut town);
    oppress(&mut town, &hostile, 2000 * MS);
    let held = town.lab.port.memory.held();
    assert!(held > LIMIT as u64 / 2, "{held} bytes held");
    assert!(drops(&town, DropReason::OverMemory) > 0);

    for _ in 0..10 {
        ask(&mut town, &hostile, honest, 100, 100 * MS);
    }
    ask(&mut town, &hostile, honest, 100_000, 3000 * MS);
}

/// Nobody reads here: the windows that were told before there was too much to hold are used.
#[test]
fn windows_that_were_told_are_no_way_around_the_limit() {
    let mut town = town();
    let honest = add(&mut town, 1000);
    ask(&mut town, &[], honest, 100, 100 * MS);
    let hostile = add_hostile(&mut town);
    for &client in &hostile {
        town.clients[client].connection.write(&[1; 100]);
    }
    // All have proven their addresses, and have windows that would take 40 MB.
    town.run_until(town.lab.now + 100 * MS);
    assert_eq!(town.lab.port.admission.unvalidated(), 0);
    town.program.accepts = false;
    oppress(&mut town, &hostile, 2000 * MS);
    ask(&mut town, &hostile, honest, 20_000, 1000 * MS);
}

/// Nobody is behind their addresses, but whoever forges them can send all that a peer may send at
/// first.
#[test]
fn strangers_cannot_fill_their_first_windows_beyond_the_limit() {
    let mut town = town();
    let honest = add(&mut town, 1000);
    ask(&mut town, &[], honest, 100, 100 * MS);
    town.program.accepts = false;
    for number in 0..600 {
        for stranger in 0..HOSTILE {
            let mut plaintext = Vec::new();
            data_of(7, number, &[3; 1300]).encode(&mut plaintext);
            let address = ([203, 0, 113, stranger as u8], 9);
            town.lab.post(address.into(), 7, &plaintext);
        }
        town.run_until(town.lab.now + MS / 2);
        let held = town.lab.port.memory.held();
        assert!(held <= LIMIT as u64, "{held} bytes held");
    }
    assert_eq!(town.lab.port.admission.unvalidated(), usize::from(HOSTILE));
    assert!(drops(&town, DropReason::OverMemory) > 0);
    ask(&mut town, &[], honest, 20_000, 1000 * MS);
}

#[test]
fn no_session_is_opened_while_nothing_is_left_and_some_are_afterwards() {
    let mut town = town();
    let hostile = add_hostile(&mut town);
    oppress(&mut town, &hostile, 2000 * MS);
    assert!(town.lab.port.memory.is_used_up());
    let late = add(&mut town, 1000);
    town.clients[late].connection.write(&[1; 100]);
    oppress(&mut town, &hostile, 300 * MS);
    assert_eq!(town.lab.port.sessions(), hostile.len());

    for &client in &hostile {
        let now = town.lab.now;
        town.clients[client]
            .connection
            .reset(now, ConnectionError::LocallyClosed);
    }
    town.run_while(Duration::from_secs(10), |town| {
        town.clients[late].received < 100
    });
    town.run_until(town.lab.now + Duration::from_secs(30));
    assert_eq!(town.lab.port.memory.held(), 0);
}
