//! Unlock, and what is asked afterwards.

use bench_report::{
    Result, child,
    grid::Grid,
    results::{Row, Target},
    run::rotated,
};

use super::{CONTESTANTS, PEER, SQLITE};
use crate::{
    activity,
    bench::Bench,
    tasks::{Queried, Task},
};

const UNLOCK: &str = "unlock, s";
const MEMORY: &str = "memory, × JSON";
const PEAK: &str = "memory at most, × JSON";
/// A question, what is to be reached, in microseconds, and where its figure is.
type Question = (&'static str, f64, fn(&Queried) -> f64);
const QUESTIONS: [Question; 4] = [
    ("get by key, µs", 2.0, |queried| queried.get),
    ("page of 50 by index, µs", 50.0, |queried| queried.page),
    ("latest of an account, µs", 20.0, |queried| queried.latest),
    ("count of a range, µs", 50.0, |queried| queried.count),
];

pub(super) fn run(bench: &Bench) -> Result<Row> {
    let mut verdicts = Vec::new();
    let mut all = Grid::default();
    for (records, seconds) in [(bench.records / 10, 0.6), (bench.records, 6.0)] {
        let json = activity::json_bytes(records)? as f64;
        let mut grid = Grid::default();
        let mut folders = Vec::new();
        for (name, who) in CONTESTANTS {
            let folder = bench.ground.folder(&format!("{records} {name}"))?;
            let () = child::ask(&Task::Fill { who, folder: folder.clone(), records })?;
            eprintln!("filled {name} with {records} records");
            folders.push((name, who, folder));
        }
        let order: Vec<usize> = (0..folders.len()).collect();
        for round in 0..bench.rounds {
            for at in rotated(&order, round) {
                let Some((name, who, folder)) = folders.get(at) else { continue };
                let task = Task::Query { who: *who, folder: folder.clone(), records };
                let queried: Queried = child::ask(&task)?;
                eprintln!("round {}: {name} {queried:?}", round + 1);
                let mut push = |column: &str, sample: f64| {
                    grid.push(name, column, sample);
                    all.push(&format!("{name}, {records} records"), column, sample);
                };
                push(UNLOCK, queried.unlock);
                for (column, _, of) in QUESTIONS {
                    push(column, of(&queried));
                }
                push(MEMORY, queried.memory as f64 / json);
                push(PEAK, queried.peak as f64 / json);
            }
        }
        let ours = SQLITE.0;
        verdicts.push(grid.verdict(
            &format!("unlock {records} records with 4 indexes"),
            Target::AtMost(seconds),
            "s",
            (ours, UNLOCK),
        ));
        if records < bench.records {
            continue;
        }
        for (column, micros, _) in QUESTIONS {
            let name = column.trim_end_matches(", µs");
            verdicts.push(grid.verdict(name, Target::AtMost(micros), "µs", (ours, column)));
            let name = format!("{name}: beside SQLite");
            let ratio = grid.compare(&name, Target::AtMost(1.0), (ours, column), (PEER.0, column));
            verdicts.push(ratio);
        }
        verdicts.push(grid.verdict("memory", Target::AtMost(2.5), "× JSON", (ours, MEMORY)));
    }
    let how = format!(
        "{} and {} transactions of about 300 B of JSON with 4 indexes, sealed and recorded, {} rounds, each in a process of its own on {} cores. \
         Unlock goes from nothing to the first answer. \
         Questions are asked one after the other, each for something else; the figure is the mean. \
         SQLite has the same key and indexes and a cache as large as everything, and is neither sealed nor recorded; its pages are read once before it is measured.",
        bench.records / 10,
        bench.records,
        bench.rounds,
        child::CORES
    );
    Ok(bench.row(how, &all, verdicts))
}
