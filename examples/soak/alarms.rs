//! Counts what no run may have: log records above info, and panics, wherever they come from.

use std::{
    io::{self, Write},
    panic::{self, PanicHookInfo},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use log::{Level, LevelFilter, Log, Metadata, Record};

static LOUD: AtomicU64 = AtomicU64::new(0);
static PANICS: AtomicU64 = AtomicU64::new(0);

struct Alarms;

/// Counts from now on.
pub(crate) fn install() -> io::Result<()> {
    log::set_logger(&Alarms).map_err(io::Error::other)?;
    log::set_max_level(LevelFilter::Info);
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !is_known(info) {
            PANICS.fetch_add(1, Relaxed);
            print(info);
        }
    }));
    Ok(())
}

/// Built with debug assertions, rustls asserts that it sends no alert after its last word, and does
/// where a forged record comes then. The library turns that into an error of the stream.
fn is_known(info: &PanicHookInfo<'_>) -> bool {
    let file = info.location().map_or("", panic::Location::file);
    cfg!(debug_assertions) && file.contains("rustls-") && file.ends_with("common_state.rs")
}

/// Log records above info.
pub(crate) fn loud_records() -> u64 {
    LOUD.load(Relaxed)
}

pub(crate) fn panics() -> u64 {
    PANICS.load(Relaxed)
}

impl Log for Alarms {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            LOUD.fetch_add(1, Relaxed);
            let (level, target) = (record.level(), record.target());
            eprintln!("log: {level} {target}: {}", record.args());
        }
    }

    fn flush(&self) {
        // If nobody reads any more, nobody misses it.
        let _ = io::stderr().flush();
    }
}
