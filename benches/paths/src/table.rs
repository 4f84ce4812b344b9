//! The results as Markdown.

use std::fmt::Write as _;

use crate::{
    goals::GOALS,
    measures::{Measure, ROWS, Row, digits},
    results::{Results, Spread},
    transports::Transport,
};

const NOTHING: &str = "–";

/// What each transport does, how mkcp compares, the goals, the runs that failed, and what is not there.
pub(crate) fn markdown(results: &Results) -> String {
    let transports = results.transports();
    let rows: Vec<_> = ROWS
        .into_iter()
        .filter(|&row| is_told(row, results))
        .collect();
    let mut text = String::from("Medians, and least to most of the runs:\n\n");
    text += &values(&rows, &transports, results);
    text += &ratios(&rows, &transports, results).unwrap_or_default();
    text += &goals(results).unwrap_or_default();
    for failure in results.failures() {
        let _ = write!(text, "\nWithout figures: {failure}\n");
    }
    for name in results.left_out() {
        let _ = write!(text, "\nLeft out, for it is not installed: {name}\n");
    }
    text
}

/// Whether anything was found; errors only where there are any.
fn is_told(row: Row, results: &Results) -> bool {
    let transports = results.transports();
    let mut found = transports
        .iter()
        .filter_map(|&own| results.spread(row, own));
    match row.measure {
        Measure::Errors => found.any(|spread| spread.most > 0.0),
        _ => found.next().is_some(),
    }
}

fn values(rows: &[Row], transports: &[Transport], results: &Results) -> String {
    let mut table = head(transports.iter().map(|transport| transport.name()));
    for &row in rows {
        let cells = transports.iter().map(|&own| cell(results.spread(row, own)));
        line(&mut table, row.title, cells);
    }
    table
}

/// mkcp beside each of the others, if it was measured and any of them was.
fn ratios(rows: &[Row], transports: &[Transport], results: &Results) -> Option<String> {
    let (own, others): (Vec<Transport>, Vec<Transport>) = transports
        .iter()
        .copied()
        .partition(|&transport| transport == Transport::Mkcp);
    if own.is_empty() || others.is_empty() {
        return None;
    }
    let mut table = String::from("\nmkcp as a multiple of each, run by run, medians:\n\n");
    table += &head(others.iter().map(|transport| transport.name()));
    for row in rows.iter().filter(|row| row.measure != Measure::Errors) {
        let ratio = |other| {
            let (own, other) = ((row.task, Transport::Mkcp), (row.task, other));
            results.compared(row.measure, own, other, |own, other| own / other)
        };
        let told = |&other: &Transport| ratio(other).map_or_else(|| NOTHING.to_owned(), digits);
        line(&mut table, row.title, others.iter().map(told));
    }
    Some(table)
}

/// What is expected, and whether it was reached: what was measured, together with what it is
/// compared with.
fn goals(results: &Results) -> Option<String> {
    let mut table = String::from("\nGoals, by medians of what was found run by run:\n\n");
    table += &head(
        ["transport", "goal", "found", "reached"]
            .map(str::to_owned)
            .into_iter(),
    );
    let findings = GOALS.iter().filter_map(|goal| goal.judge(results));
    let findings: Vec<_> = findings.collect();
    for finding in &findings {
        let reached = match finding.is_met {
            true => "yes",
            false => "**no**",
        };
        let name = finding.transport.name();
        let cells = [&name, &finding.goal, &finding.found, reached].map(str::to_owned);
        line(&mut table, finding.title, cells.into_iter());
    }
    (!findings.is_empty()).then_some(table)
}

fn head(names: impl Iterator<Item = String>) -> String {
    let names: Vec<_> = names.collect();
    let mut table = String::new();
    line(&mut table, "", names.iter().cloned());
    table += "|---|";
    table += &"---|".repeat(names.len());
    table.push('\n');
    table
}

fn line(table: &mut String, title: &str, cells: impl Iterator<Item = String>) {
    let cells: Vec<_> = cells.collect();
    let _ = writeln!(table, "| {title} | {} |", cells.join(" | "));
}

fn cell(spread: Option<Spread>) -> String {
    match spread {
        None => NOTHING.to_owned(),
        Some(all) if all.least == all.most => digits(all.median),
        Some(all) => {
            let [median, least, most] = [all.median, all.least, all.most].map(digits);
            format!("{median} ({least} – {most})")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{results::examples, tasks::Task};

    #[test]
    fn a_row_has_medians_and_another_has_ratios() {
        let mut results = Results::default();
        let goodput = (Task::Bulk, Measure::Goodput);
        examples::add(&mut results, goodput, Transport::Mkcp, &[30.0, 50.0, 40.0]);
        examples::add(&mut results, goodput, Transport::Quinn, &[10.0, 10.0, 10.0]);
        results.fail("bulk tcp run 1: gone".to_owned());
        results.leave_out("v2ray".to_owned());
        let text = markdown(&results);
        let lines = [
            "|  | mkcp | quinn |\n|---|---|---|\n",
            "| one stream, MB/s | 40.0 (30.0 – 50.0) | 10.0 |\n",
            "|  | quinn |\n|---|---|\n| one stream, MB/s | 4.00 |\n",
            "|  | transport | goal | found | reached |\n",
            "| one stream, MB/s | mkcp | ≥ 2.5 × quinn | 4.00 × | yes |\n",
            "\nWithout figures: bulk tcp run 1: gone\n",
            "\nLeft out, for it is not installed: v2ray\n",
        ];
        for line in lines {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn nothing_measured_is_an_empty_table() {
        assert!(markdown(&Results::default()).ends_with("|  |  |\n|---|\n"));
    }
}
