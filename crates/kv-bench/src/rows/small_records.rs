//! Many small records in kv-sqlite, beside kv-fs and plain SQLite: load, open, page, point reads, size.

use std::{fs, hint::black_box, io, path::Path, sync::Arc, time::Instant};

use kv_core::KvStore;

use crate::{
    Result,
    bench::Bench,
    contestants::{Journal, Kind, Sqlite, open_fs, open_sqlite},
    grid::Grid,
    names::{Name, namespace},
    results::{Row, Target},
    values::Random,
};

/// Bytes of a record.
const RECORD: usize = 300;
const KINDS: [Kind; 3] = [Kind::OwnSqlite, Kind::Fs, Kind::SqliteWal];
const LOAD: &str = "load, records/s";
const SIZE: &str = "disk, bytes/record";
const OPEN: &str = "open, s";
const READ: &str = "point reads/s";
const PAGE: &str = "page of 50, µs";
const READS: usize = 50_000;
const PAGES: usize = 2000;

pub(super) fn run(bench: &Bench) -> Result<Row> {
    let keys = bench.page_keys;
    let mut grid = Grid::default();
    for kind in KINDS {
        let dir = bench.ground.folder(&format!("records-{kind:?}"))?;
        load(bench, &mut grid, kind, &dir, keys)?;
        grid.push(kind.label(), SIZE, used(&dir)? as f64 / keys as f64);
        for round in 0..bench.rounds {
            let mut random = Random::seeded(round as u64);
            let start = Instant::now();
            let store = kind.open_reader(&dir)?;
            grid.push(kind.label(), OPEN, start.elapsed().as_secs_f64());
            let start = Instant::now();
            for _ in 0..READS {
                store.read(&Name::new(random.below(keys))?, &mut |value| {
                    black_box((value.first(), value.len()));
                })?;
            }
            grid.push(kind.label(), READ, READS as f64 / start.elapsed().as_secs_f64());
            drop(store);
            let store: Arc<dyn KvStore> = match kind {
                Kind::OwnSqlite => open_sqlite(&dir)?,
                Kind::Fs => open_fs(&dir)?,
                _ => {
                    let store = Sqlite::open(&dir, Journal::Wal)?;
                    let page = |after: &Name| store.page(after, 50).map(|page| page.len());
                    grid.push(kind.label(), PAGE, pages(keys, &mut random, page)?);
                    continue;
                }
            };
            let ns = namespace()?;
            let page = |after: &Name| Ok(store.list(&ns, Some(&after.key), 50)?.len());
            grid.push(kind.label(), PAGE, pages(keys, &mut random, page)?);
            store.close()?;
        }
    }
    let (own, fs, plain) = (Kind::OwnSqlite.label(), Kind::Fs.label(), Kind::SqliteWal.label());
    let report = |what, column, with| {
        let what = format!("{keys} records of {RECORD} B: {what}");
        grid.compare(&what, Target::Reported, (own, column), (with, column))
    };
    let verdicts = vec![
        report("loading with kv-sqlite, of kv-fs", LOAD, fs),
        report("loading with kv-sqlite, of SQLite WAL, FULL", LOAD, plain),
        report("room of kv-sqlite on the disk, of kv-fs", SIZE, fs),
        report("room of kv-sqlite on the disk, of SQLite WAL, FULL", SIZE, plain),
        report("time to open kv-sqlite, of kv-fs", OPEN, fs),
        report("point reads of kv-sqlite, of kv-fs", READ, fs),
        report("point reads of kv-sqlite, of SQLite WAL, FULL", READ, plain),
        report("time of a page of kv-sqlite, of kv-fs", PAGE, fs),
        report("time of a page of kv-sqlite, of SQLite WAL, FULL", PAGE, plain),
    ];
    let how = format!(
        "{keys} records of {RECORD} B, loaded once in batches of 1,000; opened and read {} times: \
         {READS} reads of random keys after each opening, \
         and {PAGES} pages of 50 by name. Room is what the file system has given, for plain SQLite without an order of creation.",
        bench.rounds
    );
    Ok(bench.row(how, &grid, verdicts))
}

fn load(bench: &Bench, grid: &mut Grid, kind: Kind, dir: &Path, keys: usize) -> Result<()> {
    let store = kind.open_reader(dir)?;
    let mut random = Random::seeded(keys as u64);
    let start = Instant::now();
    for first in (0..keys).step_by(50_000) {
        let names = (first..keys.min(first + 50_000)).map(Name::new);
        let entries: Result<Vec<_>, _> =
            names.map(|name| Ok((name?, bench.values.fresh(&mut random, RECORD)))).collect();
        store.fill(entries.map_err(|error: kv_core::InvalidName| error)?)?;
    }
    // What is moved at the end belongs to it.
    drop(store);
    let rate = keys as f64 / start.elapsed().as_secs_f64();
    grid.push(kind.label(), LOAD, rate);
    eprintln!("{}: {rate:.0} records/s loaded", kind.label());
    Ok(())
}

/// Microseconds that a page takes.
fn pages(keys: usize, random: &mut Random, page: impl Fn(&Name) -> Result<usize>) -> Result<f64> {
    let start = Instant::now();
    for _ in 0..PAGES {
        let after = Name::new(random.below(keys.saturating_sub(51)))?;
        if page(&after)? != 50 {
            return Err("a page is not full".into());
        }
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / PAGES as f64)
}

/// Bytes that the file system has given to a folder.
fn used(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let data = entry.metadata()?;
        bytes += allocated(&data);
        if data.is_dir() {
            bytes += used(&entry.path())?;
        }
    }
    Ok(bytes)
}

#[cfg(unix)]
fn allocated(data: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(data) * 512
}

#[cfg(not(unix))]
fn allocated(data: &fs::Metadata) -> u64 {
    data.len()
}
