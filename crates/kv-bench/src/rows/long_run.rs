//! Minutes of writing without a pause: does throughput hold while checkpoints run, and do writers stall?

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use super::writes;
use crate::{
    Result,
    bench::{Bench, HOT_KEYS, SMALL},
    contestants::Kind,
    grid::Grid,
    histogram::Histogram,
    load::{self, Load},
    machine,
    names::Name,
    results::{Moment, Row, Spread, Target, Verdict},
};

/// Which keys are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    Hot,
    New,
}

/// Moments of a plot.
const MOMENTS: f64 = 300.0;

pub(super) fn run(bench: &Bench, keys: Keys) -> Result<Row> {
    let names = Name::many(HOT_KEYS)?;
    let next = AtomicUsize::new(0);
    let dir = bench.ground.folder(&format!("long-{keys:?}"))?;
    let store = Kind::Fs.open(&dir)?;
    let load = Load {
        values: &bench.values,
        keys: match keys {
            Keys::Hot => load::Keys::Hot(&names),
            Keys::New => load::Keys::New(&next),
        },
        threads: bench.long_threads,
        value_len: SMALL,
        seed: 5,
    };
    let slice = bench.long.as_secs_f64().min(60.0 * 10.0) / 10.0;
    let tick = (bench.long.as_secs_f64() / MOMENTS).max(0.5).min(slice / 2.0);
    let tick = Duration::from_secs_f64(tick);
    let mut times = Vec::new();
    // Writes and time of each slice.
    let mut slices: Vec<(f64, f64)> = Vec::new();
    let mut before = Duration::ZERO;
    let start_memory = machine::resident_bytes();
    let mut most_memory = 0;
    let mut each = |at: Duration, now: &Histogram| {
        let seconds = (at - before).as_secs_f64();
        let number = (before.as_secs_f64() / slice) as usize;
        before = at;
        times.push(moment(at, seconds, now));
        slices.resize(slices.len().max(number + 1), (0.0, 0.0));
        if let Some((writes, time)) = slices.get_mut(number) {
            *writes += now.count() as f64;
            *time += seconds;
        }
        most_memory = most_memory.max(machine::resident_bytes().saturating_sub(start_memory));
        keys == Keys::Hot || next.load(Relaxed) < bench.long_keys
    };
    let done = load.watch(&*store, bench.long, tick, &mut each)?;
    drop(store);

    slices.retain(|(_, time)| *time > 0.0);
    let rates: Vec<f64> = slices.iter().map(|(writes, time)| writes / time).collect();
    let (mut grid, ours) = (Grid::default(), Kind::Fs.label());
    let latency = &done.latency;
    for (column, number) in [
        ("writes/s", done.per_second()),
        ("p50, µs", latency.quantile(0.5)),
        ("p99, µs", latency.quantile(0.99)),
        ("p99.9, µs", latency.quantile(0.999)),
        ("longest, µs", latency.max()),
    ] {
        grid.push(ours, column, number);
    }
    // A thousand keys take less than what earlier rows have left in the process.
    if keys == Keys::New {
        grid.push(ours, "memory at most, MiB", most_memory as f64 / f64::from(1 << 20));
    }
    for (number, rate) in rates.iter().enumerate() {
        eprintln!("slice {} of {slice:.0} s: {rate:.0} writes/s", number + 1);
    }
    let how = format!(
        "{:.1} minutes, {}, 256 B, {}.",
        done.time.as_secs_f64() / 60.0,
        writes::column(bench.long_threads),
        match keys {
            Keys::Hot => format!("{HOT_KEYS} hot keys"),
            Keys::New => format!(
                "{} new keys, with {} of which it ends whatever the time; memory is what the process \
                 had more than before",
                next.load(Relaxed),
                bench.long_keys
            ),
        }
    );
    let verdicts = verdicts(keys, &rates, latency, slice);
    Ok(Row { times, ..bench.row(how, &grid, verdicts) })
}

fn moment(at: Duration, seconds: f64, now: &Histogram) -> Moment {
    Moment {
        seconds: (at.as_secs_f64() * 10.0).round() / 10.0,
        per_second: (now.count() as f64 / seconds).round(),
        p50_us: now.quantile(0.5).round(),
        p999_us: now.quantile(0.999).round(),
        max_us: now.max().round(),
    }
}

fn verdicts(keys: Keys, rates: &[f64], latency: &Histogram, slice: f64) -> Vec<Verdict> {
    let (who, steady, tail) = match keys {
        Keys::Hot => ("hot keys", Target::AtLeast(0.6), Target::AtMost(50.0)),
        Keys::New => ("new keys", Target::Reported, Target::Reported),
    };
    let first = rates.first().copied().unwrap_or_default();
    let later: Vec<f64> = rates.iter().skip(1).map(|rate| rate / first).collect();
    let Spread { median, min, max } = Spread::of(&later);
    let verdict = |what: String, target, spread| Verdict::new(&what, target, "×", spread);
    let tail_ratio = latency.quantile(0.999) / latency.quantile(0.5);
    vec![
        // The worst one must reach it, not the median.
        verdict(
            format!(
                "{who}: slowest {slice:.0} s of the first {slice:.0} s (median {median:.2}, best {max:.2})"
            ),
            steady,
            Spread { median: min, min, max: min },
        ),
        verdict(
            format!("{who}: p99.9 latency of the median"),
            tail,
            Spread { median: tail_ratio, min: tail_ratio, max: tail_ratio },
        ),
    ]
}
