//! How the peer learns that its acknowledgements have arrived.

use super::*;

/// Datagrams that have nothing but Pings.
fn pings(sent: &[Vec<u8>]) -> usize {
    let is_ping =
        |datagram: &&Vec<u8>| Segments::new(datagram).all(|one| matches!(one, Segment::Command(_)));
    sent.iter().filter(is_ping).count()
}

#[test]
fn a_ping_tells_it_if_no_data_follows_before_the_peer_asks() {
    for rtt in [MS, 10 * MS, 100 * MS] {
        let mut pair = Pair::new(rtt / 2);
        pair.establish();
        pair.client.connection.write(b"x");
        pair.run_for(1000 * MS);
        let last = pair.client.sent.last().unwrap();
        let Some(Segment::Command(ping)) = Segments::new(last).last() else {
            panic!("{last:?}")
        };
        assert_eq!(ping.sending_next, SeqNum::new(1));
        assert_eq!(acks(&pair.server.sent).len(), 1, "{rtt:?}");
    }
}

#[test]
fn questions_that_follow_soon_tell_it_without_a_ping() {
    const QUESTIONS: usize = 20;
    let mut pair = Pair::new(5 * MS);
    pair.establish();
    let mut before = [0; 2];
    for number in 1..=1 + QUESTIONS {
        pair.client.connection.write(b"?");
        pair.run_until(10_000 * MS, |pair| pair.server.received.len() == number);
        pair.server.connection.write(b"!");
        pair.run_for(50 * MS);
        assert_eq!(pair.client.received.len(), number);
        if number == 1 {
            // They know each other now.
            before = [&pair.client, &pair.server].map(|end| end.sent.len());
        }
    }
    let [client, server] = [(&pair.client, before[0]), (&pair.server, before[1])]
        .map(|(end, before)| &end.sent[before..]);
    assert_eq!((pings(client), pings(server)), (0, 0));
    // A question and the acknowledgement of the answer; the answer, which acknowledges as well.
    assert_eq!(client.len(), 2 * QUESTIONS);
    assert_eq!(server.len(), QUESTIONS);
}
