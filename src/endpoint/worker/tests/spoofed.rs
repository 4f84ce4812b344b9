//! What a single forged datagram draws, by virtual time.

use super::{peers::Town, *};
use crate::{
    config::derive,
    endpoint::known::ADVANCES,
    wire::{Ack, Command as Ping, CommandKind, Numbers},
};

/// Bytes of the seal: the default security, no header.
const SEAL: usize = 6;
/// What `EndpointBuilder::amplification_factor` promises at most for nothing, with full datagrams.
const FLOOR: usize = OPENING + 2 * 1350;
const OPENING: usize = 4096;
/// What comes to it if the forger goes on.
const EXTRAS: usize = 6 * 1350;
/// What it allows once more to an address that was proven lately, and what of it is used at least.
const ADVANCE: usize = 36 * 1350;
const USED_ADVANCE: usize = 32 * 1350;
const SIZES: [usize; 8] = [25, 26, 64, 100, 500, 1000, 1349, 1350];

fn ping(kind: CommandKind) -> Segment<'static> {
    Segment::Command(Ping {
        conversation: 7,
        kind,
        options: Options::NONE,
        sending_next: SeqNum::ZERO,
        receiving_next: SeqNum::ZERO,
        peer_rto: 100,
    })
}

/// So many bytes on the wire: a segment, repeated, and then what no segment is.
fn repeated(segment: Segment<'_>, size: usize) -> Vec<u8> {
    let mut plaintext = Vec::new();
    while plaintext.len() + segment.encoded_len() <= size - SEAL {
        segment.encode(&mut plaintext);
    }
    plaintext.resize(size - SEAL, 0);
    plaintext
}

fn filled(size: usize, number: u32) -> Vec<u8> {
    let payload = vec![7; size - SEAL - 18];
    let mut plaintext = Vec::new();
    Segment::Data(Data {
        conversation: 7,
        options: Options::NONE,
        timestamp: Timestamp::new(1),
        number: SeqNum::new(number),
        sending_next: SeqNum::ZERO,
        payload: &payload,
    })
    .encode(&mut plaintext);
    plaintext
}

/// Data, and acknowledgements of whatever the answer may be, with a guess at its timestamp.
fn with_forged_ack(size: usize) -> Vec<u8> {
    let numbers: Vec<SeqNum> = (0..8).map(SeqNum::new).collect();
    let ack = Segment::Ack(Ack {
        conversation: 7,
        options: Options::NONE,
        receiving_window: SeqNum::new(10_000),
        receiving_next: SeqNum::new(8),
        timestamp: Timestamp::new(1 << 29),
        numbers: Numbers::List(&numbers),
    });
    let mut plaintext = filled(size - ack.encoded_len(), 0);
    ack.encode(&mut plaintext);
    plaintext
}

/// A server with one client at the forged address, that has just proven it.
fn acquainted() -> Town {
    let mut town = Town::new(Lab::new());
    let client = town.add(address(3), 7, Duration::from_millis(10));
    town.clients[client].connection.write(&[1; 100]);
    let limit = Duration::from_secs(1);
    town.run_while(limit, |town| town.clients[client].received < 100);
    town.run_until(town.lab.now + limit);
    let admission = &town.lab.port.admission;
    let known = admission.known(town.lab.now);
    assert_eq!((known, admission.unvalidated()), (1, 0));
    town
}

/// Bytes that the datagram draws in a minute from a server that nobody has talked to.
fn drawn(plaintext: &[u8], greeting: usize) -> usize {
    drawn_from(Town::new(Lab::new()), plaintext, greeting)
}

/// The same from any; all is over then.
fn drawn_from(mut town: Town, plaintext: &[u8], greeting: usize) -> usize {
    town.program.greeting = greeting;
    town.lab.post(address(2), 7, plaintext);
    town.run_until(town.lab.now + Duration::from_secs(60));
    let sessions = town.lab.port.sessions();
    assert_eq!(sessions, town.clients.len(), "a session for a minute");
    assert_eq!(town.lab.port.admission.unvalidated(), 0);
    town.astray
}

