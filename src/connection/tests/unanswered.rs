//! How a peer that acknowledges nothing is asked, whether it talks or not.

use std::{collections::BTreeSet, time::Duration};

use super::{End, MS, Pair};
use crate::wire::{Data, Options, Segment, Segments, SeqNum, Timestamp};

const RTT: Duration = Duration::from_millis(10);
/// How often a peer is asked in the first seconds, once it has not answered several times.
const EARLY_INTERVAL: Duration = Duration::from_millis(250);

/// A pair that knows its path by a question and its answer.
fn acquainted() -> Pair {
    let mut pair = Pair::new(RTT / 2);
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
    // Some more at first, before the interval has grown, and after the word that ended the silence.
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

#[test]
fn its_first_word_after_a_silence_brings_a_question_at_once() {
    let mut pair = acquainted();
    pair.drops = |_, _| true;
    pair.server.connection.write(b"!");
    pair.run_for(15_000 * MS);
    pair.drops = |_, _| false;
    let start = pair.elapsed();
    pair.client.connection.write(b"?");
    pair.run_until(start + 1000 * MS, |pair| pair.client.received.len() == 2);
    assert_eq!(pair.elapsed() - start, RTT);
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
