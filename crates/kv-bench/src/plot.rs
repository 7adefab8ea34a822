//! Which plots a row has, and what is in them.

use bench_report::{
    chart::{Axis, Chart, Line, Scale},
    page::Plot,
};

use crate::results::{Moment, Row};

/// A colour for each contestant that stays the same in all plots; others take the last ones.
const COLOURS: [(&str, &str); 10] = [
    ("limit of the disk", "#888888"),
    ("kv-fs", "#0b5fff"),
    ("kv-fs, sealed and recorded", "#6ea8ff"),
    ("LDK v1", "#b5651d"),
    ("LDK v2", "#d98e04"),
    ("SQLite as ldk-node", "#9c27b0"),
    ("SQLite WAL, FULL", "#c678dd"),
    ("redb", "#c0392b"),
    ("fjall", "#1e8449"),
    ("LMDB", "#00838f"),
];

/// The files of a row's plots, with what they show.
fn files(row: &str) -> Vec<(String, String)> {
    let file = |what: &str, title: &str| (format!("{row}{what}.svg"), title.to_owned());
    match row {
        "writes-256" => vec![file("", "Durable writes of 256 B per second, by threads")],
        "writes-64k" => vec![file("", "Durable writes of 64 KiB per second, by threads")],
        "long-hot" => vec![
            file("-latency", "Latency over time, 1,000 hot keys"),
            file("-throughput", "Writes per second over time, 1,000 hot keys"),
        ],
        "long-new" => vec![
            file("-latency", "Latency over time, new keys only"),
            file("-throughput", "Writes per second over time, new keys only"),
        ],
        _ => Vec::new(),
    }
}

/// The plots of a row.
pub(crate) fn of_row(name: &str, row: &Row) -> Vec<Plot> {
    let plots = files(name).into_iter().map(|(file, title)| {
        let chart = if file.ends_with("-latency.svg") {
            latency(title.clone(), &row.times)
        } else if file.ends_with("-throughput.svg") {
            throughput(title.clone(), &row.times)
        } else {
            by_threads(title.clone(), row)
        };
        Plot { file, title, svg: chart.to_svg() }
    });
    plots.collect()
}

fn by_threads(title: String, row: &Row) -> Chart {
    let mut lines: Vec<Line> = Vec::new();
    for number in &row.numbers {
        let threads = number.column.split(' ').next().and_then(|threads| threads.parse().ok());
        let Some(threads) = threads else { continue };
        let point = (threads, number.spread.median);
        match lines.iter_mut().find(|line| line.label == number.contestant) {
            Some(line) => line.points.push(point),
            None => lines.push(Line {
                label: number.contestant.clone(),
                colour: colour(&number.contestant, lines.len()),
                points: vec![point],
            }),
        }
    }
    let mut ticks: Vec<f64> = lines.iter().flat_map(|l| &l.points).map(|(x, _)| *x).collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    Chart {
        title,
        x: Axis { label: "threads".to_owned(), scale: Scale::Log, ticks },
        y: Axis { label: "writes per second".to_owned(), scale: Scale::Log, ticks: Vec::new() },
        lines,
    }
}

fn latency(title: String, times: &[Moment]) -> Chart {
    let line = |label: &str, colour: &str, of: fn(&Moment) -> f64| {
        over_time(label, colour, times, |moment| of(moment) / 1e3)
    };
    over_minutes(
        title,
        "milliseconds",
        Scale::Log,
        vec![
            line("longest", "#d98e04", |moment| moment.max_us),
            line("p99.9", "#c0392b", |moment| moment.p999_us),
            line("median", "#0b5fff", |moment| moment.p50_us),
        ],
    )
}

fn throughput(title: String, times: &[Moment]) -> Chart {
    let line = over_time("kv-fs", "#0b5fff", times, |moment| moment.per_second);
    over_minutes(title, "writes per second", Scale::Linear, vec![line])
}

fn over_time(label: &str, colour: &str, times: &[Moment], of: impl Fn(&Moment) -> f64) -> Line {
    let points = times.iter().map(|moment| (moment.seconds / 60.0, of(moment)));
    Line { label: label.to_owned(), colour: colour.to_owned(), points: points.collect() }
}

fn over_minutes(title: String, y: &str, scale: Scale, lines: Vec<Line>) -> Chart {
    Chart {
        title,
        x: Axis { label: "minutes".to_owned(), scale: Scale::Linear, ticks: Vec::new() },
        y: Axis { label: y.to_owned(), scale, ticks: Vec::new() },
        lines,
    }
}

fn colour(contestant: &str, index: usize) -> String {
    let named = COLOURS.iter().find(|(name, _)| *name == contestant);
    let any = COLOURS.iter().cycle().nth(index);
    named.or(any).map_or("#000000", |(_, colour)| colour).to_owned()
}
