//! The results as Markdown.

use std::fmt::Write as _;

use crate::{
    figures::{Figures, Measure},
    results::{Cell, doubts},
    rows::{LOSSES, Row, Task, with_loss},
    transports::Transport,
};

const NOTHING: &str = "–";

/// The tables that have a line.
pub(crate) fn markdown(cells: &[Cell]) -> String {
    let tables = [of_mkcp(cells), comparison(cells), others(cells)];
    let tables = tables.into_iter().flatten();
    tables.collect::<Vec<_>>().join("\n")
}

/// mkcp on every link, and whether the goals were reached.
fn of_mkcp(cells: &[Cell]) -> Option<String> {
    let own = cells
        .iter()
        .filter(|cell| cell.transport == Transport::Mkcp);
    let lines: Vec<_> = own.filter_map(line).collect();
    let mut table = String::from(
        "| Link | MB/s | of what it carries | wire ratio | more | goals | reached |\n\
         |---|---|---|---|---|---|---|\n",
    );
    table.extend(lines.iter().map(String::as_str));
    (!lines.is_empty()).then_some(table)
}

fn line(cell: &Cell) -> Option<String> {
    let (row, figures) = (&cell.row, cell.figures()?);
    let goodput = figures.get(Measure::Goodput);
    let light = row.link.darkness().is_none();
    let share = goodput.zip(row.link.carries()).filter(|_| light);
    let share = share.map(|(goodput, carries)| format!("{:.1} %", 100.0 * goodput / carries));
    let findings = row.goals.iter().filter_map(|goal| goal.finding(&figures));
    let findings: Vec<_> = match row.task {
        Task::Ping { .. } => trips(&figures),
        _ => findings.collect(),
    };
    let failures = (cell.failures() > 0)
        .then(|| format!("{} of {} runs failed", cell.failures(), cell.runs()));
    let more: Vec<_> = findings
        .into_iter()
        .chain(failures)
        .chain(doubts(&figures))
        .collect();
    let goals: Vec<_> = row.goals.iter().map(|goal| goal.describe()).collect();
    Some(format!(
        "| {} | {} | {} | {} | {} | {} | {} |\n",
        describe(row),
        number(goodput),
        share.unwrap_or_else(|| NOTHING.to_owned()),
        ratio(figures.get(Measure::Wire)),
        if more.is_empty() {
            NOTHING.to_owned()
        } else {
            more.join(", ")
        },
        goals.join(", "),
        if cell.is_good() { "yes" } else { "**no**" },
    ))
}

/// All that is known about round trips.
fn trips(figures: &Figures) -> Vec<String> {
    let names = [
        ("p50", Measure::Median),
        ("p99", Measure::P99),
        ("max", Measure::Longest),
    ];
    let told = |(name, measure)| Some(format!("{name} {:.1} ms", figures.get(measure)?));
    names.into_iter().filter_map(told).collect()
}

fn describe(row: &Row) -> String {
    let link = row.link.describe();
    match row.task {
        Task::Bulk { streams: 1 } => link,
        Task::Bulk { streams } => format!("{link}; {streams} flows"),
        Task::BesideTcp => format!("{link}; beside TCP with BBR"),
        Task::Ping { .. } => format!("{link}; request and response"),
    }
}

/// All transports, by loss: goodput and waste.
fn comparison(cells: &[Cell]) -> Option<String> {
    let mut transports: Vec<_> = cells.iter().map(|cell| cell.transport).collect();
    transports.sort_unstable();
    transports.dedup();
    let link = with_loss(0.0).link.describe();
    let mut table = format!("MB/s · wire ratio, on {link}, at this loss:\n\n| |");
    for loss in LOSSES {
        let _ = write!(table, " {loss} % |");
    }
    table += "\n|---|";
    table += &"---|".repeat(LOSSES.len());
    table.push('\n');
    let mut any = false;
    for transport in transports {
        let found = LOSSES.map(|loss| find(cells, transport, loss));
        if found.iter().all(Option::is_none) {
            continue;
        }
        any = true;
        let entries = found.map(|entry| entry.unwrap_or_else(|| NOTHING.to_owned()));
        let _ = writeln!(table, "| {} | {} |", transport.name(), entries.join(" | "));
    }
    any.then_some(table)
}

/// The other transports on the other links.
fn others(cells: &[Cell]) -> Option<String> {
    let mut table = String::from("| Link | transport | MB/s · wire ratio |\n|---|---|---|\n");
    let head = table.len();
    for cell in cells {
        let elsewhere = cell.row.loss().is_none() && cell.transport != Transport::Mkcp;
        if let (true, Some(entry)) = (elsewhere, entry(cell)) {
            let (link, name) = (describe(&cell.row), cell.transport.name());
            let _ = writeln!(table, "| {link} | {name} | {entry} |");
        }
    }
    (table.len() > head).then_some(table)
}

fn find(cells: &[Cell], transport: Transport, loss: f64) -> Option<String> {
    let mut cells = cells.iter().filter(|cell| cell.transport == transport);
    entry(cells.find(|cell| cell.row.loss() == Some(loss))?)
}

/// Goodput and waste.
fn entry(cell: &Cell) -> Option<String> {
    let figures = cell.figures()?;
    let (goodput, wire) = (figures.get(Measure::Goodput), figures.get(Measure::Wire));
    Some(format!("{} · {}", number(goodput), ratio(wire)))
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| NOTHING.to_owned(), |value| format!("{value:.2}"))
}

fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| NOTHING.to_owned(), |value| format!("{value:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::examples;

    #[test]
    fn mkcp_is_told_with_its_goals() {
        let good = examples::cell(with_loss(0.0), Transport::Mkcp, 11.5, 1.06);
        let bad = examples::cell(with_loss(10.0), Transport::Mkcp, 9.0, 1.2);
        let text = markdown(&[good, bad]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[2],
            "| 100 Mbit/s, 50 ms, queue 50ms | 11.50 | 97.2 % | 1.060 | – | ≥ 95 %, ratio ≤ 1.07 | yes |"
        );
        assert!(
            lines[3].ends_with("| 9.00 | 84.5 % | 1.200 | – | ≥ 92 %, ratio ≤ 1.21 | **no** |")
        );
    }

    #[test]
    fn transports_are_compared_over_loss() {
        let cells = [
            examples::cell(with_loss(0.0), Transport::TcpBbr, 11.0, 1.05),
            examples::cell(with_loss(20.0), Transport::TcpBbr, 0.5, 1.3),
        ];
        let text = markdown(&cells);
        assert!(
            text.contains("| | 0 % | 1 % | 5 % | 10 % | 20 % |\n"),
            "{text}"
        );
        let expected = "| tcp-bbr | 11.00 · 1.050 | – | – | – | 0.50 · 1.300 |\n";
        assert!(text.ends_with(expected), "{text}");
        assert!(!text.contains("goals"), "{text}");
    }

    #[test]
    fn others_on_other_links_have_a_table_of_their_own() {
        let mut rows = crate::rows::all().into_iter();
        let far = rows.find(|row| row.name == "far").unwrap();
        let text = markdown(&[examples::cell(far, Transport::TcpBbr, 0.7, 1.06)]);
        assert!(!text.contains("at this loss"), "{text}");
        let expected = "| 20 Mbit/s, 300 ms, queue 300ms, loss 2% | tcp-bbr | 0.70 · 1.060 |\n";
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn without_results_there_is_no_table() {
        let pair = (with_loss(0.0), Transport::Mkcp);
        assert_eq!(markdown(&[Cell::new(pair)]), "");
    }
}
