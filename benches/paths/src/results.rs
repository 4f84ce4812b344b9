//! What the runs have found.

use std::collections::BTreeSet;

use bench_common::figures::{Measure as _, percentile};
use clap::ValueEnum as _;
use serde_json::{Value, json};

use crate::{
    measures::{Figures, Measure, ROWS, Row},
    tasks::Task,
    transports::Transport,
};

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) run: u64,
    pub(crate) task: Task,
    pub(crate) transport: Transport,
    pub(crate) figures: Figures,
    /// What the ends printed.
    pub(crate) client: Value,
    pub(crate) server: Value,
}

/// All runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Results {
    outcomes: Vec<Outcome>,
    failures: Vec<String>,
    /// Names of transports that are not installed.
    left_out: Vec<String>,
}

/// Median, least and most of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of the values of all runs; none of nothing.
    fn of(values: &[f64]) -> Option<Self> {
        let at = |share| percentile(values.to_vec(), share);
        Some(Self {
            median: at(0.5)?,
            least: at(0.0)?,
            most: at(1.0)?,
        })
    }
}

impl Results {
    pub(crate) fn add(&mut self, outcome: Outcome) {
        self.outcomes.push(outcome);
    }

    /// A run that has no figures.
    pub(crate) fn fail(&mut self, failure: String) {
        self.failures.push(failure);
    }

    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }

    /// A transport that is not installed.
    pub(crate) fn leave_out(&mut self, name: String) {
        self.left_out.push(name);
    }

    pub(crate) fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// In the order of the columns.
    pub(crate) fn transports(&self) -> Vec<Transport> {
        let transports = self.outcomes.iter().map(|outcome| outcome.transport);
        transports.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What a transport has in a row.
    pub(crate) fn spread(&self, row: Row, transport: Transport) -> Option<Spread> {
        let values = self.values(row.task, row.measure, transport);
        Spread::of(&values.into_iter().map(|value| value.1).collect::<Vec<_>>())
    }

    /// The median over the runs that have both of what two values make of each other.
    pub(crate) fn compared(
        &self,
        measure: Measure,
        (task, transport): (Task, Transport),
        (other_task, other): (Task, Transport),
        compare: impl Fn(f64, f64) -> f64,
    ) -> Option<f64> {
        let others = self.values(other_task, measure, other);
        let compared = |(run, value)| {
            let other = others.iter().find(|other| other.0 == run)?;
            Some(compare(value, other.1)).filter(|value| value.is_finite())
        };
        let values = self.values(task, measure, transport);
        percentile(values.into_iter().filter_map(compared).collect(), 0.5)
    }

    /// Runs with their values.
    fn values(&self, task: Task, measure: Measure, transport: Transport) -> Vec<(u64, f64)> {
        let outcomes = self.outcomes.iter();
        let own = outcomes.filter(|own| own.task == task && own.transport == transport);
        own.filter_map(|own| Some((own.run, own.figures.get(measure)?)))
            .collect()
    }

    pub(crate) fn to_json(&self) -> Value {
        let outcomes = self.outcomes.iter();
        let runs: Vec<_> = outcomes.map(Outcome::to_json).collect();
        json!({
            "runs": runs,
            "failures": self.failures,
            "left_out": self.left_out,
            "spreads": self.spreads(),
        })
    }

    /// Of every figure the median, the least and the most, for those who read JSON.
    fn spreads(&self) -> Vec<Value> {
        let of = |transport| {
            ROWS.iter().filter_map(move |row| {
                let spread = self.spread(*row, transport)?;
                Some(json!({
                    "task": row.task.name(),
                    "transport": transport.name(),
                    "figure": row.measure.name(),
                    "median": spread.median,
                    "min": spread.least,
                    "max": spread.most,
                }))
            })
        };
        self.transports().into_iter().flat_map(of).collect()
    }

    /// Reads what `to_json` has made.
    pub(crate) fn from_json(value: &Value) -> Result<Self, String> {
        let runs = value["runs"].as_array().ok_or("there are no runs")?;
        let texts = |name: &str| {
            let texts = value[name].as_array().into_iter().flatten();
            texts.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Ok(Self {
            outcomes: runs
                .iter()
                .map(Outcome::from_json)
                .collect::<Result<_, _>>()?,
            failures: texts("failures"),
            left_out: texts("left_out"),
        })
    }
}

impl Outcome {
    /// A line for those who watch.
    pub(crate) fn summary(&self) -> String {
        self.figures.describe().join(", ")
    }

    fn to_json(&self) -> Value {
        json!({
            "run": self.run,
            "task": self.task.name(),
            "transport": self.transport.name(),
            "figures": self.figures.to_json(),
            "client": self.client,
            "server": self.server,
        })
    }

    fn from_json(value: &Value) -> Result<Self, String> {
        let text = |name: &str| value[name].as_str().unwrap_or_default();
        let told = |what: &str| format!("no {what} of a run: {value}");
        let mut figures = Figures::default();
        for measure in Measure::ALL {
            figures.set_some(measure, value["figures"][measure.name()].as_f64());
        }
        Ok(Self {
            run: value["run"].as_u64().ok_or_else(|| told("number"))?,
            task: Task::from_str(text("task"), false).map_err(|_| told("task"))?,
            transport: Transport::from_str(text("transport"), false)
                .map_err(|_| told("transport"))?,
            figures,
            client: value["client"].clone(),
            server: value["server"].clone(),
        })
    }
}

#[cfg(test)]
pub(crate) mod examples {
    use super::*;

    /// A run each with these values.
    pub(crate) fn add(
        results: &mut Results,
        (task, measure): (Task, Measure),
        transport: Transport,
        values: &[f64],
    ) {
        for (run, &value) in (1..).zip(values) {
            let mut figures = Figures::default();
            figures.set(measure, value);
            results.add(Outcome {
                run,
                task,
                transport,
                figures,
                client: Value::Null,
                server: Value::Null,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOODPUT: (Task, Measure) = (Task::Bulk, Measure::Goodput);

    fn results() -> Results {
        let mut results = Results::default();
        examples::add(&mut results, GOODPUT, Transport::Mkcp, &[20.0, 60.0, 30.0]);
        examples::add(&mut results, GOODPUT, Transport::Quinn, &[10.0, 20.0]);
        results
    }

    #[test]
    fn runs_are_compared_with_each_other() {
        let [mkcp, quinn] = [Transport::Mkcp, Transport::Quinn].map(|own| (Task::Bulk, own));
        let results = results();
        let ratio = results.compared(Measure::Goodput, mkcp, quinn, |a, b| a / b);
        assert_eq!(ratio, Some(2.0));
        assert_eq!(results.transports(), [Transport::Mkcp, Transport::Quinn]);
    }

    #[test]
    fn json_is_read_as_it_was_written() {
        let mut before = results();
        before.fail("tcp: no route".to_owned());
        before.leave_out("v2ray".to_owned());
        let after = Results::from_json(&before.to_json()).unwrap();
        assert_eq!(after.to_json(), before.to_json());
        assert!(Results::from_json(&json!([])).is_err());
        assert!(Results::from_json(&json!({"runs": [{"run": 1}]})).is_err());
    }
}
