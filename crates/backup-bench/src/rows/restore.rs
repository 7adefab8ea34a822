//! A full restore into memory, and how much memory it takes beside the store's own.

use crate::{
    Result,
    bench::Bench,
    child,
    grid::Grid,
    results::{Row, Target},
    run::rotated,
    tasks::{Held, Restored, Task},
};

const MEMORY: &str = "into kv-mem";
const FILES: &str = "into kv-fs";

const SPEED: &str = "records/s";
const SECONDS: &str = "seconds";
const PEAK: &str = "peak memory, MB";
const STORE: &str = "of it the store's own, MB";
const BESIDE: &str = "beside it, MB";

pub(super) fn run(bench: &Bench) -> Result<Row> {
    let mut grid = Grid::default();
    for round in 0..bench.rounds {
        for who in rotated(&[MEMORY, FILES], round) {
            let records = if who == MEMORY { bench.records } else { bench.files };
            let cloud = bench.ground.once(&format!("cloud-{records}"), |cloud| {
                eprintln!("backing up a wallet of {records} records");
                child::ask(&Task::Cloud { cloud: cloud.to_owned(), records })
            })?;
            let folder = |what: &str| match who {
                MEMORY => Ok(None),
                _ => bench.ground.place(&format!("{what}-{round}")).map(Some),
            };
            let folder_of_restore = folder("restored")?;
            let restored: Restored =
                child::ask(&Task::Restore { cloud, folder: folder_of_restore })?;
            let held: Held = child::ask(&Task::Hold { folder: folder("held")?, records })?;
            if restored.records != records as u64 {
                return Err(format!("{} of {records} records came back", restored.records).into());
            }
            let mb = |bytes: u64| bytes as f64 / 1e6;
            grid.push(who, SECONDS, restored.seconds);
            grid.push(who, SPEED, records as f64 / restored.seconds);
            grid.push(who, PEAK, mb(restored.peak));
            grid.push(who, STORE, mb(held.peak));
            grid.push(who, BESIDE, mb(restored.peak) - mb(held.peak));
            eprintln!(
                "round {}: {who}: {:.2} s, {:.0} MB beside the store's own {:.0} MB",
                round + 1,
                restored.seconds,
                mb(restored.peak) - mb(held.peak),
                mb(held.peak),
            );
        }
    }
    let verdicts = vec![
        grid.verdict(
            "restore into kv-mem: records per second",
            Target::AtLeast(300_000.0),
            "",
            (MEMORY, SPEED),
        ),
        grid.verdict(
            "restore into kv-mem: memory beside the store's own",
            Target::AtMost(200.0),
            "MB",
            (MEMORY, BESIDE),
        ),
        grid.verdict(
            "restore into kv-fs: records per second",
            Target::Reported,
            "",
            (FILES, SPEED),
        ),
        grid.verdict(
            "restore into kv-fs: memory beside the store's own",
            Target::AtMost(200.0),
            "MB",
            (FILES, BESIDE),
        ),
    ];
    let how = format!(
        "From a folder as cloud, on {} cores, {} rounds: {} records of 300 B into memory, {} into files. \
         Each in a process of its own; the store's own memory is the most that another process has \
         in use that writes the same records into a sealed store of the same kind.",
        child::CORES,
        bench.rounds,
        bench.records,
        bench.files
    );
    Ok(bench.row(how, &grid, verdicts))
}
