//! Dumps of a wallet in memory: the first, and what a delta dump costs beside a full one.

use crate::{
    Result,
    bench::Bench,
    child, data,
    grid::Grid,
    results::{Row, Target},
    tasks::{Dumped, Dumps, Task},
};

const FULL: &str = "full";
const LARGE: &str = "full, large values";
const SCATTERED: &str = "1 % scattered";
const TOGETHER: &str = "1 % together";

const SECONDS: &str = "seconds";
const PROCESSOR: &str = "seconds of processor";
const VALUES: &str = "MB/s of values";
const PLAINTEXT: &str = "MB/s of plaintext";
const BYTES: &str = "bytes put";

pub(super) fn run(bench: &Bench) -> Result<Row> {
    let (cloud, records, rounds) = (bench.ground.place("dumps")?, bench.records, bench.rounds);
    let dumps: Dumps = child::ask(&Task::Dumps { cloud, records, rounds })?;
    let mut grid = Grid::default();
    let mut push = |who: &str, dumped: &Dumped| {
        grid.push(who, SECONDS, dumped.seconds);
        grid.push(who, PROCESSOR, dumped.processor);
        grid.push(who, VALUES, dumped.plain as f64 / 1e6 / dumped.seconds);
        let plaintext = dumped.plain + dumped.keys;
        grid.push(who, PLAINTEXT, plaintext as f64 / 1e6 / dumped.seconds);
        grid.push(who, BYTES, dumped.bytes as f64);
    };
    push("the first backup", &dumps.first);
    for full in &dumps.full {
        push(FULL, full);
    }
    let (cloud, values) =
        (bench.ground.place("large-dumps")?, records * data::RECORD / data::LARGE);
    let large: Vec<Dumped> = child::ask(&Task::LargeDumps { cloud, values, rounds })?;
    for full in &large {
        push(LARGE, full);
    }
    // The ratios are to the full dump just before: first that before the scattered changes, in the
    // next round that before those together.
    let mut ratios = Grid::default();
    for (who, deltas) in [(SCATTERED, &dumps.scattered), (TOGETHER, &dumps.together)] {
        for (round, delta) in deltas.iter().enumerate() {
            push(who, delta);
            let first = (round % 2 == 0) == (who == SCATTERED);
            let full = dumps.full.get(round * 2 + usize::from(!first)).ok_or("no full dump")?;
            ratios.push(who, SECONDS, 100.0 * delta.seconds / full.seconds);
            ratios.push(who, BYTES, 100.0 * delta.bytes as f64 / full.bytes as f64);
        }
    }
    let speed = |what: &str, who| {
        let name = format!("full dump of {what}, read back: keys and values per second");
        grid.verdict(&name, Target::AtLeast(150.0), "MB/s", (who, PLAINTEXT))
    };
    let mut verdicts = vec![speed("values of 32 KiB", LARGE), speed("records of 300 B", FULL)];
    for who in [SCATTERED, TOGETHER] {
        for (what, target) in [(BYTES, 3.0), (SECONDS, 5.0)] {
            let name = format!("delta dump, {who} changed: {what} of a full one");
            verdicts.push(ratios.verdict(&name, Target::AtMost(target), "%", (who, what)));
        }
    }
    let how = format!(
        "A wallet in memory with {records} records of 300 B, dumped into a folder as cloud on {} cores, {rounds} rounds. \
         All dumps are read back before they count, and the time includes that. \
         Plaintext is keys and values; the namespaces, which a dump seals as well, are not counted. \
         Before each delta dump a full one is made, then 1 % of the records are written anew and backed up in segments of 1,000 changes. \
         The first backup is the same as a full dump, with a head, of a wallet just filled. \
         Large values are as many bytes in pieces of 32 KiB, random for the most part, as the state of a channel is.",
        child::CORES
    );
    Ok(bench.row(how, &grid, verdicts))
}
