//! What is expected of mkcp, and whether it was reached.

use crate::{
    measures::{Measure, Row, digits},
    results::Results,
    tasks::Task,
    transports::Transport,
};

/// One expectation, of mkcp unless it says otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    task: Task,
    measure: Measure,
    of: Transport,
    limit: Limit,
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    /// At least this.
    Least(f64),
    /// None.
    Zero,
    /// At least so many times what another transport has.
    LeastTimes(f64, Transport),
    /// At most so many times.
    MostTimes(f64, Transport),
    /// At most so much more.
    MostMore(f64, Transport),
    /// At least so many times what the same transport has in another task.
    LeastTimesOwn(f64, Task),
}

const fn goal(task: Task, measure: Measure, limit: Limit) -> Goal {
    of(Transport::Mkcp, task, measure, limit)
}

const fn of(of: Transport, task: Task, measure: Measure, limit: Limit) -> Goal {
    Goal {
        task,
        measure,
        of,
        limit,
    }
}

pub(crate) const GOALS: [Goal; 22] = {
    use Limit::*;
    use Measure::*;
    use Task::*;
    use Transport::*;
    [
        goal(Bulk, Goodput, LeastTimes(2.5, Quinn)),
        goal(Bulk, Goodput, LeastTimes(4.0, TokioKcp)),
        of(MkcpSimple, Bulk, Goodput, LeastTimes(0.8, Mkcp)),
        of(MkcpTls, Bulk, Goodput, LeastTimes(0.5, Mkcp)),
        goal(Bulk, Cpu, MostTimes(0.4, Quinn)),
        goal(Bulk, Cpu, MostTimes(1.8, Raw)),
        goal(Bulk, Errors, Zero),
        goal(Bulk64, Goodput, LeastTimesOwn(1.0, Bulk)),
        goal(Bulk64, Slowest, Least(0.5)),
        goal(Bulk64, Errors, Zero),
        goal(Echo, Median, MostTimes(0.6, Quinn)),
        goal(Echo, Median, MostMore(40.0, Udp)),
        goal(Echo, P99, MostTimes(1.0, Quinn)),
        goal(Echo64, Rate, LeastTimes(2.0, Quinn)),
        goal(Echo64, Errors, Zero),
        goal(Connect, Rate, LeastTimes(5.0, Quinn)),
        goal(Connect, Rate, LeastTimes(1.0, KcpIo)),
        goal(Connect, Errors, Zero),
        goal(Connect50, Rate, LeastTimes(5.0, Quinn)),
        goal(Connect50, Rate, LeastTimes(1.0, KcpIo)),
        goal(Connect50, Errors, Zero),
        of(MkcpSimple, Bulk, Errors, Zero),
    ]
};

impl Goal {
    /// Whether it belongs to a row of the table.
    pub(crate) fn is_of(&self, row: Row) -> bool {
        (self.task, self.measure) == (row.task, row.measure)
    }

    /// A few words with what was found, and whether that is enough; none if nothing was found.
    pub(crate) fn describe(&self, results: &Results) -> Option<String> {
        let (words, found, is_met) = self.judge(results)?;
        let subject = match self.of {
            Transport::Mkcp => String::new(),
            other => format!("{} ", other.name()),
        };
        let reached = if is_met { "yes" } else { "**no**" };
        Some(format!("{subject}{words}: {}, {reached}", digits(found)))
    }

    fn judge(&self, results: &Results) -> Option<(String, f64, bool)> {
        let own = (self.task, self.of);
        let against = |task, other, compare: fn(f64, f64) -> f64| {
            results.compared(self.measure, own, (task, other), compare)
        };
        let times = |other| against(self.task, other, |a, b| a / b);
        let alone = || against(self.task, self.of, |a, _| a);
        Some(match self.limit {
            Limit::Least(least) => {
                let found = alone()?;
                (format!("≥ {least}"), found, found >= least)
            }
            Limit::Zero => {
                let found = self.worst(results)?;
                ("none".to_owned(), found, found == 0.0)
            }
            Limit::LeastTimes(least, other) => {
                let found = times(other)?;
                (
                    format!("≥ {least} × {}", other.name()),
                    found,
                    found >= least,
                )
            }
            Limit::MostTimes(most, other) => {
                let found = times(other)?;
                (format!("≤ {most} × {}", other.name()), found, found <= most)
            }
            Limit::MostMore(most, other) => {
                let found = against(self.task, other, |a, b| a - b)?;
                (format!("≤ {} + {most}", other.name()), found, found <= most)
            }
            Limit::LeastTimesOwn(least, task) => {
                let found = against(task, self.of, |a, b| a / b)?;
                (
                    format!("≥ {least} × {}", task.name()),
                    found,
                    found >= least,
                )
            }
        })
    }

    /// An error in one run is one too many, whatever the median.
    fn worst(&self, results: &Results) -> Option<f64> {
        let row = Row {
            task: self.task,
            measure: self.measure,
            title: "",
        };
        results.spread(row, self.of).map(|spread| spread.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::examples;

    fn described(values: [(Task, Measure, Transport, f64); 2]) -> Vec<String> {
        let mut results = Results::default();
        for (task, measure, transport, value) in values {
            examples::add(&mut results, (task, measure), transport, &[value]);
        }
        let goals = GOALS.iter();
        goals.filter_map(|goal| goal.describe(&results)).collect()
    }

    #[test]
    fn goals_tell_what_was_found() {
        let goodput = |transport, value| (Task::Bulk, Measure::Goodput, transport, value);
        let found = described([
            goodput(Transport::Mkcp, 30.0),
            goodput(Transport::Quinn, 10.0),
        ]);
        assert_eq!(found, ["≥ 2.5 × quinn: 3.00, yes"]);
        let median = |transport, value| (Task::Echo, Measure::Median, transport, value);
        let found = described([median(Transport::Mkcp, 70.0), median(Transport::Udp, 20.0)]);
        assert_eq!(found, ["≤ udp + 40: 50.0, **no**"]);
    }

    #[test]
    fn one_error_is_too_many() {
        let mut results = Results::default();
        let errors = (Task::Connect, Measure::Errors);
        examples::add(&mut results, errors, Transport::Mkcp, &[0.0, 1.0, 0.0]);
        let found: Vec<_> = GOALS
            .iter()
            .filter_map(|goal| goal.describe(&results))
            .collect();
        assert_eq!(found, ["none: 1.00, **no**"]);
    }
}
