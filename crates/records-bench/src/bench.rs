//! What all rows share: sizes, folders, and how rows are made from figures.

use std::{fs, io, path::PathBuf};

use bench_report::{
    Result,
    grid::Grid,
    machine,
    results::{Row, Verdict},
};

use crate::options::Options;

/// One run of the benchmark.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) rounds: usize,
    pub(crate) records: usize,
    pub(crate) inserts: usize,
    dir: PathBuf,
}

impl Bench {
    pub(crate) fn new(options: &Options) -> Result<Self> {
        if options.rounds == 0 || options.records < 10_000 || options.inserts < 1000 {
            return Err("at least 1 round, 10,000 records and 1,000 inserts are needed".into());
        }
        fs::create_dir_all(&options.dir)?;
        let quick = |full, quick| if options.quick { quick } else { full };
        let bench = Self {
            rounds: quick(options.rounds, 1),
            records: quick(options.records, 20_000),
            inserts: quick(options.inserts, 5000),
            // A folder of our own, so that nothing else is ever removed.
            dir: std::path::absolute(&options.dir)?.join("records-bench"),
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

    /// A new folder on the disk in question. All are removed at the end of the run and not before:
    /// for minutes after a file is removed ext4 is slower to create others.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.dir.join(name);
        fs::create_dir(&folder)?;
        Ok(folder)
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

/// Contestants, beginning with another one in each round.
pub(crate) fn rotated<T: Copy>(contestants: &[T], round: usize) -> Vec<T> {
    let mut rotated = contestants.to_vec();
    rotated.rotate_left(round % contestants.len().max(1));
    rotated
}
