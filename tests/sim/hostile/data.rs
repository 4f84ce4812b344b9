//! Data that repeats itself, jumps, dribbles or does not stop.

use mkcp::ConnectionError;

use super::*;

/// As the connection's own, so that the window is as many segments as it is meant to be.
const PAYLOAD: [u8; 1326] = [9; 1326];

#[test]
fn the_same_datagram_a_million_times_is_one() {
    let mut victim = Victim::client();
    let mut datagram = Vec::new();
    data(0, 0, b"once").encode(&mut datagram);
    let (before, rounds) = (victim.bytes, 10_000);
    for _ in 0..rounds {
        // A worker takes many datagrams before it sends.
        for _ in 0..99 {
            victim.connection.handle_datagram(victim.now, &datagram);
        }
        victim.hear_datagram(&datagram);
        victim.sent.clear();
        victim.now += MS / 10;
    }
    let spent = victim.bytes - before;
    let heard = rounds * 100 * datagram.len() as u64;
    assert!(spent <= heard / 20, "{spent} bytes for {heard}");
    assert_eq!(victim.read(), 4);
    assert_eq!(victim.connection.stats().duplicates_received, 999_999);
}

#[test]
fn a_repetition_far_ahead_costs_one_small_ack_each() {
    let mut victim = Victim::client();
    let mut datagram = Vec::new();
    data(5, 0, b"once").encode(&mut datagram);
    let before = (victim.datagrams, victim.bytes);
    for _ in 0..20_000 {
        victim.hear_datagram(&datagram);
        victim.now += MS / 10;
    }
    let (datagrams, bytes) = (victim.datagrams - before.0, victim.bytes - before.1);
    assert!(datagrams <= 20_100, "{datagrams} ACKs");
    assert!(bytes <= 3 * 20_000 * datagram.len() as u64, "{bytes} bytes");
    assert_eq!(victim.connection.memory(), 4);
}

#[test]
fn a_stream_without_its_first_segment_fills_the_window_and_no_more() {
    let mut victim = Victim::client();
    for number in 1..20_000 {
        victim.hear(&[data(number, 0, &PAYLOAD)]);
        victim.sent.clear();
    }
    let window = derive::receive_window_bytes(&victim.config);
    assert!(victim.connection.memory() <= window);
    assert_eq!(victim.read(), 0);
    // And when it comes, what was accepted is all there.
    let held = victim.connection.memory();
    victim.hear(&[data(0, 0, &PAYLOAD)]);
    assert_eq!(victim.read(), held + PAYLOAD.len());
}

#[test]
fn every_second_segment_from_the_end_of_the_window_down_is_held_once() {
    let mut victim = Victim::client();
    for _ in 0..10 {
        for number in (1..2000).rev().step_by(2) {
            victim.hear(&[data(number, 0, b"x")]);
            victim.sent.clear();
        }
    }
    assert!(victim.connection.memory() <= 1000);
    assert_eq!(victim.read(), 0);
}

#[test]
fn a_reader_that_never_reads_holds_one_window() {
    let mut victim = Victim::client();
    for number in 0..20_000 {
        victim.hear(&[data(number, 0, &PAYLOAD)]);
        victim.sent.clear();
    }
    let window = derive::receive_window_bytes(&victim.config);
    let held = victim.connection.memory();
    assert!((window / 2..=window).contains(&held), "{held} of {window}");
    let dropped = victim.connection.stats().beyond_window as usize;
    assert_eq!(dropped, 20_000 - held / PAYLOAD.len());
    assert_eq!(victim.read(), held);
}

#[test]
fn segments_of_sixty_thousand_bytes_stay_within_the_window() {
    let mut victim = Victim::client();
    let payload = vec![1; 60_000];
    for number in 0..1000 {
        victim.hear(&[data(number, 0, &payload)]);
        victim.hear(&[data(number + 2, 0, &payload)]);
        victim.sent.clear();
    }
    let window = derive::receive_window_bytes(&victim.config);
    assert!(victim.connection.memory() <= window + payload.len());
}

#[test]
fn empty_segments_are_no_bytes_and_no_end() {
    let mut victim = Victim::client();
    for number in 0..10_000 {
        // mKCP: an empty one can only be read in front of another segment.
        victim.hear(&[data(number, number, b""), ping(number, 0, 100)]);
        victim.sent.clear();
    }
    assert_eq!(victim.connection.memory(), 0);
    assert_eq!(victim.connection.read_end(), None);
}

#[test]
fn sending_next_cannot_skip_bytes() {
    for jump in [2, 100, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        for lie in [ping(jump, 0, 100), data(2, jump, b"c")] {
            let mut victim = Victim::client();
            victim.hear(&[data(0, 0, b"a")]);
            victim.hear(&[lie]);
            assert_eq!(victim.read(), 1);
            match victim.connection.read_end() {
                None => {
                    victim.hear(&[data(1, 1, b"b"), data(2, 1, b"c")]);
                    assert_eq!(victim.read(), 2, "{lie:?}");
                }
                end => assert_eq!(end, Some(Err(ConnectionError::Reset)), "{lie:?}"),
            }
        }
    }
}

#[test]
fn numbers_before_the_first_were_never_received() {
    let mut victim = Victim::client();
    for number in [u32::MAX, u32::MAX - 100, 0x8000_0001] {
        victim.hear(&[data(number, 0, b"never")]);
    }
    victim.wait(SECOND);
    let listed = victim
        .sent
        .iter()
        .flat_map(|sent| Segments::new(sent))
        .any(|segment| matches!(segment, Segment::Ack(ack) if !ack.numbers.is_empty()));
    assert!(!listed, "a number was acknowledged that was not accepted");
    assert_eq!(victim.read(), 0);
}

#[test]
fn a_datagram_of_many_small_segments_is_answered_in_measure() {
    let mut victim = Victim::client();
    let before = victim.bytes;
    let mut heard = 0;
    for round in 0..200 {
        let many: Vec<Segment<'_>> = (0..70)
            .map(|place| data(round * 70 + place, round * 70, b"x"))
            .collect();
        victim.hear(&many);
        victim.now += MS;
        heard += 70 * 19;
        assert_eq!(victim.read(), 70);
    }
    let spent = victim.bytes - before;
    assert!(spent <= heard, "{spent} bytes for {heard}");
}