fn kinds(size: usize) -> [(&'static str, Vec<u8>); 4] {
    [
        ("Data", filled(size, 0)),
        ("late Data", filled(size, 5)),
        ("Ping", repeated(ping(CommandKind::Ping), size)),
        ("unknown", repeated(ping(CommandKind::Unknown(77)), size)),
    ]
}

#[test]
fn one_forged_datagram_draws_three_times_its_size_and_the_floor() {
    for size in SIZES {
        for (kind, plaintext) in kinds(size) {
            for greeting in [0, 1_000_000] {
                let drawn = drawn(&plaintext, greeting);
                let most = 3 * size + FLOOR;
                assert!(
                    drawn <= most,
                    "{kind} of {size} bytes draws {drawn}, not {most}, greeted with {greeting}"
                );
                assert!(greeting == 0 || drawn >= 3000, "it is greeted");
            }
        }
    }
}

#[test]
fn of_an_address_that_was_proven_it_draws_the_advance_as_well() {
    for size in SIZES {
        for (kind, plaintext) in kinds(size) {
            for greeting in [0, 1_000_000] {
                let drawn = drawn_from(acquainted(), &plaintext, greeting);
                let most = 3 * size + FLOOR + ADVANCE;
                assert!(
                    drawn <= most,
                    "{kind} of {size} bytes draws {drawn}, not {most}, greeted with {greeting}"
                );
                assert!(greeting == 0 || drawn >= USED_ADVANCE, "{kind}: {drawn}");
            }
        }
    }
}

/// Its session lasts, and much would be repeated.
#[test]
fn nor_is_the_advance_exceeded_however_long_one_goes_on_forging() {
    let mut town = acquainted();
    town.program.greeting = 1_000_000;
    let plaintext = repeated(ping(CommandKind::Ping), 22);
    let mut forged = 0;
    for _ in 0..120 {
        town.lab.post(address(2), 7, &plaintext);
        forged += plaintext.len() + SEAL;
        town.run_until(town.lab.now + Duration::from_secs(5));
    }
    let most = 3 * forged + OPENING + EXTRAS + ADVANCE;
    assert!(
        (USED_ADVANCE..=most).contains(&town.astray),
        "{} of {most}",
        town.astray
    );
}

#[test]
fn however_many_are_forged_of_a_proven_address_they_draw_the_advances_of_one_proof() {
    const FORGED: usize = 2 * ADVANCES as usize;
    let mut town = acquainted();
    town.program.greeting = 1_000_000;
    let plaintext = repeated(ping(CommandKind::Ping), 64);
    for number in 0..FORGED {
        town.lab.post(address(100 + number as u16), 7, &plaintext);
        town.run_until(town.lab.now + Duration::from_secs(1));
    }
    town.run_until(town.lab.now + Duration::from_secs(60));
    let advances = ADVANCES as usize;
    let most = FORGED * (3 * 64 + FLOOR) + advances * ADVANCE;
    let least = advances * USED_ADVANCE;
    assert!((least..=most).contains(&town.astray), "{}", town.astray);
}

#[test]
fn forged_acknowledgements_without_the_right_time_prove_nothing() {
    for size in [100, 500, 1350] {
        let drawn = drawn(&with_forged_ack(size), 1_000_000);
        assert!(drawn <= 3 * size + FLOOR, "{size} bytes draw {drawn}");
    }
}

#[test]
fn a_session_without_proof_sends_no_ping_unasked() {
    let mut town = Town::new(Lab::new());
    town.lab.post(address(2), 7, &filled(100, 0));
    town.program.accepts = false;
    town.run_until(town.lab.now + Duration::from_secs(60));
    assert!(town.astray <= 3 * (17 + 4 + SEAL), "{} bytes", town.astray);
}

#[test]
fn repetitions_to_a_peer_without_proof_back_off() {
    let mut town = Town::new(Lab::new());
    town.lab.post(address(2), 7, &filled(100, 0));
    town.run_until(town.lab.now + Duration::from_secs(60));
    let sent = town.lab.port.counters.datagrams_sent.get();
    assert!((3..=14).contains(&sent), "{sent} datagrams");
}

/// However much is written for it and forged for it.
#[test]
fn a_session_without_proof_holds_little() {
    let mut town = Town::new(Lab::new());
    town.program.greeting = 10_000_000;
    town.lab.post(address(2), 7, &filled(25, 0));
    town.run_until(town.lab.now + Duration::from_millis(10));
    let held = town.lab.port.memory.held();
    assert!(held <= 2 * 64 * 1024, "{held} bytes written are held");

    let mut town = Town::new(Lab::new());
    town.program.accepts = false;
    let mut posted = 0;
    for number in 0..5000 {
        town.lab.post(address(2), 7, &filled(1350, number));
        posted += 1326;
        town.run_until(town.lab.now + Duration::from_micros(100));
    }
    let held = town.lab.port.memory.held();
    let most = derive::first_window_bytes(&town.lab.port.config) as u64 + 64 * 1024;
    assert!(held <= most, "{held} of {posted} bytes are held");
}
