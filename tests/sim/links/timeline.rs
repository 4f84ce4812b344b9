//! A run from moment to moment, for somebody who wonders why.

use super::{
    lab::{CLIENT, Run, SAMPLE},
    row::Row,
};
use crate::clock::Time;

/// Rates in Mbit/s of payload and of packets, delays in milliseconds, windows in kilobytes.
pub fn print(row: &Row, run: &Run) {
    for (n, flow) in run.flows.iter().enumerate() {
        println!(
            "  flow {n}: {:>6}{:>8}{:>8}{:>8}{:>9}{:>9}{:>8}{:>8}{:>8}{:>8}{:>8}",
            "ms",
            "good",
            "sent",
            "queue",
            "cwnd",
            "flight",
            "pacing",
            "srtt",
            "rexmit",
            "timeout",
            "spur"
        );
        let mut from = Time::ZERO;
        while from < row.time {
            let to = from + SAMPLE;
            let rate = |bytes: u64| bytes as f64 * 8e-6 / SAMPLE.as_secs_f64();
            let sent: Vec<_> = flow.sent[CLIENT]
                .iter()
                .filter(|sent| sent.at >= from && sent.at < to)
                .collect();
            let queue = sent.iter().filter_map(|sent| sent.queueing).max();
            let queue = queue.unwrap_or_default().as_secs_f64() * 1000.0;
            print!(
                "          {:>6}{:>8.1}{:>8.1}{queue:>8.1}",
                to.as_millis(),
                rate(flow.delivered_between(from, to)),
                rate(sent.iter().map(|sent| sent.wire_len).sum()),
            );
            if let Some((_, stats)) = flow.samples.iter().find(|(at, _)| *at == to) {
                print!(
                    "{:>9.1}{:>9.1}{:>8.1}{:>8.1}{:>8}{:>8}{:>8}",
                    stats.congestion_window as f64 / 1000.0,
                    stats.bytes_in_flight as f64 / 1000.0,
                    stats.pacing_rate as f64 * 8e-6,
                    stats.rtt.as_secs_f64() * 1000.0,
                    stats.segments_retransmitted,
                    stats.retransmits_timeout,
                    stats.spurious
                );
            }
            println!();
            from = to;
        }
    }
}
