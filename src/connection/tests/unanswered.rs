//! How a peer that acknowledges nothing is asked, whether it talks or not.

use std::{collections::BTreeSet, time::Duration};

use super::{End, MS, Pair};
use crate::{
    config::{Config, derive},
    wire::{
        Command, CommandKind, DATA_OVERHEAD, Data, Options, Segment, Segments, SeqNum, Timestamp,
    },
};

const RTT: Duration = Duration::from_millis(10);
/// How often a peer is asked in the first seconds, once it has not answered several times.
const EARLY_INTERVAL: Duration = Duration::from_millis(250);

fn acquainted() -> Pair {
    acquainted_over(RTT)
}

/// A pair that knows its path by a question and its answer.
fn acquainted_over(rtt: Duration) -> Pair {
    let mut pair = Pair::new(rtt / 2);
    pair.client.connection.write(b"?");
    pair.run_until(1000 * MS, |pair| !pair.server.received.is_empty());
    pair.server.connection.write(b"!");
    pair.run_until(1000 * MS, |pair| !pair.client.received.is_empty());
    pair.run_for(1000 * MS);
    pair.server.sent.clear();
    pair
}

/// The client's word with this number, without an acknowledgement.
fn word(number: u32) -> Vec<u8> {
    let mut datagram = Vec::new();
    let data = Data {
        conversation: 7,
        options: Options::NONE,
        timestamp: Timestamp::new(number),
        number: SeqNum::new(number),
        sending_next: SeqNum::new(number),
        payload: b"?",
    };
    Segment::Data(data).encode(&mut datagram);
    datagram
}

/// How many segments were sent, and how many of them for the first time.
fn sent(end: &End) -> (usize, usize) {
    let number = |segment| match segment {
        Segment::Data(data) => Some(data.number.get()),
        _ => None,
    };
    let segments = end.sent.iter().flat_map(|datagram| Segments::new(datagram));
    let numbers: Vec<_> = segments.filter_map(number).collect();
    let distinct: BTreeSet<_> = numbers.iter().collect();
    (numbers.len(), distinct.len())
}

#[test]
fn one_that_talks_is_not_asked_more_often_for_that() {
    let mut pair = acquainted();
    pair.drops = |_, _| true;
    for number in 1..61 {
        let now = pair.now;
        pair.server.connection.handle_datagram(now, &word(number));
        pair.server.connection.write(b"!");
        pair.run_for(100 * MS);
    }
    assert_eq!(pair.server.received.len(), 61);
    let (all, new) = sent(&pair.server);
    // Some more at first, before the interval has grown.
    let (repeated, regular) = (all - new, 6000 / EARLY_INTERVAL.as_millis() as usize);
    assert!((8..=regular + 8).contains(&repeated), "{repeated}");
}

#[test]
fn one_that_is_silent_is_sent_one_segment_at_a_time() {
    let mut pair = acquainted();
    pair.drops = |_, _| true;
    pair.server.connection.set_nodelay(true);
    // More than it takes, so that the window stays closed.
    for _ in 0..2000 {
        pair.server.connection.write(b"!");
        pair.drive();
    }
    assert_eq!(pair.server.connection.stats().peer_window, 0);
    pair.run_for(1000 * MS);
    pair.server.sent.clear();
    pair.run_for(4000 * MS);
    assert_eq!(
        sent(&pair.server).0 as u128,
        4000 / EARLY_INTERVAL.as_millis()
    );
}

/// The server writes on a path that is dark for so long.
fn write_in_the_dark(pair: &mut Pair, time: Duration) {
    pair.drops = |_, _| true;
    pair.server.connection.write(b"!");
    pair.run_for(time);
}

/// A Ping of the client's arrives, and the question that it brings gets lost.
fn ping(pair: &mut Pair) {
    let mut datagram = Vec::new();
    let ping = Command {
        conversation: 7,
        kind: CommandKind::Ping,
        options: Options::NONE,
        sending_next: SeqNum::ZERO,
        receiving_next: SeqNum::ZERO,
        peer_rto: 100,
    };
    Segment::Command(ping).encode(&mut datagram);
    pair.server.connection.handle_datagram(pair.now, &datagram);
    pair.run_for(RTT);
}

/// How long it takes on the path that is back until the client has heard from the server.
fn heard_after(pair: &mut Pair) -> Duration {
    pair.drops = |_, _| false;
    let (start, heard) = (pair.elapsed(), pair.client.received.len());
    pair.run_until(start + 10_000 * MS, |pair| {
        pair.client.received.len() > heard
    });
    pair.elapsed() - start
}

#[test]
fn its_first_word_after_a_silence_brings_a_question_at_once() {
    let mut pair = acquainted();
    for _ in 0..3 {
        write_in_the_dark(&mut pair, 15_000 * MS);
        pair.client.connection.write(b"?");
        assert_eq!(heard_after(&mut pair), RTT);
        pair.run_for(1000 * MS);
    }
}

#[test]
fn after_its_first_word_the_questions_follow_each_other_as_at_first() {
    let mut pair = acquainted();
    for _ in 0..3 {
        write_in_the_dark(&mut pair, 15_000 * MS);
        ping(&mut pair);
        let waited = heard_after(&mut pair);
        assert!(waited <= EARLY_INTERVAL, "{waited:?}");
        pair.run_for(1000 * MS);
    }
}

#[test]
fn so_does_a_word_after_another_silence_though_nothing_was_acknowledged_between() {
    for phase in 0..20 {
        let mut pair = acquainted();
        write_in_the_dark(&mut pair, 15_000 * MS);
        ping(&mut pair);
        pair.run_for(12_000 * MS + phase * 97 * MS);
        pair.client.connection.write(b"?");
        // Unless it comes when there was a question just before.
        let waited = heard_after(&mut pair);
        assert!(waited <= EARLY_INTERVAL, "{waited:?}");
    }
}

#[test]
fn an_acknowledgement_takes_along_what_waits_for_company() {
    let mut pair = acquainted();
    // An answer that is under way, so that the next one is held back.
    pair.server.connection.write(b"!");
    for number in [1, 2] {
        let now = pair.now;
        pair.server.connection.handle_datagram(now, &word(number));
        pair.run_for(MS / 2);
        pair.server.connection.write(b"!");
        pair.run_for(3 * MS);
        assert_eq!(pair.server.sent.len(), 1 + number as usize);
    }
    assert_eq!(sent(&pair.server), (3, 3));
}

/// Acknowledgements that are due all the time do not make it wait anew each time.
#[test]
fn what_does_not_fit_beside_an_acknowledgement_waits_no_longer_for_it() {
    let full = derive::max_plaintext(&Config::default()) - DATA_OVERHEAD;
    let mut pair = acquainted_over(100 * MS);
    pair.server.connection.write(b"!");
    pair.drive();
    pair.drops = |_, _| true;
    pair.server.connection.write(&vec![7; full - 1]);
    pair.server.sent.clear();
    let start = pair.elapsed();
    let is_full = |datagram: &Vec<u8>| datagram.len() > full;
    for number in 1.. {
        let now = pair.now;
        pair.server.connection.handle_datagram(now, &word(number));
        pair.run_for(MS);
        if pair.server.sent.iter().any(is_full) {
            break;
        }
        assert!(pair.elapsed() - start < 50 * MS, "it still waits");
    }
}
