//! What only some rows are about.

use std::{fmt::Write as _, time::Duration};

use super::{
    lab::{CLIENT, Log, Run, SERVER},
    report::{STEP, delivered_between, ms, percentile},
    row::{self, MS, Row, SECOND, Work},
    rows,
};
use crate::{clock::Time, network::Change};

#[derive(Clone, Debug, Default)]
pub struct Special {
    /// How long after each change of rate goodput is near the new one.
    pub followed: Vec<Option<Duration>>,
    pub dark: Option<Dark>,
    /// Jain's index of the flows' shares while all of them send.
    pub fairness: Option<f64>,
    /// What the slowest of them got, of the mean.
    pub slowest: Option<f64>,
    pub rounds: Option<Rounds>,
    /// How long after the reader left the last data was sent.
    pub after_leaving: Option<Duration>,
    pub rest: Option<Rest>,
}

#[derive(Clone, Debug)]
pub struct Dark {
    /// From the end of the darkness to the first byte delivered.
    pub resumed: Option<Duration>,
    /// Packets of either end, from one round trip after it began.
    pub sent: [usize; 2],
    /// The same from a round trip and a timeout after it began.
    pub sent_later: [usize; 2],
}

#[derive(Clone, Debug)]
pub struct Rounds {
    pub count: usize,
    pub p50: Duration,
    pub p90: Duration,
    pub p99: Duration,
    pub p999: Duration,
    pub max: Duration,
    /// Of both ends, for each round.
    pub datagrams: f64,
}

/// A reader that stopped for a while.
#[derive(Clone, Debug)]
pub struct Rest {
    /// How long after it stopped the last packet was sent before a silence of a round trip.
    pub stopped: Duration,
    /// Packets with data after that silence.
    pub probes: usize,
    /// What came although there was no room.
    pub beyond_window: u64,
    /// From when it reads again to the first byte that was not held already.
    pub resumed: Option<Duration>,
}

/// Over how long a rate is taken that is compared with the link's new one.
const FOLLOW_WINDOW: Duration = Duration::from_millis(200);

impl Special {
    pub fn of(row: &Row, run: &Run) -> Self {
        let mut special = Self {
            followed: followed(row, run),
            ..Self::default()
        };
        let is_down = |(_, change): &(Time, Change)| matches!(change, Change::Down);
        if row.changes.iter().any(is_down) {
            special.dark = Some(dark(row, &run.flows[0]));
        }
        let asks = matches!(row.flows[0].work, Work::Rounds { .. });
        if run.flows.len() > 1 && !asks {
            let shares = shares(row, run);
            special.fairness = Some(fairness(&shares));
            let mean = shares.iter().sum::<f64>() / shares.len() as f64;
            special.slowest = shares
                .into_iter()
                .reduce(f64::min)
                .map(|least| least / mean);
        }
        match row.flows[0].work {
            Work::Bulk => {}
            Work::Rounds { .. } => special.rounds = rounds(run),
            Work::ReaderLeaves { at, .. } => {
                special.after_leaving =
                    last_data(&run.flows[0]).map(|last| last.saturating_sub(at));
            }
            Work::ReaderRests { from, until } => {
                special.rest = Some(rest(row, &run.flows[0], from, until));
            }
        }
        special
    }

    pub fn append_to(&self, line: &mut String) {
        let time = |time: Option<Duration>| {
            time.map_or_else(|| "never".to_owned(), |t| format!("{:.0}", ms(t)))
        };
        if !self.followed.is_empty() {
            let times: Vec<String> = self.followed.iter().map(|&t| time(t)).collect();
            _ = write!(line, "  followed after {} ms", times.join(" "));
        }
        if let Some(dark) = &self.dark {
            _ = write!(
                line,
                "  resumed after {} ms, in the dark {:?}, later {:?}",
                time(dark.resumed),
                dark.sent,
                dark.sent_later
            );
        }
        if let Some(fairness) = self.fairness {
            _ = write!(line, "  Jain {fairness:.3}");
        }
        if let Some(slowest) = self.slowest {
            _ = write!(line, ", slowest {slowest:.2}");
        }
        if let Some(rounds) = &self.rounds {
            _ = write!(
                line,
                "  {} rounds: p50 {:.1} p90 {:.1} p99 {:.1} p99.9 {:.1} max {:.1} ms, \
                 {:.2} datagrams each",
                rounds.count,
                ms(rounds.p50),
                ms(rounds.p90),
                ms(rounds.p99),
                ms(rounds.p999),
                ms(rounds.max),
                rounds.datagrams
            );
        }
        if let Some(after) = self.after_leaving {
            _ = write!(line, "  last data {:.1} ms after", ms(after));
        }
        if let Some(rest) = &self.rest {
            _ = write!(
                line,
                "  stopped after {:.0} ms, {} probes, {} beyond, resumed after {} ms",
                ms(rest.stopped),
                rest.probes,
                rest.beyond_window,
                time(rest.resumed)
            );
        }
    }
}

