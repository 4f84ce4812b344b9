//! What a run has found, as one JSON object or as lines of text.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use serde_json::{Map, Value, json};

use crate::{ledger::Ledger, order::Kind, process, samples::Sample, slope::Slope};

/// Standard errors that a slope may be above the bound.
const DOUBT: f64 = 3.0;
/// What may be held when all has ended, by what is opened once and kept. In ten minutes of sessions
/// some bytes lost by each of them are more ...
const LEFT_KIB: u64 = 128;
/// ... than this and what `parking_lot` keeps: a table with three places of 64 bytes for each thread
/// that there was at a time, rounded up to a power of two, and the smaller ones before it.
const LEFT_BYTES_BY_THREAD: u64 = 2 * 2 * 3 * 64;

pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) ran: Duration,
    pub(crate) ledger: Ledger,
    pub(crate) injected: [(&'static str, u64); 8],
    pub(crate) drops: Vec<(&'static str, u64)>,
    /// Of resident memory, and of what the program holds of it.
    pub(crate) slope: Option<Slope>,
    pub(crate) heap_slope: Option<Slope>,
    /// None if the run was too short to judge it.
    pub(crate) max_slope: Option<f64>,
    /// While sessions still came and went.
    pub(crate) last: Sample,
    pub(crate) sessions_left: u64,
    pub(crate) threads_left: usize,
    pub(crate) descriptors_left: usize,
    pub(crate) heap_left_kib: u64,
    /// At a time.
    pub(crate) most_threads: usize,
    pub(crate) loud_records: u64,
    pub(crate) panics: u64,
}

impl Report {
    /// Adds to what is wrong what shows only at the end.
    pub(crate) fn judge(&self) {
        let none = [
            ("sessions left", self.sessions_left),
            ("threads left", self.threads_left as u64),
            ("descriptors left", self.descriptors_left as u64),
            ("log records above info", self.loud_records),
            ("panics", self.panics),
        ];
        for (what, count) in none {
            if count > 0 {
                self.ledger.wrong(format!("{count} {what}"));
            }
        }
        let (heard, mutes) = (
            self.ledger.heard_mutes.load(Relaxed),
            self.ledger.finished(Kind::Mute),
        );
        if heard > mutes {
            let text = format!("{heard} sessions without a byte from {mutes} mute clients");
            self.ledger.wrong(text);
        }
        let most_left = LEFT_KIB + self.most_threads as u64 * LEFT_BYTES_BY_THREAD / 1024;
        if self.heap_left_kib > most_left {
            let text = format!("{} KiB of the heap left", self.heap_left_kib);
            self.ledger.wrong(text);
        }
        // Holes in the heap make the process grow for long, and are no leak.
        if let (Some(slope), Some(bound)) = (self.heap_slope, self.max_slope)
            && slope.rate > bound + DOUBT * slope.standard_error
        {
            self.ledger
                .wrong(format!("more and more is held: {slope:?}"));
        }
    }

    /// Whether the run was long enough to tell a slope from scatter.
    fn is_judged(&self) -> bool {
        let is_known = |slope: Slope| slope.standard_error.is_finite();
        self.max_slope.is_some() && self.heap_slope.is_some_and(is_known)
    }

    pub(crate) fn is_well(&self) -> bool {
        self.ledger.all_wrong().count == 0
    }

    pub(crate) fn to_json(&self) -> Value {
        let (ledger, wrong) = (&self.ledger, self.ledger.all_wrong());
        let object = |counts: &[(&str, u64)]| -> Map<String, Value> {
            let pairs = counts.iter();
            pairs
                .map(|&(name, count)| (name.to_owned(), count.into()))
                .collect()
        };
        json!({
            "ok": self.is_well(),
            "wrong": wrong.count,
            "wrong_list": wrong.list,
            "seed": self.seed,
            "seconds": self.ran.as_secs_f64(),
            "sessions_opened": ledger.opened.load(Relaxed),
            "sessions_finished": ledger.all_finished(),
            "finished": ledger.finished_by_kind(),
            "ended_by_forgery": ledger.forged_by_error(),
            "bytes_up": ledger.bytes_up.load(Relaxed),
            "bytes_down": ledger.bytes_down.load(Relaxed),
            "unheard_resets": ledger.unheard_resets.load(Relaxed),
            "unconfirmed_closes": ledger.unconfirmed_closes.load(Relaxed),
            "heard_mutes": ledger.heard_mutes.load(Relaxed),
            "path": object(&self.injected),
            "drops": object(&self.drops),
            "rss_kib": self.last.rss_kib,
            "max_rss_kib": process::max_rss_kib(),
            "rss_kib_per_minute": self.slope.map(|slope| slope.rate),
            "rss_standard_error": self.slope.map(|slope| slope.standard_error),
            "heap_kib": self.last.heap_kib,
            "heap_kib_per_minute": self.heap_slope.map(|slope| slope.rate),
            "heap_standard_error": self.heap_slope.map(|slope| slope.standard_error),
            "rss_samples": self.slope.map(|slope| slope.points),
            "heap_judged": self.is_judged(),
            "threads": self.last.threads,
            "descriptors": self.last.descriptors,
            "sessions_left": self.sessions_left,
            "threads_left": self.threads_left,
            "descriptors_left": self.descriptors_left,
            "heap_left_kib": self.heap_left_kib,
            "log_records_above_info": self.loud_records,
            "panics": self.panics,
            "cpu_s": process::cpu_time().as_secs_f64(),
        })
    }

    pub(crate) fn to_text(&self) -> String {
        let (ledger, wrong) = (&self.ledger, self.ledger.all_wrong());
        let mut text = format!(
            "{:.0} s with seed {}: {} sessions opened, {} finished as they should\n\
             {} bytes up and {} bytes down, each compared\n",
            self.ran.as_secs_f64(),
            self.seed,
            ledger.opened.load(Relaxed),
            ledger.all_finished(),
            ledger.bytes_up.load(Relaxed),
            ledger.bytes_down.load(Relaxed),
        );
        text += &line("finished", ledger.finished_by_kind());
        text += &line("ended by forgery, at either end", ledger.forged_by_error());
        text += &format!(
            "{} resets were not heard of, {} closes not confirmed, {} mutes heard of\n",
            ledger.unheard_resets.load(Relaxed),
            ledger.unconfirmed_closes.load(Relaxed),
            ledger.heard_mutes.load(Relaxed),
        );
        text += &line("path", self.injected);
        let drops = self.drops.iter().filter(|(_, count)| *count > 0);
        text += &line("dropped", drops.copied());
        if let Some(slope) = self.slope {
            text += &format!(
                "memory: {} KiB, at most {} KiB, growing by {:.0} ± {:.0} KiB a minute ({} samples)\n",
                self.last.rss_kib,
                process::max_rss_kib(),
                slope.rate,
                slope.standard_error,
                slope.points,
            );
        }
        if let Some(slope) = self.heap_slope {
            text += &format!(
                "of which asked for: {} KiB, growing by {:.0} ± {:.0} KiB a minute{}\n",
                self.last.heap_kib,
                slope.rate,
                slope.standard_error,
                if self.is_judged() {
                    ""
                } else {
                    " (too short a run to judge that)"
                },
            );
        }
        text += &format!(
            "left: {} sessions, {} threads, {} descriptors, {} KiB of the heap\n",
            self.sessions_left, self.threads_left, self.descriptors_left, self.heap_left_kib,
        );
        for what in &wrong.list {
            text += &format!("wrong: {what}\n");
        }
        text + &match wrong.count {
            0 => "all is well\n".to_owned(),
            count => format!("{count} wrong\n"),
        }
    }
}

/// One line of counts.
fn line<N: AsRef<str>>(title: &str, counts: impl IntoIterator<Item = (N, u64)>) -> String {
    let counts = counts.into_iter();
    let words: Vec<_> = counts
        .map(|(name, count)| format!("{} {count}", name.as_ref()))
        .collect();
    match words.is_empty() {
        true => String::new(),
        false => format!("{title}: {}\n", words.join(", ")),
    }
}
