//! What is worth knowing about a run, computed from its log.

use std::time::Duration;

use super::{
    lab::{CLIENT, Log, Run, SAMPLE, SERVER, Sent},
    row::{self, Row},
    special::Special,
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

/// Over how long a rate is taken, and how finely it is looked for.
const RAMP_WINDOW: Duration = Duration::from_millis(100);
pub const STEP: Duration = Duration::from_millis(10);

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
        let percent = |share: Option<f64>| or_dash(share.map(|s| format!("{:.1}", s * 100.0)));
        let exact = |share: Option<f64>| or_dash(share.map(|s| format!("{:.2}%", s * 100.0)));
        let ratio = |share: Option<f64>| or_dash(share.map(|s| format!("{s:.2}")));
        let millis = |time: Duration| format!("{:.1}", ms(time));
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
            millis(self.queueing_mean),
            millis(self.queueing_p95),
            ratio(self.min_rtt),
            ratio(self.smoothed_rtt),
            or_dash(self.ramp.map(|t| format!("{:.0}", ms(t)))),
        );
        self.special.append_to(&mut line);
        line
    }
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

pub fn ms(time: Duration) -> f64 {
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

pub fn delivered_between(run: &Run, from: Time, to: Time) -> u64 {
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
        bytes += row::payload_rate(rate) * (until - since).as_secs_f64();
        since = until;
        rate = match change {
            Change::BytesPerSecond(rate) => rate,
            Change::Down => 0,
            Change::Up => row.link.rate.map_or(0, |rate| rate.bytes_per_second),
            _ => rate,
        };
    }
    bytes += row::payload_rate(rate) * (to - since).as_secs_f64();
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
        let mut delays: Vec<Duration> = sent.filter_map(|sent| sent.queueing).collect();
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

pub fn percentile(sorted: &[Duration], share: f64) -> Duration {
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

/// The mean of the smoothed round-trip time to that of the link with its queues.
fn smoothed_rtt(row: &Row, run: &Run) -> Option<f64> {
    let queues = [CLIENT, SERVER].map(|side| queueing_by_sample(run, side));
    let from = row.time.min(run.end) / 5;
    let (mut smoothed, mut truth) = (Duration::ZERO, Duration::ZERO);
    for (at, stats) in run.flows.iter().flat_map(|flow| &flow.samples) {
        let index = (at.as_nanos() / SAMPLE.as_nanos()) as usize;
        let [Some(forth), back] = queues
            .each_ref()
            .map(|queue| queue.get(index).copied().flatten())
        else {
            continue;
        };
        if (from..=row.time).contains(at) {
            smoothed += stats.rtt;
            truth += row.round_trip() + forth + back.unwrap_or_default();
        }
    }
    (!truth.is_zero()).then(|| smoothed.as_secs_f64() / truth.as_secs_f64())
}

/// The mean queueing delay in the time before each sample, if anything was sent.
fn queueing_by_sample(run: &Run, side: usize) -> Vec<Option<Duration>> {
    let samples = (run.end.as_nanos() / SAMPLE.as_nanos()) as usize + 2;
    let mut sums = vec![(Duration::ZERO, 0u32); samples];
    for sent in run.flows.iter().flat_map(|flow| &flow.sent[side]) {
        let index = (sent.at.as_nanos() / SAMPLE.as_nanos()) as usize + 1;
        if let (Some(queueing), Some(sum)) = (sent.queueing, sums.get_mut(index)) {
            *sum = (sum.0 + queueing, sum.1 + 1);
        }
    }
    let mean = |(sum, count)| (count > 0).then(|| sum / count);
    sums.into_iter().map(mean).collect()
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
