//! What each row is to reach, row by row.
//!
//! A run misses a goal only by more than chance may take, so that a goal can be written as it is
//! meant.

use std::{env, fmt, time::Duration};

use super::{
    lab,
    report::Report,
    row::Row,
    seeds,
    special::{Dark, Rest, Rounds},
};

/// How much worse than its goal a run may be.
const GOODPUT_SLACK: f64 = 0.02;
const WIRE_SLACK: f64 = 0.01;
const JAIN_SLACK: f64 = 0.03;
const TIME_SLACK: f64 = 1.1;

/// How far an estimate of the round-trip time may be from the truth.
const RTT_ERROR: f64 = 0.12;
/// Segments that may be repeated for nothing by what the sender can know, and reach the receiver
/// twice: with those that are copied on purpose.
const SPURIOUS: f64 = 0.01;
const DUPLICATES: f64 = 0.02;

/// What a row is to reach.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// At least such a share of what the link can carry.
    Goodput(f64),
    /// At most so many bytes on the wire for each that is delivered.
    Wire(f64),
    QueueingP95(Duration),
    /// How soon goodput is near the link's rate when that has fallen, and when it has risen.
    Follows {
        down: Duration,
        up: Duration,
    },
    /// How soon data flows when the darkness is over.
    Resumes(Duration),
    /// Packets that one end sends in the dark from a round trip after it began: what a window
    /// still lets go until a timeout tells, and all that follows.
    InTheDark {
        at_once: usize,
        later: usize,
    },
    Jain(f64),
    /// At least such a share of the mean for each flow.
    Slowest(f64),
    RoundP50(Duration),
    RoundP99(Duration),
    RoundMax(Duration),
    /// How soon after the reader has left the last data is sent.
    StopsAfterLeaving(Duration),
    /// How soon after the reader has stopped only probes are sent.
    StopsAtWindow {
        within: Duration,
        probes: usize,
    },
    /// What our connections always owe: true round-trip times, and hardly anything sent twice
    /// that has arrived.
    Honest,
    /// The same for single messages: when an answer gets lost, and with it the acknowledgement,
    /// nobody can know that the question had arrived.
    HonestRounds,
}

/// Runs a row with some seeds and panics if one of them misses a goal.
pub fn expect(row: &Row, goals: &[Goal]) {
    if env::var_os("MKCP_SIM_TABLE").is_some() {
        // Somebody wants numbers and no judgement.
        return;
    }
    let mut failures = Vec::new();
    for seed in seeds(SEEDS) {
        let report = Report::new(row, &lab::run(row, seed));
        let missed: Vec<String> = goals.iter().filter_map(|goal| goal.miss(&report)).collect();
        if !missed.is_empty() {
            let line = report.line();
            failures.push(format!("seed {seed}: {}\n{line}", missed.join("; ")));
        }
    }
    let name = &row.name;
    assert!(
        failures.is_empty(),
        "{name} misses its goals:\n{}\n{}\n\
         replay: MKCP_SIM_TABLE={name} MKCP_SIM_TIMELINE=1 MKCP_SIM_SEED=... \
         cargo test --release --test sim links::table -- --nocapture",
        Report::header(),
        failures.join("\n")
    );
}

/// Unoptimised, a row takes ten times as long.
pub const SEEDS: u64 = if cfg!(debug_assertions) { 1 } else { 3 };

impl Goal {
    /// What is wrong, if anything.
    fn miss(self, report: &Report) -> Option<String> {
        let special = &report.special;
        match self {
            Self::Goodput(goal) => {
                let got = report.goodput.unwrap_or(0.0);
                wrong(got < goal - GOODPUT_SLACK, "goodput", got, goal)
            }
            Self::Wire(goal) => {
                let got = report.wire;
                wrong(got > goal + WIRE_SLACK, "wire", got, goal)
            }
            Self::QueueingP95(goal) => late("queueing p95", Some(report.queueing_p95), goal),
            Self::Follows { down, up } => {
                let goals = [down, up].into_iter().cycle();
                let mut misses = special.followed.iter().zip(goals);
                misses.find_map(|(&got, goal)| late("followed", got, goal))
            }
            Self::Resumes(goal) => {
                let dark = special.dark.as_ref().and_then(|dark| dark.resumed);
                let rest = special.rest.as_ref().and_then(|rest| rest.resumed);
                late("resumed", dark.or(rest), goal)
            }
            Self::InTheDark { at_once, later } => {
                let Dark {
                    sent, sent_later, ..
                } = special.dark.as_ref()?;
                let got = sent_later.iter().copied().max().unwrap_or(0);
                let at_first = sent.iter().zip(sent_later).map(|(all, late)| all - late);
                let first = at_first.max().unwrap_or(0);
                wrong(got > later, "late in the dark", got, later)
                    .or_else(|| wrong(first > at_once, "in the dark", first, at_once))
            }
            Self::Jain(goal) => {
                let got = special.fairness.unwrap_or(0.0);
                wrong(got < goal - JAIN_SLACK, "Jain's index", got, goal)
            }
            Self::Slowest(goal) => {
                let got = special.slowest.unwrap_or(0.0);
                wrong(got < goal - JAIN_SLACK, "the slowest flow", got, goal)
            }
            Self::RoundP50(goal) => late("p50", rounds(report, |rounds| rounds.p50), goal),
            Self::RoundP99(goal) => late("p99", rounds(report, |rounds| rounds.p99), goal),
            Self::RoundMax(goal) => late("max", rounds(report, |rounds| rounds.max), goal),
            Self::StopsAfterLeaving(goal) => late("last data", special.after_leaving, goal),
            Self::StopsAtWindow { within, probes } => {
                let Rest {
                    stopped,
                    probes: got,
                    beyond_window,
                    ..
                } = special.rest.as_ref()?;
                let lost = beyond_window.saturating_sub(*got as u64);
                late("stopped", Some(*stopped), within)
                    .or_else(|| wrong(*got > probes, "probes", *got, probes))
                    .or_else(|| wrong(lost > 0, "lost for want of room", lost, 0))
            }
            Self::Honest => dishonest(report).or_else(|| twice(report)),
            Self::HonestRounds => dishonest(report),
        }
    }
}

fn rounds(report: &Report, time: impl Fn(&Rounds) -> Duration) -> Option<Duration> {
    report.special.rounds.as_ref().map(time)
}

fn dishonest(report: &Report) -> Option<String> {
    let far = |ratio: Option<f64>| ratio.filter(|ratio| (ratio - 1.0).abs() > RTT_ERROR);
    let min = far(report.min_rtt).map(|ratio| format!("min RTT {ratio:.2} of the link's"));
    let smoothed = || far(report.smoothed_rtt).map(|ratio| format!("smoothed RTT {ratio:.2}"));
    let share = report.spurious.unwrap_or(0.0);
    let spurious = || wrong(share > SPURIOUS, "spurious", share, SPURIOUS);
    min.or_else(smoothed).or_else(spurious)
}

fn twice(report: &Report) -> Option<String> {
    let share = report.duplicates.unwrap_or(0.0);
    wrong(share > DUPLICATES, "received twice", share, DUPLICATES)
}

fn wrong<T: fmt::Debug>(is_wrong: bool, what: &str, got: T, goal: T) -> Option<String> {
    is_wrong.then(|| format!("{what} {got:.3?} and not {goal:.3?}"))
}

fn late(what: &str, got: Option<Duration>, goal: Duration) -> Option<String> {
    let Some(got) = got else {
        return Some(format!("{what}: never"));
    };
    wrong(got > goal.mul_f64(TIME_SLACK), what, got, goal)
}
