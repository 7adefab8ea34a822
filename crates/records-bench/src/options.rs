//! The command line.

use bench_report::run::Paths;
use clap::{Parser, Subcommand};

use crate::rows;

/// Measures typed records, sealed and recorded, beside SQLite.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench records")]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) paths: Paths,
    /// Interleaved rounds of each measurement.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Records that are opened and queried; a tenth of them, too.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) records: usize,
    /// Records that are written in a round.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) inserts: usize,
    /// Small and short, to see that everything works; its figures mean nothing.
    #[arg(long, conflicts_with_all = ["rounds", "records", "inserts"])]
    pub(crate) quick: bool,
    /// Only this row; may be repeated. The other rows stay as they were measured before.
    #[arg(long, value_name = "ROW", value_parser = rows::names())]
    pub(crate) only: Vec<String>,
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
