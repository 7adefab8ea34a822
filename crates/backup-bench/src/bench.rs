//! What all rows share: sizes, folders, and how rows are made from figures.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    Result,
    grid::Grid,
    machine,
    options::Options,
    results::{Row, Verdict},
};

/// One run of the benchmark.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) rounds: usize,
    pub(crate) records: usize,
    pub(crate) files: usize,
    pub(crate) steady_seconds: u64,
    pub(crate) changes: u64,
    dir: PathBuf,
}

impl Bench {
    pub(crate) fn new(options: &Options) -> Result<Self> {
        if options.rounds == 0 || options.records < 1000 || options.files < 1000 {
            return Err("at least 1 round, 1,000 records and 1,000 files are needed".into());
        }
        fs::create_dir_all(&options.dir)?;
        let quick = |full, quick| if options.quick { quick } else { full };
        let bench = Self {
            rounds: quick(options.rounds, 1),
            records: quick(options.records, 20_000),
            files: quick(options.files, 2000),
            steady_seconds: if options.quick { 5 } else { options.steady_seconds },
            changes: options.changes,
            // A folder of our own, so that nothing else is ever removed.
            dir: std::path::absolute(&options.dir)?.join("backup-bench"),
        };
        bench.clean_up()?;
        fs::create_dir(&bench.dir)?;
        Ok(bench)
    }

    pub(crate) fn clean_up(&self) -> Result<()> {
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => Ok(other?),
        }
    }

    /// A new place on the disk in question, where nothing is yet. All are removed at the end of the
    /// run and not before: for minutes after a file is removed ext4 is slower to create others.
    pub(crate) fn place(&self, name: &str) -> Result<PathBuf> {
        let place = self.dir.join(name);
        if place.exists() { Err(format!("{name} is used twice").into()) } else { Ok(place) }
    }

    /// The same, made by `make` when it is first asked for.
    pub(crate) fn once(
        &self,
        name: &str,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let place = self.dir.join(name);
        if !place.exists() {
            make(&place)?;
        }
        Ok(place)
    }

    /// Contestants, beginning with another one in each round.
    pub(crate) fn rotated<T: Copy>(&self, contestants: &[T], round: usize) -> Vec<T> {
        let mut rotated = contestants.to_vec();
        rotated.rotate_left(round % contestants.len().max(1));
        rotated
    }

    /// A row from what was measured.
    pub(crate) fn row(&self, how: String, grid: &Grid, verdicts: Vec<Verdict>) -> Row {
        Row {
            date: machine::today(),
            commit: machine::commit(&["crates"]),
            how,
            verdicts,
            numbers: grid.numbers(),
            times: Vec::new(),
            series: Vec::new(),
        }
    }
}
