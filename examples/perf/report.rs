//! What a run found, as one JSON object or as a few lines of text.

use std::{collections::BTreeMap, io, time::Duration};

use mkcp::{ConnectionStats, WakeStats};
use serde_json::{Map, Value, json};

use crate::{process, threads::Threads, transport};

/// How many datagrams still came after a stream was told to stop.
pub(crate) const AFTER_CANCEL: &str = "datagrams_after_cancel";

/// The findings of a whole run, collected stream by stream.
#[derive(Default)]
pub(crate) struct Report {
    bytes: u64,
    elapsed: Duration,
    /// Time and bytes at the beginning that do not count as goodput.
    skipped: (Duration, u64),
    errors: u64,
    latencies: BTreeMap<&'static str, Vec<Duration>>,
    statistics: BTreeMap<&'static str, u64>,
    wakes: BTreeMap<&'static str, u64>,
    /// Taken while the threads of mkcp still ran.
    threads: Threads,
    more: Map<String, Value>,
}

impl Report {
    /// Payload bytes that count as moved.
    pub(crate) fn add_bytes(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// The time in which they were moved.
    pub(crate) fn set_elapsed(&mut self, elapsed: Duration) {
        self.elapsed = elapsed;
    }

    /// The bytes that were moved in the first while, which does not count as goodput.
    pub(crate) fn skip(&mut self, time: Duration, bytes: u64) {
        self.skipped = (time, bytes);
    }

    /// A stream or a round that failed.
    pub(crate) fn add_error(&mut self, error: &io::Error) {
        log::warn!("{error}");
        self.errors += 1;
    }

    /// One measured duration. The main one of a command has the prefix `""`.
    pub(crate) fn add_latency(&mut self, prefix: &'static str, latency: Duration) {
        self.latencies.entry(prefix).or_default().push(latency);
    }

    /// Something that is counted beside the statistics of the streams.
    pub(crate) fn add_count(&mut self, name: &'static str, count: u64) {
        *self.statistics.entry(name).or_default() += count;
    }

    /// What one stream has done. The report shows the sums over all streams.
    pub(crate) fn add_statistics(&mut self, stats: &ConnectionStats) {
        for (name, value) in statistics(stats) {
            self.add_count(name, value);
        }
        for (name, value) in wakes(&stats.wakes) {
            *self.wakes.entry(name).or_default() += value;
        }
    }

    /// Anything that only one command knows.
    pub(crate) fn insert(&mut self, name: &str, value: impl Into<Value>) {
        self.more.insert(name.to_owned(), value.into());
    }

    /// Processor times, taken before the threads of mkcp ended with the last stream or endpoint.
    pub(crate) fn set_threads(&mut self, threads: Threads) {
        self.threads = threads;
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn errors(&self) -> u64 {
        self.errors
    }

    /// Everything of another report, but for its time.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.errors += other.errors;
        for (prefix, latencies) in other.latencies {
            self.latencies.entry(prefix).or_default().extend(latencies);
        }
        for (name, value) in other.statistics {
            self.add_count(name, value);
        }
        for (name, value) in other.wakes {
            *self.wakes.entry(name).or_default() += value;
        }
        self.more.extend(other.more);
    }

    pub(crate) fn print(&self, as_json: bool) -> io::Result<()> {
        transport::print(match as_json {
            true => format!("{}\n", Value::Object(self.to_json())),
            false => self.to_text(),
        })
    }

    fn to_json(&self) -> Map<String, Value> {
        let mut object = self.more.clone();
        let mut insert = |name: &str, value: Value| object.insert(name.to_owned(), value);
        insert("bytes", self.bytes.into());
        insert("seconds", json!(self.elapsed.as_secs_f64()));
        insert("goodput_mb_s", json!(self.goodput()));
        insert("errors", self.errors.into());
        insert("cpu_s", json!(process::cpu_time().as_secs_f64()));
        insert("max_rss_kib", process::max_rss_kib().into());
        for (prefix, latencies) in &self.latencies {
            for (name, latency) in percentiles(latencies) {
                insert(&format!("{prefix}{name}_us"), json!(microseconds(latency)));
            }
        }
        for (name, value) in &self.statistics {
            insert(name, (*value).into());
        }
        insert("wakes", json!(self.wakes));
        if let Some(threads) = self.threads.to_json() {
            insert("threads", threads);
        }
        object
    }

    fn to_text(&self) -> String {
        let of = |name| self.statistics.get(name).copied().unwrap_or(0);
        let mut text = format!(
            "{} bytes in {:.3} s: {:.2} MB/s, {} errors\n",
            self.bytes,
            self.elapsed.as_secs_f64(),
            self.goodput(),
            self.errors
        );
        for (prefix, latencies) in &self.latencies {
            text += &format!("{} times:", latencies.len());
            for (name, latency) in percentiles(latencies) {
                text += &format!(" {prefix}{name} {:.1} us", microseconds(latency));
            }
            text.push('\n');
        }
        text += &format!(
            "{} of {} segments retransmitted, {} bytes on the wire for {} written\n",
            of("segments_retransmitted"),
            of("segments_sent"),
            of("bytes_on_wire_sent"),
            of("bytes_written"),
        );
        if let Some(count) = self.statistics.get(AFTER_CANCEL) {
            text += &format!("{count} datagrams came after the cancel\n");
        }
        for (name, value) in self
            .more
            .iter()
            .filter(|(_, value)| !value.is_array() && !value.is_object())
        {
            text += &format!("{name} {value}\n");
        }
        if let Some(line) = self.threads.to_text() {
            text += &line;
            text.push('\n');
        }
        text + &format!(
            "cpu {:.3} s, at most {} KiB resident\n",
            process::cpu_time().as_secs_f64(),
            process::max_rss_kib()
        )
    }

    /// Megabytes (10^6) per second, after what is skipped.
    fn goodput(&self) -> f64 {
        let (time, bytes) = self.skipped;
        match self.elapsed.saturating_sub(time).as_secs_f64() {
            0.0 => 0.0,
            seconds => self.bytes.saturating_sub(bytes) as f64 / 1e6 / seconds,
        }
    }
}

fn microseconds(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e3
}

/// By nearest rank. There is at least one latency.
fn percentiles(latencies: &[Duration]) -> Vec<(&'static str, Duration)> {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    let at = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1];
    vec![
        ("min", at(0)),
        ("p50", at(50)),
        ("p99", at(99)),
        ("max", at(100)),
    ]
}

/// What a connection has done, by name.
pub(crate) fn statistics(stats: &ConnectionStats) -> impl Iterator<Item = (&'static str, u64)> {
    let micros = |duration: Duration| duration.as_micros() as u64;
    [
        ("rtt_us", micros(stats.rtt)),
        ("min_rtt_us", micros(stats.min_rtt)),
        ("rtt_variation_us", micros(stats.rtt_variation)),
        ("rto_us", micros(stats.rto)),
        ("congestion_window", stats.congestion_window),
        ("bytes_in_flight", stats.bytes_in_flight),
        ("pacing_rate", stats.pacing_rate),
        ("bytes_written", stats.bytes_written),
        ("bytes_read", stats.bytes_read),
        ("datagrams_sent", stats.datagrams_sent),
        ("datagrams_received", stats.datagrams_received),
        ("bytes_on_wire_sent", stats.bytes_on_wire_sent),
        ("bytes_on_wire_received", stats.bytes_on_wire_received),
        ("segments_sent", stats.segments_sent),
        ("segments_retransmitted", stats.segments_retransmitted),
        ("retransmits_fast", stats.retransmits_fast),
        ("retransmits_timeout", stats.retransmits_timeout),
        ("spurious", stats.spurious),
        ("duplicates_received", stats.duplicates_received),
        ("beyond_window", stats.beyond_window),
        ("over_memory", stats.over_memory),
        ("reflected", stats.reflected),
        ("acks_sent", stats.acks_sent),
        ("acks_received", stats.acks_received),
        ("send_queue", stats.send_queue),
        ("receive_queue", stats.receive_queue),
        ("peer_window", stats.peer_window),
    ]
    .into_iter()
}

pub(crate) fn wakes(wakes: &WakeStats) -> impl Iterator<Item = (&'static str, u64)> {
    [
        ("datagram", wakes.datagram),
        ("application", wakes.application),
        ("loss", wakes.loss),
        ("pacing", wakes.pacing),
        ("delayed", wakes.delayed),
        ("keepalive", wakes.keepalive),
        ("lifetime", wakes.lifetime),
    ]
    .into_iter()
}
