//! Deadlines, blocked threads and what is expected.

use std::{
    io::{self, ErrorKind, Read},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use crate::deadline;

/// Reached only by a test that fails.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// Long enough to be measured, short enough to wait for. Systems keep a socket's timeout in ticks
/// of 1 to 10 ms, so it is a multiple of those.
pub const SHORT: Duration = Duration::from_millis(100);

/// Fails instead of hanging.
pub fn within_deadline(test: impl FnOnce() + Send + 'static) {
    deadline::within(DEADLINE, test);
}

/// Runs `call` on a thread, lets it block, then lets `change` free it. Returns what it gave.
pub fn blocked<T: Send>(call: impl FnOnce() -> T + Send, change: impl FnOnce()) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || sender.send(call()));
        assert!(
            receiver.recv_timeout(SHORT).is_err(),
            "the call did not block"
        );
        change();
        receiver
            .recv_timeout(DEADLINE)
            .expect("the call was not woken")
    })
}

/// Asks until there is an answer; for what can only be observed by asking.
pub fn eventually<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < DEADLINE, "it never happened");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Asks a non-blocking call until it gives something else than `WouldBlock`.
pub fn until_ready<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    eventually(|| match call() {
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        result => Some(result),
    })
}

pub fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> ErrorKind {
    result.expect_err("an error").kind()
}

/// Reads to the end, and compares that with what was sent.
pub fn expect_all(stream: &mut impl Read, sent: &[u8]) {
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    assert!(
        received == sent,
        "{} bytes of {}",
        received.len(),
        sent.len()
    );
}
