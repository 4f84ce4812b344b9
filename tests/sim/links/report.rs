//! What is worth knowing about a run, computed from its log.

use std::{fmt::Write as _, time::Duration};

use super::{
    lab::{CLIENT, Log, Run, SERVER, Sent},
    rows::{self, MS, Row, SECOND, Work},
};
use crate::{clock::Time, network::Change};

/// A run as numbers. Shares are of one; `None` means that there is nothing to tell.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub name: String,
    /// Bytes delivered, of what the link could have carried without what is lost by chance.
    pub goodput: Option<f64>,
    /// The same in the last half of the time alone.
    pub late_goodput: Option<f64>,
    /// Bytes of packets that the senders sent, for each byte delivered.
    pub wire: f64,
    /// Bytes of packets sent back, for each byte of packets sent.
    pub reverse_bytes: f64,
    /// Packets sent back for each packet sent.
    pub reverse_packets: f64,
    pub retransmitted: Option<f64>,
    /// What the sender knows to have been needless, and what the receiver saw twice.
    pub spurious: Option<f64>,
    pub duplicates: Option<f64>,
    pub queue_drops: u64,
    pub random_drops: u64,
    /// In front of the bottleneck.
    pub queueing_mean: Duration,
    pub queueing_p95: Duration,
    /// Least and smoothed round-trip time, each to the true one.
    pub min_rtt: Option<f64>,
    pub smoothed_rtt: Option<f64>,
    /// Until four fifths of the link's rate were delivered for the first time.
    pub ramp: Option<Duration>,
    pub special: Special,
}

/// What only some rows are about.
#[derive(Clone, Debug, Default)]
pub struct Special {
    /// How long after each change of rate goodput is near the new one.
    pub followed: Vec<Option<Duration>>,
    pub dark: Option<Dark>,
    /// Jain's index of the flows' shares while all of them send.
    pub fairness: Option<f64>,
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
    pub p99: Duration,
    pub max: Duration,
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

/// Windows over which a rate is taken.
const RAMP_WINDOW: Duration = Duration::from_millis(100);
const FOLLOW_WINDOW: Duration = Duration::from_millis(200);
const STEP: Duration = Duration::from_millis(10);

impl Report {
    pub fn new(row: &Row, run: &Run) -> Self {
        let delivered: u64 = run.flows.iter().map(Log::delivered).sum();
        let mut packets = [0usize; 2];
        let mut bytes = [0u64; 2];
        for flow in &run.flows {
            for side in [CLIENT, SERVER] {
                packets[side] += flow.sent[side].len();
                bytes[side] += flow.sent[side].iter().map(|s| s.wire_len).sum::<u64>();
            }
        }
        let bulk = |value: f64| row.capacity().is_some().then_some(value);
        let goodput = |from, to| row.capacity().map(|_| goodput(row, run, from, to));
        let queueing = Queueing::of(run.flows.iter().flat_map(|flow| &flow.sent[CLIENT]));
        let lost: u64 = run.links.iter().map(|link| link.lost).sum();
        let queue_drops: u64 = run.links.iter().map(|link| link.queue_drops).sum();
        let segments = share(run, CLIENT, |stats| stats.segments_sent);
        let of_segments = |count: Option<u64>| Some(count? as f64 / segments?.max(1) as f64);
        Self {
            name: row.name.clone(),
            goodput: goodput(row.measure_from, row.time),
            late_goodput: goodput(row.time / 2, row.time),
            wire: bytes[CLIENT] as f64 / delivered.max(1) as f64,
            reverse_bytes: bytes[SERVER] as f64 / bytes[CLIENT].max(1) as f64,
            reverse_packets: packets[SERVER] as f64 / packets[CLIENT].max(1) as f64,
            retransmitted: of_segments(share(run, CLIENT, |s| s.segments_retransmitted)),
            spurious: of_segments(share(run, CLIENT, |s| s.spurious)),
            duplicates: of_segments(share(run, SERVER, |s| s.duplicates_received)),
            queue_drops,
            random_drops: lost - queue_drops,
            queueing_mean: queueing.mean,
            queueing_p95: queueing.p95,
            min_rtt: min_rtt(row, run),
            smoothed_rtt: smoothed_rtt(row, run),
            ramp: bulk(0.8).and_then(|share| ramp(row, run, share)),
            special: Special::of(row, run),
        }
    }

