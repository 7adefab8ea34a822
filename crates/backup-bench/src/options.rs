//! The command line.

use bench_report::run::Paths;
use clap::{Parser, Subcommand};

use crate::rows;

/// Measures backups and restores into and from a folder, beside restic.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench backup")]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) paths: Paths,
    /// Interleaved rounds of each measurement but the steady load.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Records of 300 bytes that are dumped and restored in memory.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) records: usize,
    /// The same where each record becomes a file.
    #[arg(long, default_value_t = 50_000)]
    pub(crate) files: usize,
    /// Seconds of the steady load.
    #[arg(long, default_value_t = 60)]
    pub(crate) steady_seconds: u64,
    /// Changes per second of the steady load.
    #[arg(long, default_value_t = 1000)]
    pub(crate) changes: u64,
    /// Small and short, to see that everything works; its figures mean nothing.
    #[arg(long, conflicts_with_all = ["rounds", "records", "files", "steady_seconds"])]
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
