//! What is expected of a row, and whether it was reached.

use std::time::Duration;

use crate::{
    figures::{Figures, Measure},
    link::Link,
};

/// One expectation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// At least this share of what the link carries.
    Share(f64),
    /// At most so many bytes on the wire for each of payload.
    Wire(f64),
    /// This and the TCP connection beside: each at least this share of the link's room.
    EachShare(f64),
    /// At least this index of fairness.
    Jain(f64),
    /// At most this delay in the queue, 95th percentile.
    QueueDelay(Duration),
    /// Deliveries at most so long after the end of a blackout.
    Resume(Duration),
    /// At most so many datagrams into a blackout.
    Dark(u64),
    /// Round trip of messages, 50th percentile at most.
    Median(Duration),
    /// 99th percentile at most.
    P99(Duration),
    /// The longest at most.
    Longest(Duration),
}

impl Goal {
    /// Whether it was reached; no if it was not measured.
    pub(crate) fn is_met(self, figures: &Figures, link: &Link) -> bool {
        let most = |measure, limit: f64| figures.get(measure).is_some_and(|value| value <= limit);
        let most_time = |measure, limit: Duration| most(measure, milliseconds(limit));
        let share = |measure, of: Option<f64>, least: f64| {
            let share = figures.get(measure).zip(of).map(|(value, all)| value / all);
            share.is_some_and(|share| share >= least)
        };
        match self {
            Self::Share(least) => share(Measure::Goodput, link.carries(), least),
            Self::Wire(limit) => most(Measure::Wire, limit),
            Self::EachShare(least) => [Measure::Goodput, Measure::Beside]
                .into_iter()
                .all(|measure| share(measure, link.room(), least)),
            Self::Jain(least) => share(Measure::Jain, Some(1.0), least),
            Self::QueueDelay(limit) => most_time(Measure::QueueDelay, limit),
            Self::Resume(limit) => most_time(Measure::Resume, limit),
            Self::Dark(limit) => most(Measure::Dark, limit as f64),
            Self::Median(limit) => most_time(Measure::Median, limit),
            Self::P99(limit) => most_time(Measure::P99, limit),
            Self::Longest(limit) => most_time(Measure::Longest, limit),
        }
    }

    /// A few words for the table.
    pub(crate) fn describe(self) -> String {
        let time = |name: &str, limit| format!("{name} ≤ {:.0} ms", milliseconds(limit));
        match self {
            Self::Share(least) => format!("≥ {:.0} %", least * 100.0),
            Self::Wire(limit) => format!("ratio ≤ {limit:.2}"),
            Self::EachShare(least) => format!("each ≥ {:.0} %", least * 100.0),
            Self::Jain(least) => format!("Jain ≥ {least}"),
            Self::QueueDelay(limit) => time("queue p95", limit),
            Self::Resume(limit) => time("resumes", limit),
            Self::Dark(limit) => format!("in the dark ≤ {limit}"),
            Self::Median(limit) => time("p50", limit),
            Self::P99(limit) => time("p99", limit),
            Self::Longest(limit) => time("max", limit),
        }
    }

    /// What was measured, unless it is in the table anyway.
    pub(crate) fn finding(self, figures: &Figures) -> Option<String> {
        let time = |name: &str, measure| {
            let value = figures.get(measure)?;
            Some(format!("{name} {value:.1} ms"))
        };
        match self {
            Self::Share(_) | Self::Wire(_) => None,
            Self::Median(_) | Self::P99(_) | Self::Longest(_) => None,
            Self::EachShare(_) => {
                let beside = figures.get(Measure::Beside)?;
                Some(format!("TCP {beside:.2} MB/s"))
            }
            Self::Jain(_) => Some(format!("Jain {:.3}", figures.get(Measure::Jain)?)),
            Self::QueueDelay(_) => time("queue p95", Measure::QueueDelay),
            Self::Resume(_) => time("resumes after", Measure::Resume),
            Self::Dark(_) => Some(format!(
                "{:.0} datagrams in the dark",
                figures.get(Measure::Dark)?
            )),
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(measure: Measure, value: f64) -> Figures {
        let mut figures = Figures::default();
        figures.set(measure, value);
        figures
    }

    #[test]
    fn shares_are_of_what_the_loss_lets_through() {
        let link = Link::new(25).rate(100).loss(10.0);
        let goal = Goal::Share(0.92);
        assert!(goal.is_met(&with(Measure::Goodput, 9.80), &link));
        assert!(!goal.is_met(&with(Measure::Goodput, 9.78), &link));
    }

    #[test]
    fn what_was_not_measured_is_not_met() {
        let link = Link::new(25).rate(100);
        let goals = [
            Goal::Share(0.1),
            Goal::Wire(9.0),
            Goal::Jain(0.1),
            Goal::Dark(9),
        ];
        for goal in goals {
            assert!(!goal.is_met(&Figures::default(), &link), "{goal:?}");
        }
    }

    #[test]
    fn both_must_have_their_share() {
        let link = Link::new(25).rate(100);
        let mut figures = with(Measure::Goodput, 8.0);
        figures.set(Measure::Beside, 2.0);
        assert!(!Goal::EachShare(0.25).is_met(&figures, &link));
        figures.set(Measure::Beside, 3.0);
        assert!(Goal::EachShare(0.25).is_met(&figures, &link));
    }

    #[test]
    fn times_are_compared_in_milliseconds() {
        let goal = Goal::P99(Duration::from_millis(160));
        let link = Link::new(25);
        assert!(goal.is_met(&with(Measure::P99, 159.0), &link));
        assert!(!goal.is_met(&with(Measure::P99, 161.0), &link));
        assert_eq!(goal.describe(), "p99 ≤ 160 ms");
        let goal = Goal::Resume(Duration::from_millis(250));
        let finding = goal.finding(&with(Measure::Resume, 161.04));
        assert_eq!(finding.as_deref(), Some("resumes after 161.0 ms"));
    }
}
