//! A value of 10 MiB: how often it is written, and how long a small write queued behind it waits.

use std::{fs::File, io::Write, path::Path, time::Instant};

use kv_core::{Batch, KvStore, KvStoreExt};

use crate::{
    Result,
    bench::{Bench, SMALL},
    contestants::open_fs,
    grid::Grid,
    machine,
    names::{Name, namespace},
    results::{Row, Target},
    values::Random,
};

const BIG: usize = 10 << 20;
/// Values in each round.
const VALUES: usize = 4;
/// Values of the count of bytes.
const COUNTED: usize = 40;
const WAIT: &str = "ms";
const RAW: &str = "raw write and fsync of it";
const BEHIND: &str = "small write behind it, kv-fs";
const BYTES: &str = "bytes written per byte stored";
const OURS: &str = "kv-fs";

pub(super) fn run(bench: &Bench) -> Result<Row> {
    let dir = bench.ground.folder("big")?;
    let mut grid = Grid::default();
    let mut random = Random::seeded(7);
    for round in 0..bench.rounds * VALUES {
        let raw = |random: &mut Random| raw(&dir.join("raw"), &bench.values.fresh(random, BIG));
        // In turns of who begins.
        let first = (round % 2 == 0).then(|| raw(&mut random)).transpose()?;
        let behind = queued(bench, &dir.join("store"), round, &mut random)?;
        let raw = first.map_or_else(|| raw(&mut random), Ok)?;
        grid.push(RAW, WAIT, raw);
        grid.push(BEHIND, WAIT, behind);
        eprintln!("value {}: raw {raw:.1} ms, small behind big {behind:.1} ms", round + 1);
    }
    grid.push(OURS, BYTES, count_bytes(bench, &dir.join("counted"), &mut random)?);
    let verdicts = vec![
        grid.verdict(
            "10 MiB value: bytes written, of its size",
            Target::AtMost(1.2),
            "×",
            (OURS, BYTES),
        ),
        grid.compare(
            "small write behind a 10 MiB value: of a raw write and fsync of it",
            Target::AtMost(1.5),
            (BEHIND, WAIT),
            (RAW, WAIT),
        ),
    ];
    let how = format!(
        "{} values, in turns with raw files; the time of the small write counts from the moment the big value is submitted; \
         bytes over {COUNTED} values under one key, closing included.",
        bench.rounds * VALUES
    );
    Ok(bench.row(how, &grid, verdicts))
}

/// Milliseconds to write and sync a new file.
fn raw(path: &Path, value: &[u8]) -> Result<f64> {
    let start = Instant::now();
    let mut file = File::create_new(path)?;
    file.write_all(value)?;
    file.sync_all()?;
    let time = start.elapsed();
    std::fs::remove_file(path)?;
    Ok(time.as_secs_f64() * 1e3)
}

/// Milliseconds from submitting a big value until a small one submitted right behind it is
/// durable.
fn queued(bench: &Bench, dir: &Path, round: usize, random: &mut Random) -> Result<f64> {
    let store = open_fs(dir)?;
    let ns = namespace()?;
    let (big, small) = (Name::new(round % 4)?, Name::new(100)?);
    let values = (bench.values.fresh(random, BIG), bench.values.fresh(random, SMALL));
    let start = Instant::now();
    let first = store.submit(Batch::new().put(&ns, &big.key, values.0));
    let second = store.submit(Batch::new().put(&ns, &small.key, values.1));
    second.wait()?;
    let behind = start.elapsed();
    first.wait()?;
    store.close()?;
    Ok(behind.as_secs_f64() * 1e3)
}

/// Bytes written per byte of big values stored, the close included.
fn count_bytes(bench: &Bench, dir: &Path, random: &mut Random) -> Result<f64> {
    let store = open_fs(dir)?;
    let (ns, name) = (namespace()?, Name::new(0)?);
    let before = machine::bytes_written(dir)?;
    for _ in 0..COUNTED {
        store.write(&ns, &name.key, bench.values.fresh(random, BIG))?;
    }
    store.close()?;
    Ok(machine::bytes_written(dir)?.saturating_sub(before) as f64 / (COUNTED * BIG) as f64)
}
