//! The comparison of transports as a plot: goodput and waste over loss.

use std::error::Error;

use bench_common::plot::{COLOURS, FONT, label, style};
use plotters::{
    coord::{
        Shift,
        ranged1d::{AsRangedCoord, Ranged, ValueFormatter},
        types::RangedCoordf64,
    },
    element::DashedPathElement,
    prelude::*,
};

use crate::{
    figures::Measure,
    results::Cell,
    rows::{LOSSES, with_loss},
    transports::Transport,
};

const SIZE: (u32, u32) = (1200, 520);
const LEGEND: u32 = 190;
/// The waste that the plot has room for; what is beyond is off the plot.
const MOST_WASTE: f64 = 20.0;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, Y>>;

/// A line of either panel.
struct Series {
    transport: Transport,
    /// Loss in percent, and the figure.
    points: Vec<(f64, f64)>,
}

/// Draws an SVG.
pub(crate) fn draw(cells: &[Cell]) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    draw_to(&mut text, cells)?;
    Ok(text)
}

fn draw_to(text: &mut String, cells: &[Cell]) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let link = with_loss(0.0).link.describe();
    let title = (FONT, 22).into_font().color(&BLACK);
    let root = root.titled(&format!("Transports over packet loss ({link})"), title)?;
    let (panels, legend) = root.split_horizontally(SIZE.0 - LEGEND);
    let (left, right) = panels.split_horizontally((SIZE.0 - LEGEND) / 2);

    let goodput = series(cells, Measure::Goodput);
    let room = with_loss(0.0).link.room().unwrap_or(1.0);
    let most = room * 1.1;
    panel(&left, ["Goodput", "MB/s"], 0.0..most, most, &goodput)?;
    let waste = series(cells, Measure::Wire);
    let most = highest(&waste).clamp(1.2, MOST_WASTE) * 1.05;
    let axis = "bytes on the wire for each of goodput, logarithmic";
    let scale = (1.0..most).log_scale();
    panel(&right, ["Waste", axis], scale, most, &waste)?;
    explain(&legend, &goodput)?;
    root.present()?;
    Ok(())
}

/// What there is of a measure, by transport: the same transports for every measure, so that they
/// have the same colours.
fn series(cells: &[Cell], measure: Measure) -> Vec<Series> {
    let mut transports: Vec<_> = cells.iter().map(|cell| cell.transport).collect();
    transports.sort_unstable();
    transports.dedup();
    let line = |transport| {
        let cells = cells.iter().filter(|cell| cell.transport == transport);
        let point = |cell: &Cell| Some((cell.row.loss()?, cell.figures()?.get(measure)?));
        let mut points: Vec<_> = cells.filter_map(point).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Series { transport, points }
    };
    transports.into_iter().map(line).collect()
}

fn highest(series: &[Series]) -> f64 {
    let points = series.iter().flat_map(|line| &line.points);
    points.map(|point| point.1).fold(0.0, f64::max)
}

/// One plot, with a scale up to the most that it has room for.
fn panel<Y>(
    area: &Area<'_>,
    [title, axis]: [&str; 2],
    scale: Y,
    most: f64,
    series: &[Series],
) -> Result<(), Box<dyn Error>>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .caption(title, (FONT, 18))
        .x_label_area_size(42)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..LOSSES[LOSSES.len() - 1] + 0.5, scale)?;
    chart
        .configure_mesh()
        .x_desc("packet loss in %")
        .y_desc(axis)
        .axis_desc_style((FONT, 15))
        .label_style((FONT, 13))
        .max_light_lines(0)
        .x_label_formatter(&|loss| format!("{loss:.0}"))
        .y_label_formatter(&|value| label(*value))
        .draw()?;
    for (number, line) in series.iter().enumerate() {
        plot(&mut chart, number, line, most)?;
    }
    Ok(())
}

/// One line with a dot at every figure. It leaves the plot at the top if it must.
fn plot<Y: Ranged<ValueType = f64>>(
    chart: &mut Chart<'_, '_, Y>,
    number: usize,
    line: &Series,
    most: f64,
) -> Result<(), Box<dyn Error>> {
    let style = style(number);
    let inside = |point: &&(f64, f64)| point.1 <= most;
    let points = line.points.iter().map(|&(x, y)| (x, y.min(most)));
    if is_dashed(number) {
        chart.draw_series(DashedLineSeries::new(points, 6, 4, style))?;
    } else {
        chart.draw_series(LineSeries::new(points, style))?;
    }
    let dots = line.points.iter().filter(inside);
    chart.draw_series(dots.map(|&point| Circle::new(point, 3, style.filled())))?;
    Ok(())
}

/// Which line is which.
fn explain(area: &Area<'_>, series: &[Series]) -> Result<(), Box<dyn Error>> {
    for (number, line) in series.iter().enumerate() {
        let y = 50 + 22 * i32::try_from(number)?;
        let sample = vec![(0, y), (30, y)];
        if is_dashed(number) {
            let dashed = DashedPathElement::new(sample, 6, 4, style(number));
            area.draw(&dashed)?;
        } else {
            area.draw(&PathElement::new(sample, style(number)))?;
        }
        area.draw(&Circle::new((15, y), 3, style(number).filled()))?;
        let text = (FONT, 14).into_font().color(&BLACK);
        area.draw(&Text::new(line.transport.name(), (38, y - 7), text))?;
    }
    Ok(())
}

/// The second round of colours.
fn is_dashed(number: usize) -> bool {
    number >= COLOURS.len()
}

#[cfg(test)]
mod tests {
    use bench_common::plot::is_well_formed;
    use clap::ValueEnum;

    use super::*;
    use crate::results::examples;

    #[test]
    fn every_transport_has_its_line_in_both_panels_and_the_legend() {
        let cells: Vec<_> = Transport::value_variants()
            .iter()
            .flat_map(|&transport| {
                LOSSES.map(|loss| examples::cell(with_loss(loss), transport, 5.0, 1.2))
            })
            .collect();
        let text = draw(&cells).unwrap();
        assert!(is_well_formed(&text));
        for transport in Transport::value_variants() {
            let name = format!("\n{}\n", transport.name());
            assert_eq!(text.matches(&name).count(), 1, "{name}");
        }
        let transports = Transport::value_variants().len();
        let dots = text.matches("<circle").count();
        assert_eq!(dots, transports * (2 * LOSSES.len() + 1));
        for label in ["Goodput", "Waste", "MB/s", "packet loss in %"] {
            assert!(text.contains(label), "{label}");
        }
    }

    #[test]
    fn waste_beyond_all_measure_does_not_stretch_the_plot() {
        let cells = [
            examples::cell(with_loss(0.0), Transport::V2ray, 5.0, 1.2),
            examples::cell(with_loss(20.0), Transport::V2ray, 0.1, 900.0),
        ];
        let text = draw(&cells).unwrap();
        assert!(is_well_formed(&text));
        assert_eq!(text.matches("<circle").count(), 4);
    }

    #[test]
    fn nothing_measured_is_an_empty_plot() {
        assert!(is_well_formed(&draw(&[]).unwrap()));
    }
}
