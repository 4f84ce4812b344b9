//! How the streams get on, watched while they run.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use mkcp::{ConnectionStats, v2ray::MaybeTlsStream};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::report::Report;

const SECOND: Duration = Duration::from_secs(1);

/// The streams that run, and when to look at them.
pub(super) struct Progress {
    started: Instant,
    skip: Option<Duration>,
    interval: Option<Duration>,
    /// Whether to say every second how it goes.
    talkative: bool,
    /// Each with whether it reads.
    streams: Mutex<Vec<(MaybeTlsStream, bool)>>,
}

/// What was seen.
#[derive(Default)]
pub(super) struct Samples {
    /// Time and bytes of the part that does not count.
    skip: Option<(Duration, u64)>,
    /// The timeline, if there is to be one.
    timeline: Option<Vec<Sample>>,
}

/// All streams together at a point in time.
#[derive(Clone, Copy, Default)]
struct Sample {
    at: Duration,
    delivered: u64,
    datagrams: u64,
    rtt: Duration,
    rto: Duration,
}

/// Bytes that have reached the other end for sure.
pub(super) fn delivered(stats: &ConnectionStats, reverse: bool) -> u64 {
    match reverse {
        true => stats.bytes_read,
        false => stats.bytes_written.saturating_sub(stats.send_queue),
    }
}

impl Progress {
    pub(super) fn new(
        started: Instant,
        skip: Option<Duration>,
        interval: Option<u64>,
        talkative: bool,
    ) -> Self {
        Self {
            started,
            skip,
            interval: interval.map(Duration::from_millis),
            talkative,
            streams: Mutex::default(),
        }
    }

    /// Watches a stream too.
    pub(super) fn add(&self, stream: MaybeTlsStream, reverse: bool) {
        self.streams.lock().push((stream, reverse));
    }

    /// Looks at the streams whenever it is time, until all have ended.
    pub(super) fn watch(&self, ended: Receiver<()>) -> Samples {
        let mut samples = Samples {
            timeline: self.interval.map(|_| Vec::new()),
            ..Samples::default()
        };
        let mut told = Sample::default();
        let mut skip = self.skip;
        let mut row = self.interval;
        let mut line = self.talkative.then_some(SECOND);
        loop {
            let next = [skip, row, line].into_iter().flatten().min();
            let now = self.started.elapsed();
            let wait = next.unwrap_or(Duration::MAX).saturating_sub(now);
            if let Err(RecvTimeoutError::Disconnected) = ended.recv_timeout(wait) {
                return samples;
            }
            let sample = self.look();
            let due = |time: &mut Duration| *time <= sample.at;
            if let Some(time) = skip.take_if(due) {
                samples.skip = Some((time, sample.delivered));
            }
            if let (Some(_), Some(rows)) = (row.take_if(due), &mut samples.timeline) {
                rows.push(sample);
                row = self.interval.map(|every| next_multiple(every, sample.at));
            }
            if line.take_if(due).is_some() {
                sample.tell(&told);
                told = sample;
                line = Some(next_multiple(SECOND, sample.at));
            }
        }
    }

    fn look(&self) -> Sample {
        let streams = self.streams.lock();
        let mut sample = Sample {
            at: self.started.elapsed(),
            ..Sample::default()
        };
        for (stream, reverse) in streams.iter() {
            let stats = stream.get_ref().stats();
            sample.delivered += delivered(&stats, *reverse);
            sample.datagrams += stats.datagrams_sent;
            sample.rtt = sample.rtt.max(stats.rtt);
            sample.rto = sample.rto.max(stats.rto);
        }
        sample
    }
}

/// The first multiple of an interval that is still to come.
fn next_multiple(every: Duration, now: Duration) -> Duration {
    let passed = now.as_nanos() / every.as_nanos();
    every.saturating_mul(u32::try_from(passed + 1).unwrap_or(u32::MAX))
}

impl Sample {
    /// One line about the time since another sample.
    fn tell(&self, before: &Self) {
        let bytes = self.delivered.saturating_sub(before.delivered) as f64;
        let seconds = (self.at - before.at).as_secs_f64();
        eprintln!(
            "{:.0} s: {:.2} MB/s, round trip {:.1} ms",
            self.at.as_secs_f64(),
            bytes / 1e6 / seconds,
            self.rtt.as_secs_f64() * 1e3
        );
    }

    fn row(&self, before: &Self) -> Value {
        json!([
            self.at.as_secs_f64(),
            self.delivered.saturating_sub(before.delivered),
            self.rtt.as_micros() as u64,
            self.datagrams.saturating_sub(before.datagrams),
            self.rto.as_micros() as u64,
        ])
    }
}

impl Samples {
    /// Adds to a report what was seen until the streams were done.
    pub(super) fn tell(self, report: &mut Report, finished: Duration) {
        if let Some((time, bytes)) = self.skip {
            report.skip(time, bytes);
        }
        let Some(mut rows) = self.timeline else {
            return;
        };
        rows.retain(|sample| sample.at <= finished);
        let before = [Sample::default()].into_iter().chain(rows.iter().copied());
        let lines = rows.iter().zip(before);
        let timeline: Vec<_> = lines.map(|(sample, before)| sample.row(&before)).collect();
        report.insert("timeline", timeline);
    }
}
