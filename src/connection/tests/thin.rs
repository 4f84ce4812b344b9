//! Questions and answers, and what becomes of them when datagrams get lost.

use std::{collections::BTreeSet, time::Duration};

use super::{End, MS, Pair, Side, acks};
use crate::{
    config::{Config, derive},
    wire::{DATA_OVERHEAD, Segment, Segments, SeqNum},
};

const RTT: Duration = Duration::from_millis(50);
const MESSAGE: [u8; 64] = [7; 64];

/// A pair that knows its path by some rounds.
fn acquainted() -> Pair {
    let mut pair = Pair::new(RTT / 2);
    for _ in 0..16 {
        ask(&mut pair);
        answer(&mut pair);
    }
    pair
}

fn ask(pair: &mut Pair) {
    pair.client.connection.write(&MESSAGE);
    pair.drive();
}

/// Waits for the question and answers it; waits for the answer.
fn answer(pair: &mut Pair) -> Duration {
    let start = pair.elapsed();
    let (asked, answered) = (pair.server.received.len(), pair.client.received.len());
    let limit = start + 10_000 * MS;
    pair.run_until(limit, |pair| pair.server.received.len() > asked);
    pair.server.connection.write(&MESSAGE);
    pair.run_until(limit, |pair| pair.client.received.len() > answered);
    pair.elapsed() - start
}

fn numbers(datagram: &[u8]) -> Vec<SeqNum> {
    let number = |segment| match segment {
        Segment::Data(data) => Some(data.number),
        _ => None,
    };
    Segments::new(datagram).filter_map(number).collect()
}

#[test]
fn a_lost_question_costs_one_more_round_trip_and_an_eighth_and_two_in_a_row_two() {
    for lost in 0..=2 {
        let mut pair = acquainted();
        ask(&mut pair);
        let start = pair.elapsed();
        for _ in 0..lost {
            pair.server.arriving.clear();
            let sent = pair.client.sent.len();
            pair.run_until(10_000 * MS, |pair| pair.client.sent.len() > sent);
        }
        answer(&mut pair);
        let took = pair.elapsed() - start;
        let asked_again = RTT + RTT / 8 + 2 * MS;
        assert!(took <= RTT + asked_again * lost, "{took:?}");
    }
}

#[test]
fn a_probe_brings_the_acknowledgement_that_was_lost_with_the_question() {
    let mut pair = acquainted();
    ask(&mut pair);
    pair.server.arriving.clear();
    pair.drops = |side, _| side == Side::Server;
    let sent = pair.client.sent.len();
    pair.run_until(10_000 * MS, |pair| pair.client.sent.len() > sent);
    let probe = pair.client.sent.last().unwrap();
    let answers = pair.client.connection.receive.next();
    assert_eq!(acks(std::slice::from_ref(probe))[0].receiving_next, answers);
    assert_eq!(numbers(probe).len(), 1);
}

#[test]
fn a_question_that_comes_again_is_answered_again_if_the_answer_can_have_arrived() {
    for (later, is_repeated) in [(RTT / 2, false), (RTT, true)] {
        let mut pair = acquainted();
        ask(&mut pair);
        let question = pair.client.sent.last().unwrap().clone();
        pair.run_for(RTT / 2);
        pair.server.connection.write(&MESSAGE);
        pair.drive();
        let answer = pair.server.sent.last().unwrap().clone();
        pair.client.arriving.clear();
        let (sent, now) = (pair.server.sent.len(), pair.now + later);
        let server = &mut pair.server.connection;
        server.handle_datagram(now, &question);
        pair.now = now;
        pair.drive_end(Side::Server);
        let data = pair.server.sent[sent..].iter().flat_map(|it| numbers(it));
        let expected = if is_repeated {
            numbers(&answer)
        } else {
            Vec::new()
        };
        assert_eq!(data.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn no_datagram_holds_a_segment_twice() {
    let mut pair = acquainted();
    pair.client.connection.set_nodelay(true);
    pair.drops = |_, index| index % 4 != 1;
    let written = pair.server.received.len() + 1000 * MESSAGE.len();
    for _ in 0..1000 {
        ask(&mut pair);
        pair.run_for(MS);
    }
    pair.run_until(60_000 * MS, |pair| pair.server.received.len() == written);
    for datagram in &pair.client.sent {
        let numbers = numbers(datagram);
        let different: BTreeSet<u32> = numbers.iter().map(|number| number.get()).collect();
        assert_eq!(different.len(), numbers.len());
    }
}

/// One datagram in `N` gets lost.
fn one_in<const N: u64>(side: Side, index: usize) -> bool {
    let which = 2 * index as u64 + u64::from(side == Side::Server) + 1;
    let mixed = which.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 32).is_multiple_of(N)
}

/// A program so quick that it has written before its connection is asked for what to send.
fn answer_at_once(end: &mut End, len: usize, answered: &mut usize) {
    end.read();
    if end.received.len() >= (*answered + 1) * len {
        *answered += 1;
        end.connection.write(&vec![7; len]);
    }
}

/// Two such programs send a message to and fro. Returns the longest that a round has taken, and
/// the least pacing rate that there was.
fn play(pair: &mut Pair, len: usize, rounds: usize) -> (Duration, u64) {
    pair.client.connection.write(&vec![7; len]);
    let (mut asked, mut answered) = (0, 0);
    let (mut longest, mut least) = (Duration::ZERO, u64::MAX);
    while asked < rounds {
        let (before, round) = (pair.elapsed(), asked);
        while asked == round {
            answer_at_once(&mut pair.client, len, &mut asked);
            answer_at_once(&mut pair.server, len, &mut answered);
            pair.drive();
            let rates = [&pair.client, &pair.server].map(|end| end.connection.stats().pacing_rate);
            least = rates.into_iter().fold(least, u64::min);
            pair.advance(pair.next_event().unwrap());
        }
        longest = longest.max(pair.elapsed() - before);
    }
    (longest, least)
}

fn full_segment() -> usize {
    derive::max_plaintext(&Config::default()) - DATA_OVERHEAD
}

/// The byte that goes beyond a segment may be all that arrives in a round trip. Nothing may wait
/// for as long as a path would need that is no faster.
#[test]
fn that_little_arrived_is_not_taken_for_a_slow_path() {
    for drops in [one_in::<20>, one_in::<5>, one_in::<3>] {
        for len in [64, full_segment(), full_segment() + 1] {
            let mut pair = Pair::new(100 * MS);
            pair.drops = drops;
            let (longest, least) = play(&mut pair, len, 1000);
            assert!(longest < 8000 * MS, "{len} bytes: {longest:?}");
            let one_in_a_round_trip = full_segment() as u64 * 5;
            assert!(least >= one_in_a_round_trip, "{len} bytes: {least} B/s");
        }
    }
}

#[test]
fn much_leaves_as_fast_after_small_messages_as_at_first() {
    const MUCH: usize = 120_000;
    let transfer = |pair: &mut Pair| {
        let (start, before) = (pair.elapsed(), pair.server.received.len());
        assert_eq!(pair.client.connection.write(&[1; MUCH]), MUCH);
        let limit = start + 60_000 * MS;
        pair.run_until(limit, |pair| pair.server.received.len() >= before + MUCH);
        pair.elapsed() - start
    };
    let mut pair = Pair::new(100 * MS);
    play(&mut pair, 64, 1);
    let at_first = transfer(&mut pair);
    let mut pair = Pair::new(100 * MS);
    play(&mut pair, 64, 100);
    let later = transfer(&mut pair);
    assert!(later <= at_first, "{later:?}, at first {at_first:?}");
}
