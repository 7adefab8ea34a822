//! Opening a store: after a clean close, and after its process was killed.

use std::{path::Path, time::Instant};

use kv_core::KvStore;
use kv_fs::{FsStore, Settings};

use crate::{
    Result,
    bench::Bench,
    child,
    contestants::Kind,
    grid::Grid,
    results::{Row, Target},
};

const COLUMN: &str = "seconds";
const CLEAN: &str = "after a clean close";
const DUE: &str = "killed, a checkpoint is due";
const FULL: &str = "killed, the table is full";
/// Keys that are written again before the store is killed.
const HOT: usize = 10_000;

pub(super) fn run(bench: &Bench) -> Result<Row> {
    let dir = bench.filled(bench.keys)?;
    let settings = Settings::default();
    let (due, full) = (settings.checkpoint_after, settings.table_budget as u64);
    let mut grid = Grid::default();
    for round in 0..bench.rounds {
        for (what, log) in [(CLEAN, 0), (DUE, due), (FULL, full)] {
            if log > 0 {
                child::crash_with_log(&dir, HOT.min(bench.keys), log)?;
            }
            let seconds = open(&dir)?;
            grid.push(what, COLUMN, seconds);
            eprintln!("round {}: {what}: {seconds:.3} s", round + 1);
        }
    }
    let verdicts = vec![
        grid.verdict("open after a clean close", Target::AtMost(0.3), "s", (CLEAN, COLUMN)),
        grid.verdict(
            "open after a crash with a full log",
            Target::AtMost(1.0),
            "s",
            (FULL, COLUMN),
        ),
    ];
    let how = format!(
        "{}, {} keys, {} rounds, the operating system has the files in memory; \
         the process is killed with {} MiB of values of 256 B in the log (a checkpoint would begin) \
         or {} MiB (writers would wait).",
        Kind::Fs.label(),
        bench.keys,
        bench.rounds,
        due >> 20,
        full >> 20,
    );
    Ok(bench.row(how, &grid, verdicts))
}

/// Seconds to open; then everything is put away cleanly.
fn open(dir: &Path) -> Result<f64> {
    let start = Instant::now();
    let store = FsStore::open(dir, Settings::default())?;
    let seconds = start.elapsed().as_secs_f64();
    store.close()?;
    Ok(seconds)
}
