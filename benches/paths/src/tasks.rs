//! What transports are made to do, and what the answers of their ends say.

use bench_common::figures;
use clap::ValueEnum;
use serde_json::Value;

use crate::measures::{Figures, Measure};

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Task {
    /// Throughput of one stream
    Bulk,
    /// Throughput of 64 streams
    #[value(name = "bulk-64")]
    Bulk64,
    /// Round trips of 64 bytes, one after the other
    Echo,
    /// Round trips of 64 bytes on 64 streams
    #[value(name = "echo-64")]
    Echo64,
    /// Connections for one byte, one after the other
    Connect,
    /// The same, 50 at once
    #[value(name = "connect-50")]
    Connect50,
}

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bulk,
    Ping,
    Connect,
}

impl Task {
    /// The name on the command line and in results.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Bulk | Self::Bulk64 => Kind::Bulk,
            Self::Echo | Self::Echo64 => Kind::Ping,
            Self::Connect | Self::Connect50 => Kind::Connect,
        }
    }

    /// Streams, or connections, at the same time.
    pub(crate) fn streams(self) -> u32 {
        match self {
            Self::Bulk | Self::Echo | Self::Connect => 1,
            Self::Bulk64 | Self::Echo64 => 64,
            Self::Connect50 => 50,
        }
    }

    /// Whether it matters over how many sockets streams go.
    pub(crate) fn depends_on_sockets(self) -> bool {
        self.kind() == Kind::Connect || self.streams() > 1
    }

    /// Whether it is many small things, for which threads would be woken one by one.
    pub(crate) fn suits_few_threads(self) -> bool {
        matches!(self, Self::Echo64 | Self::Connect | Self::Connect50)
    }

    /// Rounds, on each stream, or connections in all: no transport does more, so that the fast
    /// ones take about so many seconds. Those of the slow end by the time.
    pub(crate) fn rounds(self, seconds: f64) -> u64 {
        let in_a_second = match self {
            Self::Bulk | Self::Bulk64 => 0.0,
            Self::Echo => 10_000.0,
            Self::Echo64 => 1000.0,
            Self::Connect | Self::Connect50 => 2000.0,
        };
        (in_a_second * seconds).ceil() as u64
    }

    /// The window of KCP that was best for it: one stream moves less with 1024 datagrams, and 64
    /// streams move less in all with 1024 or 2048 each.
    pub(crate) fn kcp_window(self) -> u16 {
        match self.streams() {
            1 => 2048,
            _ => 256,
        }
    }

    /// What the objects of both ends say.
    pub(crate) fn figures(self, client: &Value, server: &Value) -> Figures {
        let mut figures = Figures::default();
        let number = |name: &str| client[name].as_f64();
        figures.set_some(Measure::Errors, number("errors"));
        match self.kind() {
            Kind::Bulk => {
                figures.set_some(Measure::Goodput, number("goodput_mb_s"));
                let cpu = number("cpu_s").zip(server["cpu_s"].as_f64());
                // A server of mkcp also takes what is on its way when the time is over.
                let bytes = server["bytes"].as_f64().or_else(|| number("bytes"));
                let bytes = bytes.filter(|&bytes| bytes > 0.0);
                let cost = cpu.zip(bytes).map(|((a, b), bytes)| (a + b) * GIB / bytes);
                figures.set_some(Measure::Cpu, cost);
                figures.set_some(Measure::Slowest, slowest(&client["per_stream"]));
            }
            Kind::Ping | Kind::Connect => {
                figures.set_some(Measure::Median, number("p50_us"));
                figures.set_some(Measure::P99, number("p99_us"));
                let seconds = number("seconds").filter(|&seconds| seconds > 0.0);
                let rate = self.done(client).zip(seconds);
                figures.set_some(Measure::Rate, rate.map(|(done, seconds)| done / seconds));
            }
        }
        figures
    }

    /// Rounds that succeeded. `perf` counts their bytes: 64 for a round, one for a connection.
    fn done(self, client: &Value) -> Option<f64> {
        let size = match self.kind() {
            Kind::Ping => 64.0,
            _ => 1.0,
        };
        let rounds = client["rounds"].as_f64();
        rounds.or_else(|| Some(client["bytes"].as_f64()? / size))
    }
}

/// As a share of the mean; none if there are not several streams, or nothing came.
fn slowest(each: &Value) -> Option<f64> {
    let each: Vec<_> = each.as_array()?.iter().filter_map(Value::as_f64).collect();
    let mean = each.iter().sum::<f64>() / each.len() as f64;
    let least = figures::percentile(each.clone(), 0.0)?;
    (each.len() > 1 && mean > 0.0).then(|| least / mean)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_ends_pay_for_a_gib() {
        let client = json!({"bytes": GIB / 2.0, "goodput_mb_s": 5.0, "cpu_s": 1.0, "errors": 0,
            "per_stream": [3, 1]});
        let figures = Task::Bulk64.figures(&client, &json!({"cpu_s": 2.0}));
        assert_eq!(figures.get(Measure::Cpu), Some(6.0));
        assert_eq!(figures.get(Measure::Slowest), Some(0.5));
        assert_eq!(figures.get(Measure::Rate), None);
        let server = json!({"cpu_s": 2.0, "bytes": GIB});
        let figures = Task::Bulk.figures(&client, &server);
        assert_eq!(figures.get(Measure::Cpu), Some(3.0), "all that came");
    }

    #[test]
    fn rounds_are_counted_or_have_their_size() {
        let (own, perf) = (
            json!({"rounds": 6, "seconds": 2}),
            json!({"bytes": 384, "seconds": 2}),
        );
        for client in [own, perf] {
            let figures = Task::Echo.figures(&client, &Value::Null);
            assert_eq!(figures.get(Measure::Rate), Some(3.0));
        }
    }
}
