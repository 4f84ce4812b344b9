//! What somebody on the path sends back to the end that said it.

use super::*;

/// The client hears all that it has said.
fn reflect(pair: &mut Pair) {
    for datagram in &pair.client.sent {
        pair.client.connection.handle_datagram(pair.now, datagram);
    }
}

#[test]
fn an_end_takes_nothing_that_it_said_itself() {
    for side in [Side::Client, Side::Server] {
        let mut pair = Pair::new(10 * MS);
        pair.establish();
        ends(&mut pair, side).0.connection.write(b"answer");
        pair.run_for(100 * MS);
        let now = pair.now;
        let (speaker, other) = ends(&mut pair, side);
        assert_eq!(other.received, b"answer");
        for datagram in &speaker.sent {
            speaker.connection.handle_datagram(now, datagram);
        }
        let sent = speaker.sent.len() as u64;
        assert_eq!(speaker.connection.stats().reflected, sent);
        // What the other says under the same numbers is still taken.
        other.connection.write(b"question");
        pair.run_for(100 * MS);
        assert_eq!(ends(&mut pair, side).0.received, b"question");
    }
}

#[test]
fn not_even_its_own_end_ends_it() {
    let mut pair = Pair::new(10 * MS);
    pair.establish();
    pair.drops = |side, _| side == Side::Client;
    pair.client.connection.write(b"last words");
    let now = pair.now;
    pair.client.connection.shutdown(now, Shutdown::Both);
    pair.run_for(100 * MS);
    reflect(&mut pair);
    assert_eq!(pair.client.connection.state(), State::ReadyToClose);
    pair.drops = |_, _| false;
    pair.run_until(5000 * MS, |pair| pair.server.received == b"last words");
}

/// What it has received says nothing of what the other has.
#[test]
fn its_own_end_acknowledges_nothing() {
    let mut pair = Pair::new(10 * MS);
    pair.establish();
    pair.server.connection.write(&[1; 20_000]);
    pair.run_for(200 * MS);
    assert_eq!(pair.client.received.len(), 20_000);
    pair.drops = |side, _| side == Side::Client;
    pair.client.connection.write(&[2; 10_000]);
    let now = pair.now;
    pair.client.connection.shutdown(now, Shutdown::Both);
    pair.run_for(500 * MS);
    reflect(&mut pair);
    assert!(!pair.client.connection.is_flushed());
    pair.drops = |_, _| false;
    pair.run_until(9000 * MS, |pair| pair.server.received == [2; 10_000]);
}
