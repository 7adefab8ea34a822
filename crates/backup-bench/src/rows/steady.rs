//! A steady load of changes: how far the cloud is behind, and what that costs.

use crate::{
    Result,
    bench::Bench,
    child,
    grid::Grid,
    results::{Row, Series, Spread, Target, Verdict},
    tasks::{Load, Steady, Task},
};

/// How many records there are, of which any is written anew.
const RECORDS: usize = 20_000;
/// Points of the plot.
const POINTS: f64 = 600.0;

pub(super) fn run(bench: &Bench) -> Result<Row> {
    let mut grid = Grid::default();
    let mut load = |who: &str, name: &str, with_cloud: bool, seconds: u64| -> Result<Steady> {
        let cloud = with_cloud.then(|| bench.ground.place(&format!("{name}-cloud"))).transpose()?;
        let folder = bench.ground.place(name)?;
        let (changes, records) = (bench.changes, RECORDS);
        let load = Load { folder, cloud, seconds, changes, records };
        let steady: Steady = child::ask(&Task::Steady(load))?;
        grid.push(who, "changes/s", steady.changes);
        grid.push(who, "processor, % of a core", steady.cpu * 100.0);
        grid.push(who, "idle, % of a core", steady.idle_cpu * 100.0);
        eprintln!("{who}: {:.1} % of a core", steady.cpu * 100.0);
        Ok(steady)
    };
    let backed_up = load("a folder as cloud", "steady", true, bench.steady_seconds)?;
    load("no cloud", "steady-alone", false, bench.steady_seconds.div_ceil(3))?;

    let mut ages = backed_up.ages.clone();
    ages.sort_by(f64::total_cmp);
    let age = |share: f64| {
        let rank = (ages.len() as f64 * share) as usize;
        ages.get(rank).or(ages.last()).copied().unwrap_or_default()
    };
    let who = "a folder as cloud";
    let kib = |bytes: u64| bytes as f64 / 1024.0;
    for (column, figure) in [
        ("age p50, ms", age(0.5)),
        ("age p99, ms", age(0.99)),
        ("age at most, ms", age(1.0)),
        ("segments", backed_up.segments as f64),
        ("put in segments and heads, KiB", kib(backed_up.put)),
        ("zstd of the changes alone, KiB", kib(backed_up.zstd)),
        ("padding of that, KiB", kib(backed_up.padding)),
        ("put in dumps, KiB", kib(backed_up.dumps)),
    ] {
        grid.push(who, column, figure);
    }
    let once = |what: &str, target, unit: &str, figure: f64| {
        Verdict::new(what, target, unit, Spread { median: figure, min: figure, max: figure })
    };
    // Both sides without the padding.
    let put = backed_up.put.saturating_sub(backed_up.padding) as f64;
    let verdicts = vec![
        once(
            "steady load: age of the oldest change not in the cloud, p99",
            Target::AtMost(1.2),
            "s",
            age(0.99) / 1e3,
        ),
        once("steady load: of one core", Target::AtMost(10.0), "%", backed_up.cpu * 100.0),
        once(
            "steady load: bytes put but for padding, of the zstd size of the changes",
            Target::AtMost(1.2),
            "×",
            put / backed_up.zstd as f64,
        ),
    ];
    let how = format!(
        "{} changes per second for {} s, each a durable batch of its own: one record of {RECORDS} \
         written anew in a wallet in a folder, backed up by its background task with default settings. \
         The age was looked at {:.0} times a second. \
         Processor time is that of the whole process, the writing of the changes included; \
         the second line is the same load without a cloud.",
        bench.changes, bench.steady_seconds, backed_up.looks,
    );
    let step = (backed_up.ages.len() as f64 / POINTS).ceil().max(1.0) as usize;
    let points = backed_up.ages.iter().enumerate().step_by(step);
    let points =
        points.map(|(look, age)| (round(look as f64 / backed_up.looks, 2), round(age / 1e3, 3)));
    let series = vec![Series { label: "age".to_owned(), points: points.collect() }];
    Ok(Row { series, ..bench.row(how, &grid, verdicts) })
}

fn round(number: f64, digits: i32) -> f64 {
    let factor = 10_f64.powi(digits);
    (number * factor).round() / factor
}
