//! What all rows share: sizes, and how rows are made from figures.

use std::time::Duration;

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
    pub(crate) latency: Duration,
    pub(crate) changes: usize,
    pub(crate) megabytes: usize,
}

impl Bench {
    pub(crate) fn new(options: &Options) -> Result<Self> {
        if options.rounds == 0 || options.latency == 0 || options.megabytes < 10 {
            return Err("at least 1 round, 1 millisecond and 10 megabytes are needed".into());
        }
        let quick = |full, quick| if options.quick { quick } else { full };
        Ok(Self {
            rounds: quick(options.rounds, 1),
            latency: Duration::from_millis(options.latency),
            changes: quick(options.changes, 1000),
            megabytes: quick(options.megabytes, 20),
        })
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
