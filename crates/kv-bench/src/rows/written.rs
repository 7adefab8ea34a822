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
            let dir = bench.ground.folder(&format!("written-{kind:?}-{is_hot}"))?;
            let load = Load {
                values: &bench.values,
                keys: if is_hot { Keys::Hot(&names) } else { Keys::New(&next) },
                threads: THREADS,
                value_len: SMALL,
                seed: 6,
            };
            let store = kind.open(&dir)?;
            let before = machine::bytes_written(&dir)?;
            let done = load.run(&*store, bench.slot * SLOTS)?;
            drop(store);
            let written = machine::bytes_written(&dir)?.saturating_sub(before);
            let ratio = written as f64 / (done.latency.count() * SMALL as u64) as f64;
            grid.push(kind.label(), what, ratio);
            eprintln!("{}: {what}: {ratio:.2}", kind.label());
        }
    }
    let verdict = |what: &str| {
        let name = format!("bytes written per byte stored, {what}");
        grid.verdict(&name, Target::Reported, "×", (Kind::Fs.label(), what))
    };
    let verdicts = vec![verdict("hot keys"), verdict("new keys")];
    let how = format!(
        "256 B from {THREADS} threads for {:.0} s, once, closing included. \
         What the disk says it has written: all metadata included, and whatever else wrote meanwhile.",
        (bench.slot * SLOTS).as_secs_f64()
    );
    Ok(bench.row(how, &grid, verdicts))
}
