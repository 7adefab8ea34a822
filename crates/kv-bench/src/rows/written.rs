//! Bytes written to the disk per byte of value stored.

use std::sync::atomic::AtomicUsize;

use crate::{
    Result,
    bench::{Bench, HOT_KEYS, SMALL},
    contestants::Kind,
    grid::Grid,
    load::{Keys, Load},
    machine,
    names::Name,
    results::{Row, Target},
};

/// Longer than a round, so that checkpoints and compactions have their share.
const SLOTS: u32 = 10;
const THREADS: usize = 16;

pub(super) fn run(bench: &Bench) -> Result<Row> {
    let names = Name::many(HOT_KEYS)?;
    let mut grid = Grid::default();
    for kind in Kind::WRITERS {
        for (what, is_hot) in [("hot keys", true), ("new keys", false)] {
            let next = AtomicUsize::new(0);
            let dir = bench.folder("written")?;
            let load = Load {
                values: &bench.values,
                keys: if is_hot { Keys::Hot(&names) } else { Keys::New(&next) },
                threads: THREADS,
                value_len: SMALL,
                seed: 6,
            };
            let store = kind.open(&dir)?;
            let before = (machine::bytes_written()?, machine::device_bytes_written(&dir)?);
            let done = load.run(&*store, bench.slot * SLOTS)?;
            drop(store);
            let after = (machine::bytes_written()?, machine::device_bytes_written(&dir)?);
            let stored = (done.latency.count() * SMALL as u64) as f64;
            let by_us = after.0.saturating_sub(before.0) as f64 / stored;
            let by_disk = after.1.saturating_sub(before.1) as f64 / stored;
            grid.push(kind.label(), &format!("{what}, by the process"), by_us);
            grid.push(kind.label(), &format!("{what}, by the disk"), by_disk);
            eprintln!(
                "{}: {what}: {by_us:.2} by the process, {by_disk:.2} by the disk",
                kind.label()
            );
            bench.done_with(&dir)?;
        }
    }
    let verdict = |what: &str| {
        let (name, column) =
            (format!("bytes written per byte stored, {what}"), format!("{what}, by the process"));
        grid.verdict(&name, Target::Reported, "×", (Kind::Fs.label(), &column))
    };
    let verdicts = vec![verdict("hot keys"), verdict("new keys")];
    let how = format!(
        "256 B from {THREADS} threads for {:.0} s, once, closing included; \
         the limit writes one file over and over; the disk's own count includes the file system's metadata and whatever else wrote meanwhile.",
        (bench.slot * SLOTS).as_secs_f64()
    );
    Ok(bench.row(how, &grid, verdicts))
}
