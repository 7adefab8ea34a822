//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::rows;

/// Measures payments of Lightning nodes on Strongroom's stores and their peers.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench ldk")]
pub(crate) struct Options {
    /// Where the stores lie while they are measured; must be on the disk in question.
    #[arg(long, default_value = "target/bench-data")]
    pub(crate) dir: PathBuf,
    /// Interleaved rounds of each measurement.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Seconds for which each contestant pays in a round.
    #[arg(long, default_value_t = 3.0)]
    pub(crate) seconds: f64,
    /// Payments over each channel, one after the other, where the cloud is waited for.
    #[arg(long, default_value_t = 8)]
    pub(crate) payments: usize,
    /// Small and short, to see that everything works; its figures mean nothing.
    #[arg(long, conflicts_with_all = ["rounds", "seconds", "payments"])]
    pub(crate) quick: bool,
    /// Only this row; may be repeated. The other rows stay as they were measured before.
    #[arg(long, value_name = "ROW", value_parser = rows::names())]
    pub(crate) only: Vec<String>,
    /// Where the page, the results and the plots go.
    #[arg(long, default_value = "target/bench")]
    pub(crate) out: PathBuf,
    /// The page whose prose is kept.
    #[arg(long, hide = true, default_value = "docs/src/benchmarks-ldk.md")]
    pub(crate) page: PathBuf,
    #[command(subcommand)]
    pub(crate) child: Option<Command>,
}

/// What only the program itself asks for, in a process of its own.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A part of a row that needs a process of its own.
    #[command(hide = true)]
    Child {
        /// What to do, as JSON.
        task: String,
    },
}

impl Options {
    pub(crate) fn wants(&self, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == row)
    }
}
