//! Forged peers that do not stop after their first datagrams: they cannot hear anything, but they
//! go on talking, as if they had.

use super::{peers::Town, *};
use crate::{
    error::DropReason,
    wire::{Command as Word, CommandKind},
};

const MS: Duration = Duration::from_millis(1);
const FORGED: u32 = 180;
const LIMITS: Limits = Limits {
    sessions: 600,
    unvalidated: 200,
    per_source: usize::MAX,
    memory: usize::MAX,
    accept_backlog: 16,
    amplification_factor: 3,
    migration: false,
};

fn forged(number: u32) -> SocketAddr {
    ((0x0a00_0000 + number).to_be_bytes(), 9).into()
}

fn client_address(index: u8) -> SocketAddr {
    ([198, 51, 100, index], 1000).into()
}

fn word(number: u32, sending_next: u32) -> Segment<'static> {
    let mut segment = data_of(7, number, b"x");
    if let Segment::Data(data) = &mut segment {
        data.sending_next = SeqNum::new(sending_next);
    }
    segment
}

fn ping() -> Segment<'static> {
    Segment::Command(Word {
        conversation: 7,
        kind: CommandKind::Ping,
        options: Options::NONE,
        sending_next: SeqNum::ZERO,
        receiving_next: SeqNum::ZERO,
        peer_rto: 100,
    })
}

/// Has each forged peer say something, if it is let in or this is how it comes in.
fn say(town: &mut Town, count: u32, segment: Segment<'_>, is_first: bool) {
    let mut plaintext = Vec::new();
    segment.encode(&mut plaintext);
    for number in 0..count {
        let id = ConnectionId::new(town.lab.port.id, forged(number), 7);
        if is_first || town.lab.worker.table.find(&id).is_some() {
            town.lab.post(forged(number), 7, &plaintext);
        }
        if number % 10 == 9 {
            town.run_until(town.lab.now + MS);
        }
    }
}

/// They come twice, as whoever is turned away has to.
fn come(town: &mut Town, count: u32) {
    for _ in 0..2 {
        say(town, count, word(0, 0), true);
        town.run_until(town.lab.now + 50 * MS);
    }
    let inside = town.lab.port.admission.unvalidated();
    assert!(inside >= 140, "{inside} have come in");
}

/// Forged peers that have taken the places of strangers keep them only until somebody else comes.
fn make_room_for_others(talk: Segment<'_>) {
    let mut town = Town::new(Lab::with(Config::default(), LIMITS));
    for round in 0..3 {
        come(&mut town, FORGED);
        for _ in 0..4 {
            say(&mut town, FORGED, talk, false);
            town.run_until(town.lab.now + 10_000 * MS);
        }
        let clients: Vec<_> = (0..5)
            .map(|index| town.add(client_address(10 * (round + 1) + index), 7, 10 * MS))
            .collect();
        for &client in &clients {
            town.clients[client].connection.write(&[1; 100]);
        }
        town.run_until(town.lab.now + 10_000 * MS);
        for client in clients {
            assert_eq!(town.clients[client].received, 100, "round {round}");
        }
    }
    let left = town.lab.port.admission.unvalidated();
    assert!(left >= 130, "{left} forged peers have been kept");
}

#[test]
fn those_that_say_that_they_have_heard_make_room() {
    make_room_for_others(word(1, 1));
}

#[test]
fn those_that_just_go_on_make_room() {
    make_room_for_others(ping());
}

/// A client has uploaded for a while to a program that has not said anything, and gets its first
/// answer while strangers take each other's places.
#[test]
fn whoever_is_sent_data_for_the_first_time_has_time_to_prove_its_address() {
    let limits = Limits {
        accept_backlog: 1000,
        ..LIMITS
    };
    let mut town = Town::new(Lab::with(Config::default(), limits));
    town.program.accepts = false;
    let mut plaintext = Vec::new();
    word(0, 0).encode(&mut plaintext);
    town.lab.post(forged(FORGED), 7, &plaintext);
    let client = town.add(client_address(1), 7, 10 * MS);
    town.clients[client].connection.write(&[1; 1000]);
    town.run_until(town.lab.now + 200 * MS);
    // As many as find room without anybody having to go.
    come(&mut town, 146);
    assert_eq!(town.lab.port.counters.sessions_displaced.get(), 0);
    let late = FORGED + 1..FORGED + 21;
    for number in late.clone() {
        town.lab.post(forged(number), 7, &plaintext);
    }
    town.run_until(town.lab.now + 50 * MS);
    town.program.accepts = true;
    // The answer leaves, and cannot be acknowledged yet.
    town.run_until(town.lab.now + 10 * MS);
    assert_eq!(town.unaccepted(), 0);
    let before = town.lab.port.counters.sessions_displaced.get();
    for number in late {
        town.lab.post(forged(number), 7, &plaintext);
    }
    town.run_until(town.lab.now + 50 * MS);
    let displaced = town.lab.port.counters.sessions_displaced.get() - before;
    assert!(displaced >= 15, "only {displaced} have been displaced");
    let id = ConnectionId::new(town.lab.port.id, client_address(1), 7);
    let slot = town.lab.worker.table.find(&id);
    let session = slot.and_then(|slot| town.lab.worker.table.get(slot));
    assert!(session.is_some_and(|session| session.connection.is_validated()));
}

#[test]
fn whoever_may_not_come_in_takes_nobody_out() {
    let limits = Limits {
        per_source: 1,
        ..LIMITS
    };
    let mut town = Town::new(Lab::with(Config::default(), limits));
    come(&mut town, FORGED);
    let displaced = |town: &Town| town.lab.port.counters.sessions_displaced.get();
    let before = displaced(&town);
    let mut plaintext = Vec::new();
    word(0, 0).encode(&mut plaintext);
    for number in 0..FORGED {
        let mut another = forged(number);
        another.set_port(10);
        let id = ConnectionId::new(town.lab.port.id, forged(number), 7);
        for _ in 0..3 {
            if town.lab.worker.table.find(&id).is_some() {
                town.lab.post(another, 7, &plaintext);
                town.run_until(town.lab.now + 20 * MS);
            }
        }
    }
    let drops = town.lab.port.counters.snapshot().drops;
    assert!(drops.get(DropReason::TooManyFromSource) > 0);
    assert_eq!(displaced(&town), before);
}
