//! What all rows share: sizes, the folder, and how rows are made from figures.

use bench_report::{
    Result,
    grid::Grid,
    ground::Ground,
    results::{Row, Verdict},
};

use crate::options::Options;

/// One run of the benchmark.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) rounds: usize,
    pub(crate) records: usize,
    pub(crate) inserts: usize,
    pub(crate) ground: Ground,
}

impl Bench {
    pub(crate) fn new(options: &Options) -> Result<Self> {
        if options.rounds == 0 || options.records < 10_000 || options.inserts < 1000 {
            return Err("at least 1 round, 10,000 records and 1,000 inserts are needed".into());
        }
        let quick = |full, quick| if options.quick { quick } else { full };
        Ok(Self {
            rounds: quick(options.rounds, 1),
            records: quick(options.records, 20_000),
            inserts: quick(options.inserts, 5000),
            ground: Ground::new(&options.paths.dir, "records-bench")?,
        })
    }

    /// A row from what was measured.
    pub(crate) fn row(&self, how: String, grid: &Grid, verdicts: Vec<Verdict>) -> Row {
        grid.row(how, verdicts, &["crates"])
    }
}
