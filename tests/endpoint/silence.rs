//! A path that falls silent: nothing gets through any more, and nothing says so.

use std::{
    io::{ErrorKind, Read, Write},
    thread,
    time::{Duration, Instant},
};

use mkcp::{Config, Stream};

use super::{EchoServer, exchange, relay::Relay, small};

const IDLE: Duration = Duration::from_secs(6);
const LINGER: Duration = Duration::from_secs(2);
/// For threads to run, and for the silence to be noticed: much less than any other limit.
const SLACK: Duration = Duration::from_secs(2);

fn patience() -> Config {
    let config = Config::builder()
        .idle_timeout(IDLE)
        .keepalive(IDLE / 2)
        .linger(LINGER);
    config.build().unwrap()
}

/// How long a call on one of four streams takes, and what it gives.
fn time<T>(call: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = call();
    (start.elapsed(), result)
}

fn write_for_ever(mut stream: &Stream) -> ErrorKind {
    loop {
        if let Err(error) = stream.write(&[7; 65536]) {
            return error.kind();
        }
    }
}

#[test]
fn every_call_ends_in_its_time() {
    let server = EchoServer::start(small());
    let relay = Relay::towards(server.address, ());
    let client = small().config(patience()).bind("127.0.0.1:0").unwrap();
    let open = || {
        let stream = client.connect(relay.address).unwrap();
        exchange(&stream, b"is anybody there?");
        stream.set_read_timeout(None).unwrap();
        stream
    };
    let [reading, writing, closing, dropped] = [(); 4].map(|()| open());
    dropped.set_linger(Some(LINGER)).unwrap();
    let silence = relay.state.lock().unwrap();
    thread::scope(|scope| {
        let read = scope.spawn(|| time(|| (&reading).read(&mut [0; 1]).unwrap_err().kind()));
        let written = scope.spawn(|| time(|| write_for_ever(&writing)));
        let closed = scope.spawn(|| {
            (&closing).write_all(b"nobody gets this").unwrap();
            time(|| closing.close().unwrap_err().kind())
        });
        let dropped = scope.spawn(|| {
            (&dropped).write_all(b"nor this").unwrap();
            time(|| drop(dropped)).0
        });
        for (took, kind) in [read.join().unwrap(), written.join().unwrap()] {
            assert_eq!(kind, ErrorKind::TimedOut);
            assert!(took > IDLE / 2 && took < IDLE + SLACK, "{took:?}");
        }
        let (took, kind) = closed.join().unwrap();
        assert_eq!(kind, ErrorKind::TimedOut);
        for took in [took, dropped.join().unwrap()] {
            assert!(took >= LINGER && took < LINGER + SLACK, "{took:?}");
        }
    });
    let (took, ended) = time(|| client.shutdown(SLACK));
    assert!(took < SLACK, "{took:?}");
    ended.unwrap();
    drop(silence);
}
