//! What an end knows when both have closed.

use super::*;

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
