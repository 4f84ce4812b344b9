//! What the library logs, kept; and a program's logger that panics, which makes any thread die at
//! a chosen place.

use std::sync::Once;

use log::{Level, LevelFilter, Log, Metadata, Record};
use parking_lot::Mutex;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static POISONS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Recorder;

impl Log for Recorder {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = record.args().to_string();
        let poisoned = POISONS.lock().iter().any(|text| line.contains(text));
        assert!(!poisoned, "a logger must not panic: {line}");
        if record.level() <= Level::Warn {
            LINES.lock().push(line);
        }
    }

    fn flush(&self) {}
}

/// From now on everything is logged.
pub(crate) fn record() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        log::set_logger(&Recorder).unwrap();
        log::set_max_level(LevelFilter::Trace);
    });
}

/// The warnings and errors with this text in them.
pub(crate) fn warnings(text: &str) -> Vec<String> {
    let lines = LINES.lock();
    let found = lines.iter().filter(|line| line.contains(text));
    found.cloned().collect()
}

/// As long as it lives, a thread dies that logs a line with this text in it.
pub(crate) struct Poison(String);

impl Poison {
    pub(crate) fn new(text: String) -> Self {
        record();
        POISONS.lock().push(text.clone());
        Self(text)
    }
}

impl Drop for Poison {
    fn drop(&mut self) {
        POISONS.lock().retain(|text| *text != self.0);
    }
}
