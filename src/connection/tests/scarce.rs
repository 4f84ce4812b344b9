//! A receiver with hardly any memory left takes a segment at a time.

use std::time::Duration;

use super::{MS, Pair};

/// How long an upload takes whose reader never waits, when the receiver's share of memory becomes
/// two or three segments in the middle of it.
fn upload(proven: bool, bytes: usize) -> Duration {
    let mut pair = Pair::new(5 * MS);
    pair.client.connection.write(b"?");
    pair.run_until(1000 * MS, |pair| !pair.server.received.is_empty());
    if proven {
        pair.server.connection.write(b"!");
        pair.run_until(1000 * MS, |pair| !pair.client.received.is_empty());
    }
    let (mut begun, mut written) = (pair.elapsed(), 0);
    let data = vec![7; bytes];
    let mut scarce = false;
    while pair.server.received.len() < 1 + bytes {
        written += pair.client.connection.write(&data[written..]);
        if !scarce && pair.server.received.len() > bytes / 3 {
            scarce = true;
            begun = pair.elapsed();
            pair.server.connection.set_allowance(4096);
        }
        assert!(pair.step(), "everybody waits for everybody");
        let took = pair.elapsed() - begun;
        assert!(took < Duration::from_secs(600), "without end");
    }
    pair.elapsed() - begun
}

/// What is refused has to be sent again in the order in which it is wanted: anything else is
/// refused again.
#[test]
fn whoever_reads_gets_on_while_memory_is_scarce() {
    for proven in [true, false] {
        let took = upload(proven, 150_000);
        assert!(took < Duration::from_secs(8), "proven {proven}: {took:?}");
    }
}
