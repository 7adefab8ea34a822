//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::rows;

/// Measures backups, restores and polls over a line on which each request takes longer.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench cloud")]
pub(crate) struct Options {
    /// Rounds of each measurement.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// How much longer each request takes, in milliseconds.
    #[arg(long, default_value_t = 50)]
    pub(crate) latency: u64,
    /// Changes in a backup.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) changes: usize,
    /// Megabytes that are restored, each of them an object.
    #[arg(long, default_value_t = 1000)]
    pub(crate) megabytes: usize,
    /// Small and short, to see that everything works; its figures mean nothing.
    #[arg(long, conflicts_with_all = ["rounds", "latency", "changes", "megabytes"])]
    pub(crate) quick: bool,
    /// Only this row; may be repeated. The other rows stay as they were measured before.
    #[arg(long, value_name = "ROW", value_parser = rows::names())]
    pub(crate) only: Vec<String>,
    /// Where the page and the results go.
    #[arg(long, default_value = "target/bench")]
    pub(crate) out: PathBuf,
    /// The page whose prose is kept.
    #[arg(long, hide = true, default_value = "docs/src/benchmarks-cloud.md")]
    pub(crate) page: PathBuf,
}

impl Options {
    pub(crate) fn wants(&self, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == row)
    }
}
