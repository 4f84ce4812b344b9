//! mkcp, by its example `perf`.

use bench_common::figures::percentile;
use serde_json::Value;

use super::{Commands, OUTLIVE, Output, Run, Transport, tcp, word};
use crate::{
    figures::{Figures, Measure},
    netlab::Report,
    rows::Task,
};

/// Where the server listens.
pub(super) const PORT: u16 = 9000;
/// Datagrams are sealed, as they should be in real life.
pub(super) const SEED: &str = "links";
/// When a sender should have noticed that the link is dead.
const NOTICE: f64 = 0.5;

pub(super) fn commands(run: &Run<'_>) -> Commands {
    match run.row.task {
        Task::Ping { .. } => Commands {
            server: format!("exec {}", serve(run, "echo")),
            client: ping(run),
            tcp: None,
        },
        Task::Bulk { .. } => Commands {
            server: format!("exec {}", serve(run, "sink")),
            client: bulk(run),
            tcp: None,
        },
        Task::BesideTcp => Commands {
            server: format!(
                "{OUTLIVE}; {} & {}; wait",
                tcp::sink(run, "beside.json"),
                serve(run, "sink")
            ),
            client: format!(
                "{} & {}; code=$?; wait; exit $code",
                tcp::send(run, "\"$NETLAB_SERVER\""),
                bulk(run)
            ),
            tcp: Some("bbr"),
        },
    }
}

/// The server.
pub(super) fn serve(run: &Run<'_>, mode: &str) -> String {
    format!(
        "{} serve --listen 0.0.0.0:{PORT} --mode {mode} --json{} > server.json",
        word(run.perf),
        settings(run)
    )
}

/// The client that sends as much as it can.
pub(super) fn bulk(run: &Run<'_>) -> String {
    let streams = match run.row.task {
        Task::Bulk { streams } => streams,
        _ => 1,
    };
    let interval = if run.row.link.darkness().is_some() {
        5
    } else {
        20
    };
    format!(
        "{} bulk --connect \"$NETLAB_SERVER\":{PORT} --seconds {} --skip {} --streams {streams} \
         --interval {interval} --json{} > client.json",
        word(run.perf),
        run.seconds,
        run.skip,
        settings(run)
    )
}

fn ping(run: &Run<'_>) -> String {
    let (rounds, streams) = match run.row.task {
        Task::Ping { rounds, streams } => (rounds, streams),
        _ => (1, 1),
    };
    format!(
        "{} ping --connect \"$NETLAB_SERVER\":{PORT} --rounds {rounds} --streams {streams} \
         --json{} > client.json",
        word(run.perf),
        settings(run)
    )
}

/// Options for either end.
fn settings(run: &Run<'_>) -> String {
    let uplink = run.row.link.capacity_mib().unwrap_or(5);
    let congestion = match run.transport {
        Transport::MkcpFixed => format!(" --congestion fixed --uplink {uplink}"),
        Transport::MkcpLossRate => format!(" --congestion loss-rate --uplink {uplink}"),
        _ => String::new(),
    };
    format!(" --seed {SEED}{congestion}")
}

/// What the sending end says.
pub(super) fn figures(run: &Run<'_>, output: &Output, report: &Report) -> Figures {
    let mut figures = Figures::default();
    let client = &output.client;
    let number = |name: &str| client[name].as_f64();
    if let Task::Ping { .. } = run.row.task {
        let milliseconds = |name: &str| number(name).map(|us| us / 1e3);
        figures.set_some(Measure::Median, milliseconds("p50_us"));
        figures.set_some(Measure::P99, milliseconds("p99_us"));
        figures.set_some(Measure::Longest, milliseconds("max_us"));
        report.tell(None, &mut figures);
        return figures;
    }
    let written = number("bytes_written").zip(number("send_queue"));
    let mut payload = written.map(|(written, queued)| written - queued);
    if run.row.task == Task::BesideTcp {
        payload = None; // The link was shared.
        let beside = output.beside["goodput_mb_s"].as_f64();
        figures.set_some(Measure::Beside, beside);
    }
    figures.set_some(Measure::Goodput, number("goodput_mb_s"));
    figures.set_some(Measure::Jain, number("jain"));
    report.tell(payload, &mut figures);
    let timeline = Timeline::read(&client["timeline"]);
    let trip = run.row.link.round_trip().as_secs_f64() * 1e3;
    figures.set_some(Measure::QueueDelay, timeline.queue_delay(trip));
    if let Some((start, end)) = run.row.link.darkness() {
        figures.set_some(Measure::Resume, timeline.resume(end));
        figures.set(Measure::Dark, timeline.datagrams(start + NOTICE, end));
    }
    figures
}

/// What the sender knew while it ran.
struct Timeline(Vec<Line>);

/// One interval.
struct Line {
    /// Its end, in seconds.
    at: f64,
    bytes: f64,
    /// In ms.
    rtt: f64,
    datagrams: f64,
}

impl Timeline {
    fn read(value: &Value) -> Self {
        let line = |row: &Value| {
            Some(Line {
                at: row[0].as_f64()?,
                bytes: row[1].as_f64()?,
                rtt: row[2].as_f64()? / 1e3,
                datagrams: row[3].as_f64()?,
            })
        };
        let rows = value.as_array().into_iter().flatten();
        Self(rows.filter_map(line).collect())
    }

    /// 95th percentile of what was added to the round trip, in ms.
    fn queue_delay(&self, trip: f64) -> Option<f64> {
        let trips = self.0.iter().map(|line| line.rtt);
        let known = trips.filter(|&rtt| rtt > 0.0).collect();
        percentile(known, 0.95).map(|rtt| rtt - trip)
    }

    /// How long after this time something was delivered, in ms.
    fn resume(&self, end: f64) -> Option<f64> {
        let mut lines = self.0.iter();
        let first = lines.find(|line| line.at > end && line.bytes > 0.0)?;
        Some((first.at - end) * 1e3)
    }

    /// Datagrams sent in the intervals between two times.
    fn datagrams(&self, from: f64, to: f64) -> f64 {
        let pairs = self.0.iter().zip(self.0.iter().skip(1));
        let within = pairs.filter(|(before, line)| before.at >= from && line.at <= to);
        within.map(|(_, line)| line.datagrams).sum()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_blackout_is_seen_in_the_timeline() {
        let timeline = Timeline::read(&json!([
            [1.0, 500, 50_000, 40, 300_000],
            [2.0, 10, 60_000, 20, 300_000],
            [3.0, 0, 60_000, 2, 300_000],
            [4.0, 0, 60_000, 1, 300_000],
            [4.2, 7, 55_000, 9, 300_000],
        ]));
        assert_eq!(timeline.datagrams(2.0, 4.0), 3.0);
        let resume = timeline.resume(4.0).unwrap();
        assert!((resume - 200.0).abs() < 1e-6, "{resume}");
        assert_eq!(timeline.resume(5.0), None);
        assert_eq!(timeline.queue_delay(50.0), Some(10.0));
        assert_eq!(Timeline::read(&Value::Null).queue_delay(50.0), None);
    }
}
