//! What is expected of mkcp, and whether it was reached.

use crate::{
    measures::{Measure, ROWS, digits},
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

pub(crate) const GOALS: [Goal; 23] = {
    use Limit::*;
    use Measure::*;
    use Task::*;
    use Transport::*;
    [
        goal(Bulk, Goodput, LeastTimes(2.5, Quinn)),
        goal(Bulk, Goodput, LeastTimes(4.0, TokioKcp)),
        goal(Bulk, Goodput, LeastTimes(60.0, V2ray)),
        of(MkcpSimple, Bulk, Goodput, LeastTimes(0.8, Mkcp)),
        of(MkcpTls, Bulk, Goodput, LeastTimes(0.5, MkcpSimple)),
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

/// What became of a goal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) transport: Transport,
    /// Of the row of the table.
    pub(crate) title: &'static str,
    pub(crate) goal: String,
    pub(crate) found: String,
    pub(crate) is_met: bool,
}

impl Goal {
    /// What was found; none if it was not measured, or not what it is compared with.
    pub(crate) fn judge(&self, results: &Results) -> Option<Finding> {
        let mut rows = ROWS.iter();
        let row = rows.find(|row| (row.task, row.measure) == (self.task, self.measure))?;
        let (goal, found, is_met) = match self.limit {
            Limit::Least(least) => {
                let found = self.against((self.task, self.of), results, |own, _| own)?;
                (format!("≥ {least}"), digits(found), found >= least)
            }
            Limit::Zero => {
                // An error in one run is one too many, whatever the median.
                let found = results.spread(*row, self.of)?.most;
                ("none".to_owned(), digits(found), found == 0.0)
            }
            Limit::LeastTimes(least, other) => {
                let found = self.times((self.task, other), results)?;
                let goal = format!("≥ {least} × {}", other.name());
                (goal, format!("{} ×", digits(found)), found >= least)
            }
            Limit::MostTimes(most, other) => {
                let found = self.times((self.task, other), results)?;
                let goal = format!("≤ {most} × {}", other.name());
                (goal, format!("{} ×", digits(found)), found <= most)
            }
            Limit::MostMore(most, other) => {
                let found = self.against((self.task, other), results, |own, other| own - other)?;
                let [goal, found_words] =
                    [most, found].map(|more| format!("{} + {}", other.name(), digits(more)));
                (format!("≤ {goal}"), found_words, found <= most)
            }
            Limit::LeastTimesOwn(least, task) => {
                let found = self.times((task, self.of), results)?;
                let goal = format!("≥ {least} × {}", task.name());
                (goal, format!("{} ×", digits(found)), found >= least)
            }
        };
        Some(Finding {
            transport: self.of,
            title: row.title,
            goal,
            found,
            is_met,
        })
    }

    fn times(&self, other: (Task, Transport), results: &Results) -> Option<f64> {
        self.against(other, results, |own, other| own / other)
    }

    /// Run by run, the median.
    fn against(
        &self,
        other: (Task, Transport),
        results: &Results,
        compare: fn(f64, f64) -> f64,
    ) -> Option<f64> {
        results.compared(self.measure, (self.task, self.of), other, compare)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::examples;

    fn judged(results: &Results) -> Vec<(String, String, bool)> {
        let findings = GOALS.iter().filter_map(|goal| goal.judge(results));
        let told = |finding: Finding| (finding.goal, finding.found, finding.is_met);
        findings.map(told).collect()
    }

    fn expected(goal: &str, found: &str, is_met: bool) -> Vec<(String, String, bool)> {
        vec![(goal.to_owned(), found.to_owned(), is_met)]
    }

    #[test]
    fn every_goal_belongs_to_a_row() {
        for goal in GOALS {
            let mut rows = ROWS.iter();
            assert!(rows.any(|row| (row.task, row.measure) == (goal.task, goal.measure)));
        }
    }

    #[test]
    fn goals_tell_what_was_found() {
        let mut results = Results::default();
        let goodput = (Task::Bulk, Measure::Goodput);
        examples::add(&mut results, goodput, Transport::Mkcp, &[30.0]);
        assert_eq!(judged(&results), []);
        examples::add(&mut results, goodput, Transport::Quinn, &[10.0]);
        assert_eq!(judged(&results), expected("≥ 2.5 × quinn", "3.00 ×", true));

        let (mut results, median) = (Results::default(), (Task::Echo, Measure::Median));
        examples::add(&mut results, median, Transport::Mkcp, &[70.0]);
        examples::add(&mut results, median, Transport::Udp, &[20.0]);
        assert_eq!(
            judged(&results),
            expected("≤ udp + 40.0", "udp + 50.0", false)
        );
    }

    #[test]
    fn one_error_is_too_many() {
        let mut results = Results::default();
        let errors = (Task::Connect, Measure::Errors);
        examples::add(&mut results, errors, Transport::Mkcp, &[0.0, 1.0, 0.0]);
        assert_eq!(judged(&results), expected("none", "1.00", false));
    }
}
