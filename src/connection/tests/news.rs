//! How a peer of ours learns that its acknowledgements have arrived.

use super::*;
use crate::connection::reminder;

/// Datagrams of which each segment is so.
fn count(sent: &[Vec<u8>], is_so: fn(&Segment<'_>) -> bool) -> usize {
    let all_are = |datagram: &&Vec<u8>| Segments::new(datagram).all(|one| is_so(&one));
    sent.iter().filter(all_are).count()
}

fn pings(sent: &[Vec<u8>]) -> usize {
    count(sent, |one| matches!(one, Segment::Command(_)))
}

/// Questions for news: they acknowledge nothing that was not acknowledged before.
fn reminders(sent: &[Vec<u8>]) -> usize {
    count(
        sent,
        |one| matches!(one, Segment::Ack(ack) if ack.numbers.is_empty()),
    )
}

/// One asks and the other answers, so that both know the round trip.
fn acquainted(rtt: Duration) -> Pair {
    let mut pair = Pair::new(rtt / 2);
    pair.client.connection.write(b"?");
    pair.run_until(10_000 * MS, |pair| !pair.server.received.is_empty());
    pair.server.connection.write(b"!");
    pair.run_until(10_000 * MS, |pair| !pair.client.received.is_empty());
    pair.run_for(4000 * MS);
    for end in [&mut pair.client, &mut pair.server] {
        end.sent.clear();
    }
    pair
}

#[test]
fn a_ping_tells_it_if_no_data_follows_before_the_peer_asks() {
    for rtt in [MS, 10 * MS, 100 * MS, 200 * MS, 300 * MS, 1000 * MS] {
        for writer in [Side::Client, Side::Server] {
            let mut pair = acquainted(rtt);
            ends(&mut pair, writer).0.connection.write(b"x");
            pair.run_for(2 * rtt + reminder::PATIENCE);
            let (from, to) = ends(&mut pair, writer);
            assert_eq!((from.sent.len(), to.sent.len()), (2, 1), "{rtt:?}");
            assert_eq!((pings(&from.sent), reminders(&to.sent)), (1, 0), "{rtt:?}");
        }
    }
}

/// A client that has sent nothing does not know the round trip, and asks after a guess.
#[test]
fn who_only_listens_is_told_sooner() {
    for rtt in [MS, 100 * MS, 200 * MS, 250 * MS] {
        let mut pair = Pair::new(rtt / 2);
        pair.run_for(1000 * MS);
        pair.client.sent.clear();
        for _ in 0..5 {
            pair.server.connection.write(b"x");
            pair.run_for(1000 * MS);
        }
        assert_eq!(pair.client.received.len(), 5);
        assert_eq!(
            (pair.client.sent.len(), reminders(&pair.client.sent)),
            (5, 0),
            "{rtt:?}"
        );
    }
}

#[test]
fn questions_that_follow_soon_tell_it_without_a_ping() {
    const QUESTIONS: usize = 20;
    let mut pair = acquainted(10 * MS);
    for number in 2..2 + QUESTIONS {
        pair.client.connection.write(b"?");
        pair.run_until(10_000 * MS, |pair| pair.server.received.len() == number);
        pair.server.connection.write(b"!");
        pair.run_for(50 * MS);
        assert_eq!(pair.client.received.len(), number);
    }
    let (client, server) = (&pair.client.sent, &pair.server.sent);
    assert_eq!((pings(client), pings(server)), (0, 0));
    // A question and the acknowledgement of the answer; the answer, which acknowledges as well.
    assert_eq!((client.len(), server.len()), (2 * QUESTIONS, QUESTIONS));
}

/// The Ping that tells it gets lost.
#[test]
fn a_peer_that_asks_is_answered() {
    let mut pair = acquainted(10 * MS);
    pair.drops = |side, index| side == Side::Client && index == 1;
    pair.client.connection.write(b"x");
    pair.run_for(5000 * MS);
    assert_eq!(
        (pings(&pair.client.sent), reminders(&pair.server.sent)),
        (2, 1)
    );
}
