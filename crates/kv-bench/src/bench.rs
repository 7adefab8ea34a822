//! What all rows share: settings, the folder, and stores that are filled once.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    Result,
    contestants::Kind,
    grid::Grid,
    ground::Ground,
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
    pub(crate) ground: Ground,
}

/// Bytes of a small value, and of a large one.
pub(crate) const SMALL: usize = 256;
pub(crate) const LARGE: usize = 64 << 10;
pub(crate) const HOT_KEYS: usize = 1000;

/// What the figures are of: a change of it that is in no commit is noted with them.
const CODE: [&str; 7] = [
    "crates/kv-core",
    "crates/kv-fs",
    "crates/kv-sqlite",
    "crates/vault",
    "crates/backup",
    "crates/bench-report",
    "crates/kv-bench",
];

impl Bench {
    pub(crate) fn new(options: &Options) -> Result<Self> {
        if options.rounds == 0 || options.long_threads == 0 || options.keys == 0 {
            return Err("rounds, threads and keys must be at least 1".into());
        }
        Ok(Self {
            rounds: options.rounds,
            slot: Duration::try_from_secs_f64(options.seconds)?,
            long: Duration::try_from_secs_f64(options.long_minutes * 60.0)?,
            long_threads: options.long_threads,
            long_keys: options.long_keys,
            keys: options.keys,
            page_keys: options.page_keys,
            values: Values::new(),
            ground: Ground::new(&options.paths.dir, "kv-bench")?,
        })
    }

    /// A cleanly closed kv-fs with small values under the first names; filled once in a run.
    pub(crate) fn filled(&self, keys: usize) -> Result<PathBuf> {
        self.ground.once(&format!("filled-{keys}"), |dir| {
            let start = Instant::now();
            self.fill(Kind::Fs, dir, keys)?;
            eprintln!("filled kv-fs with {keys} keys in {:.1} s", start.elapsed().as_secs_f64());
            Ok(())
        })
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

    /// A row from what was measured.
    pub(crate) fn row(&self, how: String, grid: &Grid, verdicts: Vec<Verdict>) -> Row {
        grid.row(how, verdicts, &CODE)
    }
}
