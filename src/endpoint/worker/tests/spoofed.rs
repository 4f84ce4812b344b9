//! What a single forged datagram draws, by virtual time.

use super::{peers::Town, *};
use crate::{
    config::derive,
    wire::{Ack, Command as Ping, CommandKind, Numbers},
};

/// Bytes of the seal: the default security, no header.
const SEAL: usize = 6;
/// What `EndpointBuilder::amplification_factor` promises at most for nothing, with full datagrams.
const FLOOR: usize = 4096 + 2 * 1350;
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

/// Bytes that the datagram draws in a minute, and whether all is over then.
fn drawn(plaintext: &[u8], greeting: usize) -> usize {
    let mut town = Town::new(Lab::new());
    town.program.greeting = greeting;
    town.lab.post(address(2), 7, plaintext);
    town.run_until(town.lab.now + Duration::from_secs(60));
    assert_eq!(town.lab.port.sessions(), 0, "a session for a minute");
    assert_eq!(town.lab.port.admission.unvalidated(), 0);
    town.astray
}

#[test]
fn one_forged_datagram_draws_three_times_its_size_and_the_floor() {
    for size in SIZES {
        let kinds = [
            ("Data", filled(size, 0)),
            ("late Data", filled(size, 5)),
            ("Ping", repeated(ping(CommandKind::Ping), size)),
            ("unknown", repeated(ping(CommandKind::Unknown(77)), size)),
        ];
        for (kind, plaintext) in kinds {
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
