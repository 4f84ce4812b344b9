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
fn say(town: &mut Town, segment: Segment<'_>, is_first: bool) {
    let mut plaintext = Vec::new();
    segment.encode(&mut plaintext);
    for number in 0..FORGED {
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
fn come(town: &mut Town) {
    for _ in 0..2 {
        say(town, word(0, 0), true);
        town.run_until(town.lab.now + 50 * MS);
    }
    let inside = town.lab.port.admission.unvalidated();
    assert!(inside >= 140, "{inside} have come in");
}

/// Forged peers that have taken the places of strangers keep them only until somebody else comes.
fn make_room_for_others(talk: Segment<'_>) {
    let mut town = Town::new(Lab::with(Config::default(), LIMITS));
    for round in 0..3 {
        come(&mut town);
        for _ in 0..4 {
            say(&mut town, talk, false);
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

#[test]
fn whoever_may_not_come_in_takes_nobody_out() {
    let limits = Limits {
        per_source: 1,
        ..LIMITS
    };
    let mut town = Town::new(Lab::with(Config::default(), limits));
    come(&mut town);
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