fn followed(row: &Row, run: &Run) -> Vec<Option<Duration>> {
    let mut times = Vec::new();
    for (n, &(changed, change)) in row.changes.iter().enumerate() {
        let Change::BytesPerSecond(rate) = change else {
            continue;
        };
        let next = row.changes.get(n + 1).map_or(row.time, |(at, _)| *at);
        let goal = row::payload_rate(rate) * FOLLOW_WINDOW.as_secs_f64();
        let is_near = |from: Time| {
            let bytes = delivered_between(run, from, from + FOLLOW_WINDOW) as f64;
            (0.8..=1.2).contains(&(bytes / goal))
        };
        let steps = (next - changed).as_nanos() / STEP.as_nanos();
        let mut times_after = (1..=steps as u32).map(|n| changed + n * STEP);
        // A rate that only passes by on its way does not count.
        let near = times_after.find(|&at| is_near(at - FOLLOW_WINDOW) && is_near(at));
        times.push(near.map(|at| at - changed));
    }
    times
}

fn dark(row: &Row, log: &Log) -> Dark {
    let (from, until) = (rows::DARK_FROM, rows::DARK_UNTIL);
    let before = log.samples.iter().rfind(|(at, _)| *at <= from);
    let (rtt, rto) = before.map_or_else(
        || (row.round_trip(), SECOND),
        |(_, stats)| (stats.rtt, stats.rto),
    );
    let first_read = log.read.iter().find(|(at, _)| *at >= until);
    let count = |side: usize, from: Time| {
        let sent = log.sent[side].iter();
        sent.filter(|sent| sent.at >= from && sent.at < until)
            .count()
    };
    Dark {
        resumed: first_read.map(|(at, _)| *at - until),
        sent: [CLIENT, SERVER].map(|side| count(side, from + rtt)),
        sent_later: [CLIENT, SERVER].map(|side| count(side, from + rtt + rto)),
    }
}

/// What each flow got in the last half of the time, when all of them have found their share.
fn shares(row: &Row, run: &Run) -> Vec<f64> {
    let share = |flow: &Log| flow.delivered_between(row.time / 2, row.time) as f64;
    run.flows.iter().map(share).collect()
}

fn fairness(shares: &[f64]) -> f64 {
    let (sum, squares) = shares
        .iter()
        .fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
    sum * sum / (squares * shares.len() as f64)
}

fn rounds(run: &Run) -> Option<Rounds> {
    let rounds = run.flows.iter().flat_map(|flow| &flow.rounds);
    let mut times: Vec<Duration> = rounds.copied().collect();
    times.sort_unstable();
    let datagrams: u64 = run.links.iter().map(|link| link.sent).sum();
    Some(Rounds {
        count: times.len(),
        p50: percentile(&times, 0.5),
        p90: percentile(&times, 0.9),
        p99: percentile(&times, 0.99),
        p999: percentile(&times, 0.999),
        max: *times.last()?,
        datagrams: datagrams as f64 / times.len() as f64,
    })
}

fn last_data(log: &Log) -> Option<Time> {
    let last = log.sent[CLIENT].iter().rfind(|sent| sent.has_data)?;
    Some(last.at)
}

fn rest(row: &Row, log: &Log, from: Time, until: Time) -> Rest {
    let data = log.sent[CLIENT].iter().filter(|sent| sent.has_data);
    let resting: Vec<Time> = data
        .map(|sent| sent.at)
        .filter(|at| (from..until).contains(at))
        .collect();
    let silence = |pair: &[Time]| pair[1] - pair[0] > row.round_trip();
    let last = resting.windows(2).position(silence);
    let last = last.unwrap_or_else(|| resting.len().saturating_sub(1));
    // What was held is read in one go.
    let mut reads = log.read.iter().filter(|(at, _)| *at > until + MS);
    Rest {
        stopped: resting.get(last).map_or(Duration::ZERO, |at| *at - from),
        probes: resting.len() - (last + 1).min(resting.len()),
        beyond_window: log.stats[SERVER].map_or(0, |stats| stats.beyond_window),
        resumed: reads.next().map(|(at, _)| *at - until),
    }
}
