//! Suspending a whole wallet, and going on.

use bench_report::{
    Result, child,
    grid::Grid,
    results::{Row, Target},
    run::rotated,
};

use crate::{
    bench::Bench,
    tasks::{Resumed, Task},
    tower::Below,
};

/// As many as an application on a phone may have.
const RECORDS: usize = 10_000;

const SUSPEND: &str = "suspend, ms";
const RESUME: &str = "resume, ms";
/// The default comes first: targets are for it.
const WALLETS: [(&str, Below); 2] =
    [("a wallet on kv-fs", Below::Fs), ("a wallet on kv-sqlite", Below::Sqlite)];

pub(super) fn run(bench: &Bench) -> Result<Row> {
    let mut grid = Grid::default();
    for round in 0..bench.rounds {
        for (name, below) in rotated(&WALLETS, round) {
            let folder = bench.ground.folder(&format!("resume {name} {round}"))?;
            let task = Task::Resume { below, folder, records: RECORDS };
            let measured: Vec<Resumed> = child::ask(&task)?;
            eprintln!("round {}: {name} {measured:?}", round + 1);
            for resumed in measured {
                grid.push(name, SUSPEND, resumed.suspend);
                grid.push(name, RESUME, resumed.resume);
            }
        }
    }
    let [(ours, _), _] = WALLETS;
    let verdict =
        |what: &str, most, column| grid.verdict(what, Target::AtMost(most), "ms", (ours, column));
    let verdicts = vec![
        verdict("suspend a wallet with 10,000 transactions", 1000.0, SUSPEND),
        verdict("resume it", 100.0, RESUME),
    ];
    let how = format!(
        "A wallet with {RECORDS} transactions is put aside and goes on, ten times in each of {} rounds, each in a process of its own on {} cores. \
         Resuming ends when all transactions can be asked for through their indexes.",
        bench.rounds,
        child::CORES
    );
    Ok(bench.row(how, &grid, verdicts))
}
