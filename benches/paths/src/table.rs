//! The results as Markdown.

use std::fmt::Write as _;

use crate::{
    goals::GOALS,
    measures::{Measure, ROWS, Row, digits},
    results::{Results, Spread},
    transports::Transport,
};

const NOTHING: &str = "–";

/// What each transport does, how mkcp compares, and the runs that failed.
pub(crate) fn markdown(results: &Results) -> String {
    let transports = results.transports();
    let rows: Vec<_> = ROWS
        .into_iter()
        .filter(|&row| is_told(row, results))
        .collect();
    let mut text = String::from("Medians, and least to most of the runs:\n\n");
    text += &values(&rows, &transports, results);
    if transports.contains(&Transport::Mkcp) {
        text += "\nmkcp as a multiple of each, run by run, and what is expected of it:\n\n";
        text += &ratios(&rows, &transports, results);
    }
    for failure in results.failures() {
        let _ = write!(text, "\nWithout figures: {failure}\n");
    }
    text
}

/// Whether anything was found; errors only where there are any or none is a goal.
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

fn ratios(rows: &[Row], transports: &[Transport], results: &Results) -> String {
    let others: Vec<_> = transports
        .iter()
        .filter(|&&other| other != Transport::Mkcp)
        .collect();
    let names = others.iter().map(|transport| transport.name());
    let mut table = head(names.chain(["goals".to_owned()]));
    for row in ROWS {
        let goals = GOALS.iter().filter(|goal| goal.is_of(row));
        let goals: Vec<_> = goals.filter_map(|goal| goal.describe(results)).collect();
        if !rows.contains(&row) && goals.is_empty() {
            continue;
        }
        let ratio = |other| {
            let (own, other) = ((row.task, Transport::Mkcp), (row.task, other));
            results.compared(row.measure, own, other, |a, b| a / b)
        };
        let cells = others.iter().map(|&&other| match row.measure {
            Measure::Errors => NOTHING.to_owned(),
            _ => ratio(other).map_or_else(|| NOTHING.to_owned(), digits),
        });
        let goals = match goals.is_empty() {
            true => NOTHING.to_owned(),
            false => goals.join("; "),
        };
        line(&mut table, row.title, cells.chain([goals]));
    }
    table
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
        let text = markdown(&results);
        let lines = [
            "|  | mkcp | quinn |\n|---|---|---|\n",
            "| one stream, MB/s | 40.0 (30.0 – 50.0) | 10.0 |\n",
            "|  | quinn | goals |\n",
            "| one stream, MB/s | 4.00 | ≥ 2.5 × quinn: 4.00, yes |\n",
            "\nWithout figures: bulk tcp run 1: gone\n",
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
