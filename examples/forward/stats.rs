//! The line about what goes on.

use std::{
    io::{self, IsTerminal, Write},
    time::Instant,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mkcp::EndpointStats;

use crate::sessions::Snapshot;

/// Where lines go: one that changes if the standard output is a terminal, else one after the other.
#[derive(Clone)]
pub(crate) struct Display {
    bar: Option<ProgressBar>,
}

impl Display {
    pub(crate) fn new(wanted: bool) -> Self {
        let bar = (wanted && io::stdout().is_terminal()).then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_draw_target(ProgressDrawTarget::stdout());
            match ProgressStyle::with_template("{msg}") {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        Self { bar }
    }

    /// Shows the present state.
    pub(crate) fn update(&self, line: String) {
        match &self.bar {
            Some(bar) => bar.set_message(line),
            None => print_line(&line),
        }
    }

    /// Prints something that stays.
    pub(crate) fn print(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| print_line(line)),
            None => print_line(line),
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Whether or not anybody reads it.
fn print_line(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// What is logged goes to the standard error, and leaves the changing line alone.
impl Write for Display {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.bar {
            Some(bar) => bar.suspend(|| io::stderr().write(bytes)),
            None => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Two looks make a line.
pub(crate) struct Meter {
    before: Snapshot,
    at: Instant,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            before: Snapshot::default(),
            at: Instant::now(),
        }
    }

    /// The line about the time since the last look.
    pub(crate) fn line(&mut self, now: Snapshot, endpoints: &[EndpointStats]) -> String {
        let elapsed = self.at.elapsed().as_secs_f64().max(1e-3);
        let (old, new) = (&self.before.traffic, &now.traffic);
        let since = |old: u64, new: u64| new.saturating_sub(old) as f64;
        let rate = |old: u64, new: u64| since(old, new) / 1e6 / elapsed;
        let sent = since(old.segments_sent, new.segments_sent);
        let repeated = since(old.segments_repeated, new.segments_repeated);
        let delivered = since(old.bytes_delivered, new.bytes_delivered);
        let on_wire = since(old.bytes_on_wire, new.bytes_on_wire);
        let nothing = || "-".to_owned();
        let mut line = format!(
            "connections {}, total {}, in {:.2} MB/s, out {:.2} MB/s, rtt mean {:.1} ms max {:.1} ms, \
             loss {}, waste {}",
            now.open,
            now.total,
            rate(old.bytes_in, new.bytes_in),
            rate(old.bytes_out, new.bytes_out),
            now.rtt_mean.as_secs_f64() * 1e3,
            now.rtt_max.as_secs_f64() * 1e3,
            ratio(100.0 * repeated, sent).map_or_else(nothing, |loss| format!("{loss:.2} %")),
            ratio(on_wire, delivered).map_or_else(nothing, |waste| format!("{waste:.3}")),
        );
        line += &drops(endpoints);
        (self.before, self.at) = (now, Instant::now());
        line
    }
}

/// Nothing if nothing was done.
fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// What was dropped since the beginning, by reason.
fn drops(endpoints: &[EndpointStats]) -> String {
    let mut text = String::new();
    for endpoint in endpoints {
        for (reason, count) in endpoint.drops.iter().filter(|&(_, count)| count > 0) {
            text += if text.is_empty() { ", dropped" } else { "" };
            text += &format!(" {reason}={count}");
        }
    }
    text
}
