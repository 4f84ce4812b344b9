//! A client that comes from another address, as far as the server's connection can tell.

use super::*;
use crate::wire::{Numbers, Options, Timestamp};

const DELAY: Duration = Duration::from_millis(20);

/// A server in the midst of a download; nothing has arrived at the client that is not acknowledged.
fn in_transfer() -> Pair {
    let mut pair = Pair::new(DELAY);
    pair.client.connection.write(b"please");
    pair.server.connection.write(&[7; 60_000]);
    while pair.client.received.len() < 20_000 {
        assert!(pair.step());
    }
    assert!(pair.server.connection.is_validated());
    assert!(pair.server.connection.stats().bytes_in_flight > 0);
    pair
}

/// What the client has acknowledged and the server has not read yet.
fn under_way(pair: &Pair) -> Vec<u8> {
    let arriving = &pair.server.arriving;
    arriving.front().expect("the client acknowledges").1.clone()
}

fn acks(plaintext: &[u8]) -> usize {
    let is_ack = |segment: &Segment<'_>| matches!(segment, Segment::Ack(_));
    Segments::new(plaintext).filter(is_ack).count()
}

/// The first acknowledgement of the datagram, with a change.
fn changed(plaintext: &[u8], change: impl Fn(&mut Ack<'_>)) -> Vec<u8> {
    let mut changed = Vec::new();
    for segment in Segments::new(plaintext) {
        if let Segment::Ack(mut ack) = segment {
            change(&mut ack);
            Segment::Ack(ack).encode(&mut changed);
            return changed;
        }
    }
    panic!("no acknowledgement")
}

#[test]
fn an_acknowledgement_proves_its_sender_once() {
    let mut pair = in_transfer();
    let datagram = under_way(&pair);
    assert!(acks(&datagram) > 0);
    let now = pair.now;
    let server = &mut pair.server.connection;
    assert!(server.is_proof_of_peer(now, &datagram));
    server.handle_datagram(now, &datagram);
    assert!(!server.is_proof_of_peer(now, &datagram), "a copy");
}

#[test]
fn an_acknowledgement_that_was_overtaken_does_not_say_where_the_peer_is() {
    let mut pair = in_transfer();
    // As of a peer that misses the first segment of them all.
    let held_up = |ack: &mut Ack<'_>| ack.receiving_next = SeqNum::ZERO;
    let datagrams = pair.server.arriving.iter().map(|(_, datagram)| datagram);
    let acknowledging: Vec<_> = datagrams
        .filter(|datagram| acks(datagram) > 0)
        .map(|datagram| changed(datagram, held_up))
        .collect();
    let [first, .., last] = &acknowledging[..] else {
        panic!("several are under way");
    };
    let now = pair.now;
    let server = &mut pair.server.connection;
    assert!(server.is_proof_of_peer(now, first));
    server.handle_datagram(now, last);
    assert!(!server.is_proof_of_peer(now, first));
    // Unless nothing else has come for a while: the peer may have moved before it knew of more.
    assert!(server.is_proof_of_peer(now + Duration::from_secs(2), first));
}

#[test]
fn nothing_proves_a_sender_without_the_time_of_what_is_in_flight() {
    let pair = in_transfer();
    let now = pair.now;
    let server = &pair.server.connection;
    let datagram = under_way(&pair);
    let another = |ack: &mut Ack<'_>| ack.timestamp = Timestamp::new(ack.timestamp.get() + 1000);
    let none = |ack: &mut Ack<'_>| ack.timestamp = Timestamp::ZERO;
    assert!(!server.is_proof_of_peer(now, &changed(&datagram, another)));
    assert!(!server.is_proof_of_peer(now, &changed(&datagram, none)));
    // Of numbers that have never been sent, with a time at which others were.
    let mut echo = Timestamp::ZERO;
    for segment in Segments::new(&datagram) {
        if let Segment::Ack(ack) = segment {
            echo = ack.timestamp;
        }
    }
    let unsent = [SeqNum::new(5000)];
    let ack = Ack {
        conversation: 7,
        options: Options::NONE,
        receiving_window: SeqNum::new(10_000),
        receiving_next: SeqNum::ZERO,
        timestamp: echo,
        numbers: Numbers::List(&unsent),
    };
    let mut plaintext = Vec::new();
    Segment::Ack(ack).encode(&mut plaintext);
    assert!(!server.is_proof_of_peer(now, &plaintext));
    // Data, however well it fits.
    for datagram in &pair.client.sent {
        let is_data = |segment: &Segment<'_>| matches!(segment, Segment::Data(_));
        if Segments::new(datagram).all(|segment| is_data(&segment)) {
            assert!(!server.is_proof_of_peer(now, datagram));
        }
    }
}

#[test]
fn a_proof_is_expected_only_while_an_answer_is_due() {
    let mut pair = in_transfer();
    let datagram = under_way(&pair);
    let expects = |pair: &Pair, now| {
        let server = &pair.server.connection;
        server.expects_proof_of_peer(now, &datagram)
    };
    assert!(expects(&pair, pair.now));
    assert!(!expects(&pair, pair.now + Duration::from_secs(6)));
    while pair.client.received.len() < 60_000 || !pair.server.connection.is_flushed() {
        assert!(pair.step());
    }
    assert!(!expects(&pair, pair.now));
}

#[test]
fn another_address_is_proven_by_what_is_sent_there() {
    let mut pair = in_transfer();
    let server = &mut pair.server.connection;
    // What is under way to the client was sent before.
    pair.client.arriving.clear();
    server.on_migrated(pair.now, 0xfedc_ba98_7654_3210);
    assert!(!server.is_validated());
    let datagram = under_way(&pair);
    let server = &mut pair.server.connection;
    server.handle_datagram(pair.now, &datagram);
    assert!(!server.is_validated(), "by what was sent before");
    while pair.client.received.len() < 60_000 {
        assert!(pair.step());
    }
    assert!(pair.server.connection.is_validated());
    assert_eq!(pair.client.received, [7; 60_000]);
}

/// Who knows what time the clock has shown does not know what it shows now.
#[test]
fn nobody_vouches_for_an_address_at_which_nothing_was_received() {
    let mut pair = in_transfer();
    pair.client.arriving.clear();
    let before = pair.server.connection.clock.clone();
    pair.server.connection.on_migrated(pair.now, u64::MAX / 3);
    let datagram = under_way(&pair);
    let now = pair.now;
    let server = &mut pair.server.connection;
    server.handle_datagram(now, &datagram);
    let mut sent = Vec::new();
    while server.poll_transmit(now, &mut sent).is_some() {}
    assert!(!sent.is_empty());
    let numbers: Vec<SeqNum> = Segments::new(&sent)
        .filter_map(|segment| match segment {
            Segment::Data(data) => Some(data.number),
            Segment::Ack(_) | Segment::Command(_) => None,
        })
        .collect();
    let ack = Ack {
        conversation: 7,
        options: Options::NONE,
        receiving_window: SeqNum::new(10_000),
        receiving_next: SeqNum::ZERO,
        timestamp: before.timestamp(before.moment(now)),
        numbers: Numbers::List(&numbers),
    };
    let mut forged = Vec::new();
    Segment::Ack(ack).encode(&mut forged);
    let server = &mut pair.server.connection;
    server.handle_datagram(now, &forged);
    assert!(!server.is_validated());
}

#[test]
fn another_path_is_measured_anew() {
    let mut pair = in_transfer();
    pair.client.arriving.clear();
    let server = &mut pair.server.connection;
    assert!(server.stats().rtt >= 2 * DELAY);
    server.on_migrated(pair.now, 1);
    server.forget_path(pair.now, 1);
    let datagram = under_way(&pair);
    let server = &mut pair.server.connection;
    server.handle_datagram(pair.now, &datagram);
    assert_eq!(
        server.stats().rtt,
        Duration::ZERO,
        "measured on the old one"
    );
    pair.delay = 3 * DELAY;
    while pair.client.received.len() < 60_000 || !pair.server.connection.is_flushed() {
        assert!(pair.step());
    }
    assert!(pair.server.connection.stats().min_rtt >= 4 * DELAY);
}
