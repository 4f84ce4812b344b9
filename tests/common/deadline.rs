//! A limit for a test that might hang.

use std::{
    panic,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

/// Runs a test, which fails if it takes longer.
pub(crate) fn within(limit: Duration, test: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        let _done = done; // dropped at the end of the test, whatever end that is
        test();
    });
    if wait.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
        panic!("the test hangs");
    }
    if let Err(cause) = thread.join() {
        panic::resume_unwind(cause);
    }
}
