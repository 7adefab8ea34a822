//! The command line.

use std::path::PathBuf;

use bench_report::run::Paths;
use clap::{Parser, Subcommand};

use crate::rows;

/// Measures kv-fs beside its peers and the limit of the disk, all in one process and one run.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench kv")]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) paths: Paths,
    /// Interleaved rounds of each measurement.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Seconds of each measurement in each round.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,
    /// Minutes of each of the two long runs.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) long_minutes: f64,
    /// Threads of the long runs.
    #[arg(long, default_value_t = 4)]
    pub(crate) long_threads: usize,
    /// A long run with new keys only ends early at this many (each may become a file).
    #[arg(long, default_value_t = 4_000_000)]
    pub(crate) long_keys: usize,
    /// Keys of the stores that are read and opened.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) keys: usize,
    /// Keys of the namespace that is listed.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) page_keys: usize,
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
    #[command(subcommand, hide = true)]
    Child(Task),
}

/// The parts of rows that need a process of their own.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Opens a store and tells how much memory that took.
    Memory { dir: PathBuf },
    /// Opens a store and tells how long that took, and the most memory.
    Open { dir: PathBuf },
    /// Fills the log of a store with so many bytes, says how many it has, and waits to be killed.
    FillLog { dir: PathBuf, hot_keys: usize, bytes: u64 },
}
