//! Durable records, one by one and in batches.

use bench_report::{
    Result, child,
    grid::Grid,
    results::{Row, Target},
    run::rotated,
};

use super::{CONTESTANTS, PEER, SQLITE};
use crate::{
    bench::Bench,
    tasks::{Inserted, Task},
};

const SINGLE: &str = "one by one, records/s";
const BATCHES: &str = "batches of 1,000, records/s";

pub(super) fn run(bench: &Bench) -> Result<Row> {
    let mut grid = Grid::default();
    for round in 0..bench.rounds {
        for (name, who) in rotated(&CONTESTANTS, round) {
            let folder = bench.ground.folder(&format!("inserts {name} {round}"))?;
            let task = Task::Insert { who, folder, records: bench.inserts };
            let inserted: Inserted = child::ask(&task)?;
            eprintln!("round {}: {name} {inserted:?}", round + 1);
            grid.push(name, SINGLE, inserted.single);
            grid.push(name, BATCHES, inserted.batches);
        }
    }
    let ours = SQLITE.0;
    let mut verdicts = Vec::new();
    for (what, column, target) in [
        ("durable inserts, one thread, pipelined", SINGLE, 20_000.0),
        ("durable inserts in batches of 1,000", BATCHES, 60_000.0),
    ] {
        verdicts.push(grid.verdict(what, Target::AtLeast(target), "records/s", (ours, column)));
        let name = format!("{what}: beside SQLite");
        verdicts.push(grid.compare(&name, Target::AtLeast(1.0), (ours, column), (PEER.0, column)));
    }
    let how = format!(
        "{} records one by one and as many in batches into a new store with 4 indexes, sealed and recorded, {} rounds, each in a process of its own on {} cores. \
         One by one, up to 1,000 commits are in flight; SQLite syncs for each transaction, and writes a tenth of them.",
        bench.inserts,
        bench.rounds,
        child::CORES
    );
    Ok(bench.row(how, &grid, verdicts))
}