    pub fn header() -> String {
        format!(
            "{:<24}{:>6}{:>6}{:>7}{:>7}{:>7}{:>7}{:>7}{:>7}{:>8}{:>8}{:>8}{:>8}{:>6}{:>6}{:>7}",
            "row",
            "good",
            "late",
            "wire",
            "rev-B",
            "rev-#",
            "rexmit",
            "spur",
            "dup",
            "q-drop",
            "r-drop",
            "q-mean",
            "q-p95",
            "minRT",
            "sRTT",
            "t80"
        )
    }

    pub fn line(&self) -> String {
        let percent =
            |share: Option<f64>| share.map_or("-".to_owned(), |s| format!("{:.1}", s * 100.0));
        let exact =
            |share: Option<f64>| share.map_or("-".to_owned(), |s| format!("{:.2}%", s * 100.0));
        let ratio = |share: Option<f64>| share.map_or("-".to_owned(), |s| format!("{s:.2}"));
        let millis =
            |time: Option<Duration>| time.map_or("-".to_owned(), |t| format!("{:.1}", ms(t)));
        let mut line = format!(
            "{:<24}{:>6}{:>6}{:>7.3}{:>7.3}{:>7.3}{:>7}{:>7}{:>7}{:>8}{:>8}{:>8}{:>8}{:>6}{:>6}{:>7}",
            self.name,
            percent(self.goodput),
            percent(self.late_goodput),
            self.wire,
            self.reverse_bytes,
            self.reverse_packets,
            exact(self.retransmitted),
            exact(self.spurious),
            exact(self.duplicates),
            self.queue_drops,
            self.random_drops,
            millis(Some(self.queueing_mean)),
            millis(Some(self.queueing_p95)),
            ratio(self.min_rtt),
            ratio(self.smoothed_rtt),
            self.ramp
                .map_or("-".to_owned(), |t| format!("{:.0}", ms(t))),
        );
        self.special.append_to(&mut line);
        line
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A counter of all flows together, if all have counters.
fn share(run: &Run, side: usize, counter: impl Fn(&mkcp::ConnectionStats) -> u64) -> Option<u64> {
    let counts = run
        .flows
        .iter()
        .map(|flow| flow.stats[side].as_ref().map(&counter));
    counts.sum()
}

fn delivered_between(run: &Run, from: Time, to: Time) -> u64 {
    let flows = run.flows.iter();
    flows.map(|flow| flow.delivered_between(from, to)).sum()
}

/// The bytes that the link could carry between two moments, whatever its rate was.
fn carried(row: &Row, from: Time, to: Time) -> f64 {
    let mut bytes = 0.0;
    let mut rate = row.link.rate.map_or(0, |rate| rate.bytes_per_second);
    let mut since = from;
    for &(at, change) in &row.changes {
        let until = at.clamp(since, to);
        bytes += rows::payload_rate(rate) * (until - since).as_secs_f64();
        since = until;
        rate = match change {
            Change::BytesPerSecond(rate) => rate,
            Change::Down => 0,
            Change::Up => row.link.rate.map_or(0, |rate| rate.bytes_per_second),
            _ => rate,
        };
    }
    bytes += rows::payload_rate(rate) * (to - since).as_secs_f64();
    bytes * (1.0 - row.loss)
}

fn goodput(row: &Row, run: &Run, from: Time, to: Time) -> f64 {
    delivered_between(run, from, to) as f64 / carried(row, from, to)
}

#[derive(Default)]
struct Queueing {
    mean: Duration,
    p95: Duration,
}

impl Queueing {
    fn of<'a>(sent: impl Iterator<Item = &'a Sent>) -> Self {
        let mut delays: Vec<Duration> = sent.map(|sent| sent.queueing).collect();
        delays.sort_unstable();
        if delays.is_empty() {
            return Self::default();
        }
        Self {
            mean: delays.iter().sum::<Duration>() / delays.len() as u32,
            p95: percentile(&delays, 0.95),
        }
    }
}

fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let index = (sorted.len() as f64 * share) as usize;
    sorted
        .get(index.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

fn min_rtt(row: &Row, run: &Run) -> Option<f64> {
    let least = run
        .flows
        .iter()
        .map(|flow| Some(flow.stats[CLIENT]?.min_rtt));
    let least = least.min().flatten()?;
    Some(least.as_secs_f64() / row.round_trip().as_secs_f64())
}

/// The mean of the smoothed round-trip time to that of the link and its queues.
fn smoothed_rtt(row: &Row, run: &Run) -> Option<f64> {
    let from = row.time.min(run.end) / 5;
    let window = |at: Time| at >= from && at <= row.time;
    let mut sum = 0.0;
    let mut count = 0;
    for flow in &run.flows {
        for (_, stats) in flow.samples.iter().filter(|(at, _)| window(*at)) {
            sum += stats.rtt.as_secs_f64();
            count += 1;
        }
    }
    if count == 0 {
        return None;
    }
    let queueing = |side: usize| {
        let sent = run.flows.iter().flat_map(|flow| &flow.sent[side]);
        Queueing::of(sent.filter(|sent| window(sent.at))).mean
    };
    let truth = row.round_trip() + queueing(CLIENT) + queueing(SERVER);
    Some(sum / f64::from(count) / truth.as_secs_f64())
}

fn ramp(row: &Row, run: &Run, share: f64) -> Option<Duration> {
    let start = row.flows[0].start;
    let mut at = start + RAMP_WINDOW;
    while at <= row.time {
        let from = at - RAMP_WINDOW;
        if delivered_between(run, from, at) as f64 >= share * carried(row, from, at) {
            return Some(at - start);
        }
        at += STEP;
    }
    None
}

impl Special {
    fn of(row: &Row, run: &Run) -> Self {
        let mut special = Self {
            followed: followed(row, run),
            ..Self::default()
        };
        let is_down = |(_, change): &(Time, Change)| matches!(change, Change::Down);
        if row.changes.iter().any(is_down) {
            special.dark = Some(dark(row, &run.flows[0]));
        }
        if run.flows.len() > 1 {
            special.fairness = Some(fairness(row, run));
        }
        match row.flows[0].work {
            Work::Bulk => {}
            Work::Rounds { .. } => special.rounds = rounds(&run.flows[0]),
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

    fn append_to(&self, line: &mut String) {
        let time =
            |time: Option<Duration>| time.map_or("never".to_owned(), |t| format!("{:.0}", ms(t)));
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
        if let Some(rounds) = &self.rounds {
            _ = write!(
                line,
                "  {} rounds: p50 {:.1} p99 {:.1} max {:.1} ms",
                rounds.count,
                ms(rounds.p50),
                ms(rounds.p99),
                ms(rounds.max)
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
        let goal = rows::payload_rate(rate) * FOLLOW_WINDOW.as_secs_f64();
        let mut at = changed + STEP;
        let near = loop {
            if at > next {
                break None;
            }
            let bytes = delivered_between(run, at - FOLLOW_WINDOW, at) as f64;
            if (0.8..=1.2).contains(&(bytes / goal)) {
                break Some(at - changed);
            }
            at += STEP;
        };
        times.push(near);
    }
    times
}

fn dark(row: &Row, log: &Log) -> Dark {
    let (from, until) = (rows::DARK_FROM, rows::DARK_UNTIL);
    let before = log.samples.iter().rfind(|(at, _)| *at <= from);
    let (rtt, rto) = before.map_or((row.round_trip(), SECOND), |(_, s)| (s.rtt, s.rto));
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

/// In the last half of the time, when all flows have found their share.
fn fairness(row: &Row, run: &Run) -> f64 {
    let shares = run
        .flows
        .iter()
        .map(|flow| flow.delivered_between(row.time / 2, row.time) as f64);
    let (sum, squares) = shares.fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
    sum * sum / (squares * run.flows.len() as f64)
}

fn rounds(log: &Log) -> Option<Rounds> {
    let mut times = log.rounds.clone();
    times.sort_unstable();
    Some(Rounds {
        count: times.len(),
        p50: percentile(&times, 0.5),
        p99: percentile(&times, 0.99),
        max: *times.last()?,
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
    let last = last.unwrap_or(resting.len().saturating_sub(1));
    // What was held is read in one go.
    let mut reads = log.read.iter().filter(|(at, _)| *at > until + MS);
    Rest {
        stopped: resting.get(last).map_or(Duration::ZERO, |at| *at - from),
        probes: resting.len() - (last + 1).min(resting.len()),
        beyond_window: log.stats[SERVER].map_or(0, |stats| stats.beyond_window),
        resumed: reads.next().map(|(at, _)| *at - until),
    }
}
