//! What an end knows when both have closed.

use super::*;
use crate::wire::{Data, Options, Timestamp};

/// Both have what the other wrote, and nobody knows: all acknowledgements are lost.
fn unacknowledged() -> Pair {
    let mut pair = Pair::new(10 * MS);
    pair.client.connection.write(b"question");
    pair.server.connection.write(b"answer");
    pair.drops = |_, index| index > 0;
    pair.run_until(1000 * MS, |pair| {
        pair.server.received == b"question" && pair.client.received == b"answer"
    });
    pair.drops = |_, _| false;
    pair
}

fn is_over(pair: &Pair) -> bool {
    pair.client.connection.is_drained() && pair.server.connection.is_drained()
}

#[test]
fn the_ends_of_both_acknowledge_what_each_has() {
    let mut pair = unacknowledged();
    let now = pair.now;
    pair.client.connection.shutdown(now, Shutdown::Both);
    pair.server.connection.shutdown(now, Shutdown::Both);
    pair.run_until(1000 * MS, is_over);
    assert!(pair.client.connection.is_flushed());
    assert!(pair.server.connection.is_flushed());
}

#[test]
fn the_end_of_one_acknowledges_what_it_has() {
    let mut pair = unacknowledged();
    let now = pair.now;
    pair.client.connection.shutdown(now, Shutdown::Both);
    pair.run_until(1000 * MS, |pair| {
        pair.server.connection.read_end() == Some(Ok(()))
    });
    let now = pair.now;
    pair.server.connection.shutdown(now, Shutdown::Both);
    pair.run_until(1000 * MS, is_over);
    assert!(pair.client.connection.is_flushed());
    assert!(pair.server.connection.is_flushed());
}

#[test]
fn the_end_of_one_acknowledges_nothing_that_it_does_not_have() {
    let mut pair = Pair::new(10 * MS);
    pair.client.connection.write(b"question");
    pair.run_until(1000 * MS, |pair| pair.server.received == b"question");
    pair.server.connection.write(b"answer");
    pair.drops = |side, _| side == Side::Server;
    let now = pair.now;
    pair.client.connection.shutdown(now, Shutdown::Both);
    pair.run_for(30 * MS);
    pair.drops = |_, _| false;
    let now = pair.now;
    pair.server.connection.shutdown(now, Shutdown::Both);
    pair.run_until(20_000 * MS, is_over);
    assert!(!pair.server.connection.is_flushed());
}

/// The peer's end overtakes the acknowledgement that left before it, and the answer to it does not
/// say that anything is missing.
#[test]
fn what_arrived_is_not_missed_because_its_acknowledgement_was_late() {
    let mut pair = unacknowledged();
    let now = pair.now;
    pair.client.connection.shutdown(now, Shutdown::Both);
    pair.server.connection.shutdown(now, Shutdown::Both);
    let mut end = Vec::new();
    let last = Data {
        conversation: 7,
        options: Options::CLOSE,
        timestamp: Timestamp::new(0),
        number: SeqNum::new(1),
        sending_next: SeqNum::ZERO,
        payload: b"bye",
    };
    Segment::Data(last).encode(&mut end);
    pair.client.connection.handle_datagram(now, &end);
    assert_eq!(pair.client.connection.state(), State::Terminating);
    assert!(!pair.client.connection.is_flushed());
    let mut word = Vec::new();
    while pair
        .client
        .connection
        .poll_transmit(now, &mut word)
        .is_some()
    {
        pair.server.connection.handle_datagram(now, &word);
        word.clear();
    }
    assert_eq!(pair.server.connection.state(), State::Terminated);
    assert_eq!(pair.server.connection.read_end(), Some(Ok(())));
    let error = pair.server.connection.write_end();
    assert_eq!(error, Some(ConnectionError::LocallyClosed));
}

