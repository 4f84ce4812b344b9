//! The word that it is enough, for which many threads can wait.

use std::{
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

#[derive(Default)]
pub(crate) struct Stop {
    said: Mutex<bool>,
    heard: Condvar,
}

impl Stop {
    pub(crate) fn say(&self) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.heard.notify_all();
    }

    pub(crate) fn is_said(&self) -> bool {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits so long, or until the word is said; tells whether it has been.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.heard.wait_timeout_while(said, time, |said| !*said);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
