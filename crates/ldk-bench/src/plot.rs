//! Which plots a row has, and what is in them.

use bench_report::{
    chart::{Axis, Chart, Line, Scale},
    page::Plot,
    results::{Row, Series},
};

const COLOURS: [&str; 4] = ["#0b5fff", "#6ea8ff", "#c0392b", "#d98e04"];

/// The plots of a row.
pub(crate) fn of_row(name: &str, row: &Row) -> Vec<Plot> {
    if row.series.is_empty() {
        return Vec::new();
    }
    let title = format!("Payments per second by the size of a monitor, {name}");
    let line = |(series, colour): (&Series, &str)| Line {
        label: series.label.clone(),
        colour: colour.to_owned(),
        points: series.points.clone(),
    };
    let axis = |label: &str, ticks: &[f64]| Axis {
        label: label.to_owned(),
        scale: Scale::Log,
        ticks: ticks.to_vec(),
    };
    let chart = Chart {
        title: title.clone(),
        x: axis("KiB", &[10.0, 100.0, 1024.0]),
        y: axis("payments/s", &[]),
        lines: row.series.iter().zip(COLOURS).map(line).collect(),
    };
    vec![Plot { file: format!("{name}.svg"), title, svg: chart.to_svg() }]
}
