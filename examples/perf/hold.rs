//! What it costs to hold streams that do nothing.

use std::{collections::BTreeMap, time::Instant};

use mkcp::v2ray::MaybeTlsStream;
use serde_json::{Value, json};

use crate::{process, report, threads::Threads};

/// Everything so far, at one moment. Looking at the streams costs time too, which is not to count:
/// the beginning of a window is looked at by [`first`](Self::first), its end by
/// [`last`](Self::last).
#[derive(Clone)]
pub(crate) struct Snapshot {
    at: Instant,
    threads: Threads,
    wakes: BTreeMap<&'static str, u64>,
    rss_kib: u64,
    unread: u64,
}

impl Snapshot {
    pub(crate) fn first(streams: &[MaybeTlsStream]) -> Self {
        let (wakes, unread) = look_at(streams);
        Self {
            wakes,
            unread,
            ..Self::last(&[])
        }
    }

    pub(crate) fn last(streams: &[MaybeTlsStream]) -> Self {
        let (at, threads) = (Instant::now(), Threads::now());
        let rss_kib = process::rss_kib();
        let (wakes, unread) = look_at(streams);
        Self {
            at,
            threads,
            wakes,
            rss_kib,
            unread,
        }
    }

    pub(crate) fn rss_kib(&self) -> u64 {
        self.rss_kib
    }

    /// Bytes that wait to be read: somebody does not merely hold the streams.
    pub(crate) fn unread(&self) -> u64 {
        self.unread
    }

    /// Processor time of all threads since.
    pub(crate) fn cpu_since(&self, before: &Self) -> f64 {
        self.threads.since(&before.threads).all().as_secs_f64()
    }

    /// What happened since.
    pub(crate) fn since(&self, before: &Self) -> Value {
        let wakes: BTreeMap<_, _> = self
            .wakes
            .iter()
            .map(|(name, count)| (*name, count - before.wakes.get(name).copied().unwrap_or(0)))
            .collect();
        let threads = self.threads.since(&before.threads);
        json!({
            "seconds": (self.at - before.at).as_secs_f64(),
            "cpu_s": threads.all().as_secs_f64(),
            "threads": threads.to_json(),
            "rss_kib": self.rss_kib,
            "wakes": wakes,
        })
    }
}

/// The wakes of all streams together, and the bytes that wait to be read.
fn look_at(streams: &[MaybeTlsStream]) -> (BTreeMap<&'static str, u64>, u64) {
    let (mut wakes, mut unread) = (BTreeMap::new(), 0);
    for stream in streams {
        let stats = stream.get_ref().stats();
        unread += stats.receive_queue;
        for (name, count) in report::wakes(&stats.wakes) {
            *wakes.entry(name).or_default() += count;
        }
    }
    (wakes, unread)
}
