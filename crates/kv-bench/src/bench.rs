//! What all rows share: settings, folders, and stores that are filled once.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Result,
    contestants::Kind,
    grid::Grid,
    machine,
    names::Name,
    options::Options,
    results::{Row, Verdict},
    values::{Random, Values},
};

/// One run of the benchmark.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) rounds: usize,
    pub(crate) slot: Duration,
    pub(crate) long: Duration,
    pub(crate) long_threads: usize,
    pub(crate) long_keys: usize,
    pub(crate) keys: usize,
    pub(crate) page_keys: usize,
    pub(crate) values: Values,
    dir: PathBuf,
}

/// Bytes of a small value, and of a large one.
pub(crate) const SMALL: usize = 256;
pub(crate) const LARGE: usize = 64 << 10;
pub(crate) const HOT_KEYS: usize = 1000;

impl Bench {
    pub(crate) fn new(options: &Options) -> Result<Self> {
        if options.rounds == 0 || options.long_threads == 0 || options.keys == 0 {
            return Err("rounds, threads and keys must be at least 1".into());
        }
        fs::create_dir_all(&options.dir)?;
        let bench = Self {
            rounds: options.rounds,
            slot: Duration::try_from_secs_f64(options.seconds)?,
            long: Duration::try_from_secs_f64(options.long_minutes * 60.0)?,
            long_threads: options.long_threads,
            long_keys: options.long_keys,
            keys: options.keys,
            page_keys: options.page_keys,
            values: Values::new(),
            // A folder of our own, so that nothing else is ever removed.
            dir: options.dir.join("kv-bench"),
        };
        bench.clean_up()?;
        fs::create_dir(&bench.dir)?;
        Ok(bench)
    }

    pub(crate) fn clean_up(&self) -> Result<()> {
        match remove(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => Ok(other?),
        }
    }

    /// A new, empty folder on the disk in question. All are removed at the end of the run and
    /// not before: for minutes after a file is removed ext4 is slower to create others.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let dir = self.dir.join(name);
        fs::create_dir(&dir)?;
        Ok(dir)
    }

    /// A cleanly closed kv-fs with small values under the first names; filled once in a run.
    pub(crate) fn filled(&self, keys: usize) -> Result<PathBuf> {
        let dir = self.dir.join(format!("filled-{keys}"));
        if !dir.exists() {
            let start = Instant::now();
            self.fill(Kind::Fs, &dir, keys)?;
            eprintln!("filled kv-fs with {keys} keys in {:.1} s", start.elapsed().as_secs_f64());
        }
        Ok(dir)
    }

    /// Fills a store with small values under the first names, and closes it.
    pub(crate) fn fill(&self, kind: Kind, dir: &Path, keys: usize) -> Result<()> {
        let store = kind.open_reader(dir)?;
        let mut random = Random::seeded(keys as u64);
        // In pieces, so that the values need not be in memory all at once.
        for start in (0..keys).step_by(50_000) {
            let names = (start..keys.min(start + 50_000)).map(Name::new);
            let entries: Result<Vec<_>, _> =
                names.map(|name| Ok((name?, self.values.fresh(&mut random, SMALL)))).collect();
            store.fill(entries.map_err(|error: kv_core::InvalidName| error)?)?;
        }
        Ok(())
    }

    /// `count` things, beginning with another one in each round.
    pub(crate) fn rotated<T: Copy>(&self, things: &[T], round: usize) -> Vec<T> {
        let mut rotated = things.to_vec();
        rotated.rotate_left(round % things.len().max(1));
        rotated
    }

    /// A row from what was measured.
    pub(crate) fn row(&self, how: String, grid: &Grid, verdicts: Vec<Verdict>) -> Row {
        Row {
            date: machine::today(),
            commit: machine::commit(&["crates/kv-fs", "crates/kv-core", "crates/kv-bench"]),
            how,
            verdicts,
            numbers: grid.numbers(),
            times: Vec::new(),
            series: Vec::new(),
        }
    }
}

/// Removes a folder, many files at a time: on some disks each waits a millisecond for its blocks
/// to be given back.
fn remove(dir: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        } else {
            files.push(entry.path());
        }
    }
    let share = files.len().div_ceil(16).max(1);
    thread::scope(|scope| {
        for share in files.chunks(share) {
            // What could not be removed keeps the folder from being removed.
            scope.spawn(|| share.iter().for_each(|file| drop(fs::remove_file(file))));
        }
    });
    fs::remove_dir(dir)
}
