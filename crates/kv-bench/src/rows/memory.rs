//! Memory that an open store takes for its keys, counted in a process of its own.

use crate::{
    Result,
    bench::Bench,
    child,
    contestants::Kind,
    grid::Grid,
    results::{Row, Target},
};

const LIVE: &str = "heap, bytes per key";
const RESIDENT: &str = "resident, bytes per key";
const PEAK: &str = "peak while opening, bytes per key";

pub(super) fn run(bench: &Bench) -> Result<Row> {
    let dir = bench.filled(bench.page_keys)?;
    let ours = Kind::Fs.label();
    let mut grid = Grid::default();
    for round in 0..bench.rounds {
        let memory = child::memory(&dir)?;
        let per_key = |bytes: i64| bytes as f64 / bench.page_keys as f64;
        grid.push(ours, LIVE, per_key(memory.live));
        grid.push(ours, RESIDENT, per_key(memory.resident));
        grid.push(ours, PEAK, per_key(memory.peak));
        eprintln!("round {}: {:.0} bytes per key", round + 1, per_key(memory.live));
    }
    let verdicts =
        vec![grid.verdict("memory per key", Target::AtMost(150.0), "bytes", (ours, LIVE))];
    let how = format!(
        "A store of {} keys (13 characters) opened in a new process; heap is what it allocated and did not free.",
        bench.page_keys
    );
    Ok(bench.row(how, &grid, verdicts))
}
