//! Opening a store: after a clean close, and after its process was killed.

use kv_fs::Settings;

use crate::{
    Result,
    bench::Bench,
    child,
    contestants::Kind,
    grid::Grid,
    results::{Row, Target},
};

const SECONDS: &str = "seconds";
const LOG: &str = "log, MiB";
const MEMORY: &str = "memory at most, MiB";
const CLEAN: &str = "after a clean close";
const DUE: &str = "killed, a checkpoint is due";
const FULL: &str = "killed, the log is full";
/// Keys that are written again before the store is killed.
const HOT: usize = 10_000;

pub(super) fn run(bench: &Bench) -> Result<Row> {
    let dir = bench.filled(bench.keys)?;
    let due = Settings::default().checkpoint_after;
    // Here writers would wait for a checkpoint: no log gets longer.
    let full = due * 40;
    let mut grid = Grid::default();
    for round in 0..bench.rounds {
        for (what, log) in [(CLEAN, 0), (DUE, due), (FULL, full)] {
            let hot = HOT.min(bench.keys);
            let log = if log > 0 { child::crash_with_log(&dir, hot, log)? } else { 0 };
            let opened = child::open(&dir)?;
            grid.push(what, SECONDS, opened.seconds);
            grid.push(what, LOG, mib(log as f64));
            grid.push(what, MEMORY, mib(opened.peak as f64));
            eprintln!("round {}: {what}: {:.3} s", round + 1, opened.seconds);
        }
    }
    let verdicts = vec![
        grid.verdict("open after a clean close", Target::AtMost(0.3), "s", (CLEAN, SECONDS)),
        grid.verdict(
            "open after a crash with a full log",
            Target::AtMost(1.0),
            "s",
            (FULL, SECONDS),
        ),
    ];
    let how = format!(
        "{}, {} keys, {} rounds, each in a new process, the operating system has the files in memory; \
         the process before was killed with {} MiB of log, from which on a checkpoint would begin, \
         or {} MiB, from which on writers would wait: values of 256 B of {HOT} keys. \
         Memory is what the process that opens has at most more than before.",
        Kind::Fs.label(),
        bench.keys,
        bench.rounds,
        due >> 20,
        full >> 20,
    );
    Ok(bench.row(how, &grid, verdicts))
}

fn mib(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}
