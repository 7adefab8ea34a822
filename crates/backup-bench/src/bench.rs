//! What all rows share: sizes, the folder, and how rows are made from figures.

use crate::{
    Result,
    grid::Grid,
    ground::Ground,
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
    pub(crate) ground: Ground,
}

impl Bench {
    pub(crate) fn new(options: &Options) -> Result<Self> {
        if options.rounds == 0 || options.records < 1000 || options.files < 1000 {
            return Err("at least 1 round, 1,000 records and 1,000 files are needed".into());
        }
        let quick = |full, quick| if options.quick { quick } else { full };
        Ok(Self {
            rounds: quick(options.rounds, 1),
            records: quick(options.records, 20_000),
            files: quick(options.files, 2000),
            steady_seconds: if options.quick { 5 } else { options.steady_seconds },
            changes: options.changes,
            ground: Ground::new(&options.paths.dir, "backup-bench")?,
        })
    }

    /// A row from what was measured.
    pub(crate) fn row(&self, how: String, grid: &Grid, verdicts: Vec<Verdict>) -> Row {
        grid.row(how, verdicts, &["crates"])
    }
}
