//! The links of the table, as data.

use std::time::Duration;

use crate::{goal::Goal, link::Link};

/// What is done on a link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Task {
    /// As much as can be moved from the client to the server, over so many streams.
    Bulk { streams: u32 },
    /// The same, beside a TCP connection with BBR.
    BesideTcp,
    /// Small messages back and forth: rounds on each stream, and streams.
    Ping { rounds: u32, streams: u32 },
}

/// One line of the table: a link, what is done on it, and what is expected.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Short, for `--only`.
    pub(crate) name: &'static str,
    pub(crate) link: Link,
    pub(crate) task: Task,
    /// How long the client sends, unless told otherwise.
    pub(crate) seconds: f64,
    /// What is moved in this time at the beginning does not count.
    pub(crate) skip: f64,
    pub(crate) goals: Vec<Goal>,
}

impl Row {
    /// How long the client sends if this time was asked for. A blackout has its own time.
    pub(crate) fn seconds_or(&self, asked: Option<f64>) -> f64 {
        let fixed = self.link.darkness().is_some();
        asked.filter(|_| !fixed).unwrap_or(self.seconds)
    }

    /// Whether transports are compared on it; then its loss in percent.
    pub(crate) fn loss(&self) -> Option<f64> {
        LOSSES
            .into_iter()
            .find(|&loss| with_loss(loss).name == self.name)
    }
}

/// Packet loss, in percent, of the rows that compare transports.
pub(crate) const LOSSES: [f64; 5] = [0.0, 1.0, 5.0, 10.0, 20.0];
const BULK: Task = Task::Bulk { streams: 1 };

/// All rows.
pub(crate) fn all() -> Vec<Row> {
    let mut rows: Vec<_> = LOSSES.into_iter().map(with_loss).collect();
    rows.extend(other_bulk());
    rows.extend(special());
    rows.extend(pings());
    rows
}

/// 100 Mbit/s and 50 ms, with a queue for 50 ms.
fn ordinary() -> Link {
    Link::new(25).rate(100).queue("50ms")
}

/// The rows over which transports are compared.
pub(crate) fn with_loss(percent: f64) -> Row {
    let name = match percent {
        0.0 => "loss-0",
        1.0 => "loss-1",
        5.0 => "loss-5",
        10.0 => "loss-10",
        _ => "loss-20",
    };
    let through = 1.0 - percent / 100.0;
    let goals = match percent {
        0.0 => vec![Goal::Share(0.95), Goal::Wire(1.07)],
        _ => vec![Goal::Share(0.92), Goal::Wire(1.09 / through)],
    };
    row(name, ordinary().loss(percent), BULK, goals)
}

fn row(name: &'static str, link: Link, task: Task, goals: Vec<Goal>) -> Row {
    Row {
        name,
        link,
        task,
        seconds: 10.0,
        skip: 0.0,
        goals,
    }
}

fn other_bulk() -> Vec<Row> {
    vec![
        row(
            "bursts",
            ordinary().bursts(5.0, 8.0),
            BULK,
            vec![Goal::Share(0.85), Goal::Wire(1.15)],
        ),
        Row {
            seconds: 20.0,
            skip: 3.0,
            ..row(
                "far",
                Link::new(150).rate(20).queue("300ms").loss(2.0),
                BULK,
                vec![Goal::Share(0.88), Goal::Wire(1.12)],
            )
        },
        row(
            "fast",
            Link::new(10).rate(500).queue("20ms").loss(0.1),
            BULK,
            vec![Goal::Share(0.85), Goal::Wire(1.08)],
        ),
        row(
            "short-queue",
            Link::new(20).rate(10).queue("27560B"),
            BULK,
            vec![Goal::Share(0.90), Goal::Wire(1.10)],
        ),
        row(
            "long-queue",
            Link::new(20).rate(10).queue("500ms"),
            BULK,
            vec![
                Goal::Share(0.95),
                Goal::Wire(1.07),
                Goal::QueueDelay(Duration::from_millis(60)),
            ],
        ),
        row(
            "reordering",
            ordinary().reordering(5.0, 3.0),
            BULK,
            vec![Goal::Share(0.95), Goal::Wire(1.08)],
        ),
    ]
}

fn special() -> Vec<Row> {
    vec![
        Row {
            seconds: 15.0,
            ..row(
                "blackout",
                ordinary().blackout(5.0, 5.0),
                BULK,
                vec![Goal::Resume(Duration::from_millis(250)), Goal::Dark(20)],
            )
        },
        row(
            "ten-flows",
            ordinary().loss(1.0),
            Task::Bulk { streams: 10 },
            vec![Goal::Jain(0.9), Goal::Wire(1.10)],
        ),
        row(
            "beside-tcp",
            ordinary(),
            Task::BesideTcp,
            vec![Goal::EachShare(0.25)],
        ),
    ]
}

fn pings() -> Vec<Row> {
    let trip = Duration::from_millis(50);
    let few = Task::Ping {
        rounds: 100,
        streams: 10,
    };
    let many = Task::Ping {
        rounds: 100,
        streams: 100,
    };
    vec![
        row(
            "ping-0",
            Link::new(25),
            few,
            vec![Goal::Median(trip + Duration::from_millis(2))],
        ),
        row(
            "ping-5",
            Link::new(25).loss(5.0),
            many,
            vec![Goal::P99(trip.mul_f64(3.2))],
        ),
        row(
            "ping-10",
            Link::new(25).loss(10.0),
            many,
            vec![Goal::Longest(Duration::from_secs(1))],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_every_row_has_a_goal() {
        let rows = all();
        let names: BTreeSet<_> = rows.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), rows.len());
        assert!(rows.iter().all(|row| !row.goals.is_empty()));
        assert!(rows.iter().all(|row| row.skip < row.seconds));
    }

    #[test]
    fn the_rows_of_the_comparison_are_those_of_the_table() {
        let names: Vec<_> = all().iter().map(|row| row.name).collect();
        for loss in LOSSES {
            let name = with_loss(loss).name;
            assert_eq!(name, format!("loss-{loss}"));
            assert!(names.contains(&name));
        }
    }

    #[test]
    fn waste_may_grow_with_the_loss_that_must_be_made_good() {
        assert_eq!(with_loss(0.0).goals[1], Goal::Wire(1.07));
        let Goal::Wire(most) = with_loss(20.0).goals[1] else {
            panic!("the second goal is about waste");
        };
        assert!((most - 1.3625).abs() < 1e-9, "{most}");
    }
}
