//! A deadline for every test, and recognisable bytes.

use std::{
    panic,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

/// Reached only by a test that fails.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Fails instead of hanging.
pub fn within_deadline(test: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        let _done = done; // dropped at the end of the test, whatever end that is
        test();
    });
    if wait.recv_timeout(DEADLINE) == Err(RecvTimeoutError::Timeout) {
        panic!("the test hangs");
    }
    if let Err(cause) = thread.join() {
        panic::resume_unwind(cause);
    }
}

/// Bytes of which no stretch looks like another.
pub fn pattern(length: usize, salt: u64) -> Vec<u8> {
    let mut state = salt.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}
