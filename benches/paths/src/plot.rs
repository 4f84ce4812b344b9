//! The medians as bars, a panel for each row of the table.

use std::error::Error;

use bench_common::plot::{COLOURS, FONT};
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::{
    measures::{Measure, ROWS, Row, digits},
    results::{Results, Spread},
    transports::Transport,
};

const COLUMNS: usize = 3;
const PANEL: (u32, u32) = (420, 280);
/// Where the bars begin, and how much is left for the numbers behind them.
const NAMES: i32 = 100;
const NUMBERS: i32 = 60;
const TOP: i32 = 40;
const STEP: i32 = 23;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A panel's bars.
type Bars = Vec<(Transport, Spread)>;

/// Draws an SVG.
pub(crate) fn draw(results: &Results) -> Result<String, Box<dyn Error>> {
    let panels: Vec<_> = ROWS
        .into_iter()
        .filter_map(|row| bars(row, results))
        .collect();
    let lines = panels.len().div_ceil(COLUMNS).max(1);
    let size = (PANEL.0 * COLUMNS as u32, PANEL.1 * lines as u32);
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        root.fill(&WHITE)?;
        let areas = root.split_evenly((lines, COLUMNS));
        for (area, (row, bars)) in areas.iter().zip(&panels) {
            panel(area, *row, bars)?;
        }
        root.present()?;
    }
    Ok(text)
}

/// What there is to be seen of a row, if anything.
fn bars(row: Row, results: &Results) -> Option<(Row, Bars)> {
    let transports = results.transports();
    let bar = |&own: &Transport| Some((own, results.spread(row, own)?));
    let bars: Bars = transports.iter().filter_map(bar).collect();
    (row.measure != Measure::Errors && !bars.is_empty()).then_some((row, bars))
}

fn panel(area: &Area<'_>, row: Row, bars: &Bars) -> Result<(), Box<dyn Error>> {
    let title = (FONT, 16).into_font().color(&BLACK);
    area.draw(&Text::new(row.title, (12, 12), title))?;
    let most = bars.iter().map(|bar| bar.1.most).fold(0.0, f64::max);
    let room = f64::from(PANEL.0 as i32 - NAMES - NUMBERS);
    let scale = match most > 0.0 {
        true => room / most,
        false => 0.0,
    };
    let place = |value: f64| NAMES + (value * scale).round() as i32;
    for (y, &(transport, spread)) in (TOP..).step_by(STEP as usize).zip(bars) {
        let middle = y + STEP / 2 - 2;
        let right = Pos::new(HPos::Right, VPos::Center);
        let style = (FONT, 13).into_font().color(&BLACK);
        let name = style.clone().pos(right);
        area.draw(&Text::new(transport.name(), (NAMES - 6, middle), name))?;
        let corners = [(NAMES, y), (place(spread.median), y + STEP - 5)];
        area.draw(&Rectangle::new(corners, colour(transport).filled()))?;
        let whisker = vec![(place(spread.least), middle), (place(spread.most), middle)];
        area.draw(&PathElement::new(whisker, BLACK.stroke_width(1)))?;
        let behind = (place(spread.most) + 5, middle);
        let number = style.pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(digits(spread.median), behind, number))?;
    }
    Ok(())
}

/// mkcp stands out; what has no protocol stands back.
fn colour(transport: Transport) -> RGBColor {
    match transport {
        own if own.is_mkcp() => COLOURS[0],
        Transport::Raw | Transport::Udp => RGBColor(190, 190, 190),
        Transport::Tcp => COLOURS[4],
        Transport::Quinn => COLOURS[1],
        _ => COLOURS[2],
    }
}

#[cfg(test)]
mod tests {
    use bench_common::plot::is_well_formed;
    use clap::ValueEnum as _;

    use super::*;
    use crate::{results::examples, tasks::Task};

    #[test]
    fn every_transport_has_a_bar_in_every_panel() {
        let mut results = Results::default();
        for transport in [Transport::Mkcp, Transport::Quinn] {
            let goodput = (Task::Bulk, Measure::Goodput);
            examples::add(&mut results, goodput, transport, &[30.0, 50.0]);
            examples::add(&mut results, (Task::Echo, Measure::P99), transport, &[30.0]);
        }
        let text = draw(&results).unwrap();
        assert!(is_well_formed(&text));
        assert_eq!(text.matches("\nmkcp\n").count(), 2);
        assert_eq!(text.matches("<rect").count(), 1 + 4, "with the ground");
    }

    #[test]
    fn the_bars_of_all_fit_their_panel() {
        let all = Transport::value_variants().len() as i32;
        // No task has `raw` and `udp`, or one of them and `mkcp-threads`.
        assert!(TOP + (all - 2) * STEP <= PANEL.1 as i32);
    }

    #[test]
    fn nothing_measured_is_an_empty_plot() {
        assert!(is_well_formed(&draw(&Results::default()).unwrap()));
    }
}
