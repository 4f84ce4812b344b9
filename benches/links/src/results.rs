//! What the runs have found.

use serde_json::{Value, json};

use crate::{
    figures::{Figures, Measure},
    netlab::Report,
    rows::Row,
    transports::{Output, Transport},
};

/// What the emulator may be late on average, in ms, without a word in the table.
const TOO_LATE: f64 = 1.0;

/// A row with a transport, and its runs.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) row: Row,
    pub(crate) transport: Transport,
    outcomes: Vec<Outcome>,
}

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    pub(crate) figures: Figures,
    pub(crate) report: Report,
    pub(crate) output: Output,
}

impl Cell {
    pub(crate) fn new((row, transport): (Row, Transport)) -> Self {
        Self {
            row,
            transport,
            outcomes: Vec::new(),
        }
    }

    pub(crate) fn what(&self) -> (Row, Transport) {
        (self.row.clone(), self.transport)
    }

    pub(crate) fn add(&mut self, outcome: Outcome) {
        self.outcomes.push(outcome);
    }

    /// The medians over the runs; none if there was no run.
    pub(crate) fn figures(&self) -> Option<Figures> {
        let figures: Vec<_> = self
            .outcomes
            .iter()
            .map(|run| run.figures.clone())
            .collect();
        (!figures.is_empty()).then(|| Figures::median(&figures))
    }

    /// Runs whose client did not end well.
    pub(crate) fn failures(&self) -> usize {
        let failed = self.outcomes.iter().filter(|run| !run.report.succeeded());
        failed.count()
    }

    pub(crate) fn runs(&self) -> usize {
        self.outcomes.len()
    }

    /// Whether each goal was reached by the medians, in all.
    pub(crate) fn is_good(&self) -> bool {
        let goals = self.row.goals.iter();
        self.figures().is_some_and(|figures| {
            let met = goals.map(|goal| goal.is_met(&figures, &self.row.link));
            met.into_iter().all(|met| met)
        })
    }

    /// Every run with all that was printed.
    pub(crate) fn to_json(&self) -> impl Iterator<Item = Value> {
        self.outcomes.iter().map(|run| {
            json!({
                "row": self.row.name,
                "transport": self.transport.name(),
                "seed": run.seed,
                "figures": run.figures.to_json(),
                "netlab": run.report.value,
                "client": run.output.client,
                "server": run.output.server,
                "beside": run.output.beside,
            })
        })
    }
}

impl Outcome {
    /// A line for those who watch.
    pub(crate) fn summary(&self) -> String {
        let mut words = self.figures.describe();
        if !self.report.succeeded() {
            words.push(format!("failed: {}", self.report.last_words()));
        }
        words.join(", ")
    }
}

/// What casts doubt on the other figures, if anything does.
pub(crate) fn doubts(figures: &Figures) -> Option<String> {
    let count = |measure, what: &str| {
        let count = figures.get(measure).filter(|&count| count > 0.0)?;
        Some(format!("{count:.0} {what}"))
    };
    let late = figures.get(Measure::Lateness);
    let late = late.filter(|&time| time > TOO_LATE);
    let doubts = [
        late.map(|time| format!("the emulator was {time:.1} ms late")),
        count(Measure::Overruns, "packets overran the emulator"),
        count(Measure::BufferDrops, "datagrams overran a socket"),
    ];
    let doubts: Vec<_> = doubts.into_iter().flatten().collect();
    (!doubts.is_empty()).then(|| doubts.join(", "))
}

#[cfg(test)]
pub(crate) mod examples {
    use super::*;

    /// A cell with one run.
    pub(crate) fn cell(row: Row, transport: Transport, goodput: f64, wire: f64) -> Cell {
        let mut figures = Figures::default();
        figures.set(Measure::Goodput, goodput);
        figures.set(Measure::Wire, wire);
        let line = r#"{"exit_code":0,"up":{"offered":{"bytes":1}}}"#;
        let mut cell = Cell::new((row, transport));
        cell.add(Outcome {
            seed: 1,
            figures,
            report: Report::parse(line).unwrap(),
            output: Output::read(std::path::Path::new("/nowhere")),
        });
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;

    #[test]
    fn raw_results_have_all_that_was_printed() {
        let cell = examples::cell(rows::with_loss(5.0), Transport::QuinnBbr, 3.0, 1.1);
        let raw: Vec<_> = cell.to_json().collect();
        assert_eq!(raw.len(), 1);
        assert_eq!(raw[0]["row"], "loss-5");
        assert_eq!(raw[0]["transport"], "quinn-bbr");
        assert_eq!(raw[0]["figures"]["wire_ratio"], 1.1);
        assert_eq!(raw[0]["netlab"]["up"]["offered"]["bytes"], 1);
    }

    #[test]
    fn doubts_are_told_only_if_there_are_any() {
        let mut figures = Figures::default();
        figures.set(Measure::Overruns, 0.0);
        figures.set(Measure::Lateness, 0.3);
        assert_eq!(doubts(&figures), None);
        figures.set(Measure::BufferDrops, 12.0);
        let text = doubts(&figures);
        assert_eq!(text.as_deref(), Some("12 datagrams overran a socket"));
    }
}