/// The first word of its end has got lost, and the program cannot wait for the next one.
#[test]
fn an_end_in_order_is_not_called_off_by_a_reset() {
    let mut pair = exchanged();
    pair.drops = |side, _| side == Side::Client;
    let now = pair.now;
    pair.client.connection.shutdown(now, Shutdown::Both);
    pair.run_for(30 * MS);
    pair.drops = |_, _| false;
    let now = pair.now;
    assert_eq!(pair.client.connection.state(), State::Terminating);
    pair.client
        .connection
        .reset(now, ConnectionError::EndpointClosed);
    pair.run_for(30 * MS);
    assert_eq!(pair.server.connection.read_end(), Some(Ok(())));
}

/// The words of an end are repeated ever more rarely, but not to a peer that shows that it has got
/// none.
#[test]
fn whoever_goes_on_talking_is_told_of_the_end_at_once() {
    let mut pair = exchanged();
    pair.drops = |side, _| side == Side::Client;
    let now = pair.now;
    pair.client.connection.shutdown(now, Shutdown::Both);
    pair.run_for(2000 * MS);
    pair.drops = |_, _| false;
    assert_eq!(pair.server.connection.read_end(), None);
    pair.server.connection.write(b"more");
    let soon = pair.elapsed() + 50 * MS;
    pair.run_until(soon, |pair| pair.server.connection.read_end().is_some());
    assert_eq!(pair.server.connection.read_end(), Some(Ok(())));
}

fn exchanged() -> Pair {
    let mut pair = Pair::new(10 * MS);
    pair.client.connection.write(b"question");
    pair.server.connection.write(b"answer");
    pair.run_for(1000 * MS);
    pair
}

#[test]
fn a_reset_of_which_the_peer_knows_is_not_repeated() {
    let mut pair = exchanged();
    let (now, before) = (pair.now, pair.client.sent.len());
    pair.client
        .connection
        .reset(now, ConnectionError::LocallyClosed);
    pair.run_until(1100 * MS, is_over);
    pair.run_for(10_000 * MS);
    assert_eq!(pair.client.sent.len() - before, 1);
}

#[test]
fn a_reset_that_got_lost_is_repeated() {
    for time in [50 * MS, 250 * MS, 650 * MS] {
        let mut pair = exchanged();
        let now = pair.now;
        pair.drops = |side, _| side == Side::Client;
        pair.client
            .connection
            .reset(now, ConnectionError::LocallyClosed);
        pair.run_for(time);
        assert!(pair.client.connection.has_ended());
        pair.drops = |_, _| false;
        pair.run_for(1000 * MS);
        let end = pair.server.connection.read_end();
        assert_eq!(end, Some(Err(ConnectionError::Reset)), "after {time:?}");
        assert!(is_over(&pair));
    }
}

#[test]
fn to_nobody_a_reset_is_said_four_times() {
    let mut pair = exchanged();
    let (now, before) = (pair.now, pair.client.sent.len());
    pair.drops = |_, _| true;
    pair.client
        .connection
        .reset(now, ConnectionError::LocallyClosed);
    pair.run_for(1000 * MS);
    assert_eq!(pair.client.sent.len() - before, 4);
    assert!(pair.client.connection.is_drained());
}

#[test]
fn whoever_goes_on_after_a_reset_is_told_at_once_and_not_for_ever() {
    let mut pair = exchanged();
    let (now, before) = (pair.now, pair.client.sent.len());
    pair.drops = |side, _| side == Side::Client;
    pair.client
        .connection
        .reset(now, ConnectionError::LocallyClosed);
    pair.run_for(20 * MS);
    pair.drops = |_, _| false;
    pair.server.connection.write(b"still there?");
    pair.run_for(25 * MS);
    assert!(pair.server.connection.read_end().is_some());
    let pings = pair.server.sent[0].clone();
    for _ in 0..100 {
        let now = pair.now;
        pair.client.connection.handle_datagram(now, &pings);
        pair.run_for(5 * MS);
    }
    let said = pair.client.sent.len() - before;
    assert!(said <= 4 + 8, "{said} Terminates");
}
