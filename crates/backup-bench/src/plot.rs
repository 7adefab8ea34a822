//! Which plots a row has, and what is in them.

use bench_report::{
    chart::{Axis, Chart, Line, Scale},
    page::Plot,
};

use crate::results::{Row, Series};

const COLOURS: [&str; 4] = ["#0b5fff", "#6ea8ff", "#c0392b", "#d98e04"];

/// The plots of a row.
pub(crate) fn of_row(name: &str, row: &Row) -> Vec<Plot> {
    let (title, x, y) = match name {
        "steady" => ("Age of the oldest change that is not in the cloud", "seconds", "seconds"),
        "side-by-side" => ("Backup and restore beside restic, by round", "round", "seconds"),
        _ => return Vec::new(),
    };
    let line = |(series, colour): (&Series, &str)| Line {
        label: series.label.clone(),
        colour: colour.to_owned(),
        points: series.points.clone(),
    };
    let chart = Chart {
        title: title.to_owned(),
        x: Axis { label: x.to_owned(), scale: Scale::Linear, ticks: Vec::new() },
        y: Axis { label: y.to_owned(), scale: Scale::Linear, ticks: Vec::new() },
        lines: row.series.iter().zip(COLOURS).map(line).collect(),
    };
    vec![Plot { file: format!("{name}.svg"), title: title.to_owned(), svg: chart.to_svg() }]
}
