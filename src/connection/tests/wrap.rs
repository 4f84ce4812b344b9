//! Numbers and clocks that start over while two of ours talk.

use super::*;

/// The timestamps that an end has sent with its data, or has echoed.
fn timestamps(datagrams: &[Vec<u8>]) -> Vec<u32> {
    let segments = datagrams
        .iter()
        .flat_map(|datagram| Segments::new(datagram));
    let timestamp = |segment: Segment<'_>| match segment {
        Segment::Data(data) => Some(data.timestamp.get()),
        Segment::Ack(ack) => Some(ack.timestamp.get()),
        Segment::Command(_) => None,
    };
    segments.filter_map(timestamp).collect()
}

#[test]
fn numbers_and_clocks_wrap_between_two_of_ours() {
    // The last eight milliseconds before they start over.
    let late = 0x7fff_fff7..0x7fff_ffff;
    let origin = Origin {
        number: SeqNum::new(u32::MAX - 50),
        clock: Some(late.start - 1),
    };
    let mut pair = Pair::with_origin(5 * MS, origin);
    let data = vec![3; 300_000];
    let mut written = 0;
    while pair.server.received.len() < data.len() {
        written += pair.client.connection.write(&data[written..]);
        assert!(pair.step() && pair.elapsed() < 10_000 * MS);
    }
    for end in [&pair.client, &pair.server] {
        let shown = timestamps(&end.sent);
        assert!(late.contains(&shown[0]), "{shown:?}");
        assert!((1..1000).contains(&shown[shown.len() - 1]), "{shown:?}");
    }
    let stats = pair.client.connection.stats();
    assert_eq!((stats.segments_retransmitted, stats.spurious), (0, 0));
    assert!((10 * MS..20 * MS).contains(&stats.rtt), "{:?}", stats.rtt);
}
