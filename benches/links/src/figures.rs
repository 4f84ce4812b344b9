//! What was measured in one run, or is the median of several.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A quantity that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    /// Delivered payload in MB/s.
    Goodput,
    /// Bytes offered to the link, IP headers included, for each byte of payload.
    Wire,
    /// Goodput of the TCP connection beside, in MB/s.
    Beside,
    /// Jain's index over the streams.
    Jain,
    /// 95th percentile of what the queue added to the round trip, in ms.
    QueueDelay,
    /// From the end of a blackout to the first delivery, in ms.
    Resume,
    /// Datagrams sent into a blackout, once it was to be noticed.
    Dark,
    /// Round trip of messages, in ms.
    Median,
    /// The same, 99th percentile.
    P99,
    /// The same, the longest.
    Longest,
    /// How much later than due packets were delivered on average, in ms.
    Lateness,
    /// Packets that netlab was too slow to take.
    Overruns,
    /// Datagrams that applications were too slow to take.
    BufferDrops,
}

impl Measure {
    /// As it is called in raw results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Goodput => "goodput_mb_s",
            Self::Wire => "wire_ratio",
            Self::Beside => "beside_mb_s",
            Self::Jain => "jain",
            Self::QueueDelay => "queue_delay_p95_ms",
            Self::Resume => "resume_ms",
            Self::Dark => "dark_datagrams",
            Self::Median => "p50_ms",
            Self::P99 => "p99_ms",
            Self::Longest => "max_ms",
            Self::Lateness => "lateness_ms",
            Self::Overruns => "overruns",
            Self::BufferDrops => "udp_buffer_drops",
        }
    }
}

/// Some measures with their values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Figures(BTreeMap<Measure, f64>);

impl Figures {
    pub(crate) fn set(&mut self, measure: Measure, value: f64) {
        self.0.insert(measure, value);
    }

    /// Sets what has a value.
    pub(crate) fn set_some(&mut self, measure: Measure, value: Option<f64>) {
        if let Some(value) = value {
            self.set(measure, value);
        }
    }

    pub(crate) fn get(&self, measure: Measure) -> Option<f64> {
        self.0.get(&measure).copied()
    }

    /// Of each measure the median over the runs that have it.
    pub(crate) fn median(runs: &[Self]) -> Self {
        let mut values: BTreeMap<Measure, Vec<f64>> = BTreeMap::new();
        for (measure, value) in runs.iter().flat_map(|run| &run.0) {
            values.entry(*measure).or_default().push(*value);
        }
        let middle = |values: Vec<f64>| percentile(values, 0.5).unwrap_or(f64::NAN);
        Self(values.into_iter().map(|(m, v)| (m, middle(v))).collect())
    }

    /// Each with its name.
    pub(crate) fn describe(&self) -> Vec<String> {
        let entries = self.0.iter();
        entries
            .map(|(m, v)| format!("{} {v:.3}", m.name()))
            .collect()
    }

    pub(crate) fn to_json(&self) -> Value {
        let entries = self.0.iter();
        entries
            .map(|(m, v)| (m.name().to_owned(), json!(v)))
            .collect()
    }
}

/// By nearest rank; none of nothing.
pub(crate) fn percentile(mut values: Vec<f64>, share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * share).ceil().max(1.0) as usize;
    values.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(goodput: f64, jain: Option<f64>) -> Figures {
        let mut figures = Figures::default();
        figures.set(Measure::Goodput, goodput);
        figures.set_some(Measure::Jain, jain);
        figures
    }

    #[test]
    fn the_median_is_taken_of_each_measure_by_itself() {
        let runs = [
            figures(3.0, None),
            figures(1.0, Some(0.5)),
            figures(2.0, None),
        ];
        let median = Figures::median(&runs);
        assert_eq!(median, figures(2.0, Some(0.5)));
        assert_eq!(median.to_json(), json!({"goodput_mb_s": 2.0, "jain": 0.5}));
        assert_eq!(Figures::median(&[]), Figures::default());
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let values: Vec<_> = (1..=20).map(f64::from).collect();
        assert_eq!(percentile(values.clone(), 0.95), Some(19.0));
        assert_eq!(percentile(values, 0.0), Some(1.0));
        assert_eq!(percentile(vec![], 0.5), None);
    }
}
