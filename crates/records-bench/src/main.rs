//! The benchmark of records: `cargo xtask bench records`. What it measures, and how to read it, is
//! the page `docs/src/benchmarks-records.md`, which it also fills in.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people at a terminal"
)]

mod activity;
mod bench;
mod options;
mod rows;
mod sqlite;
mod tasks;
mod tower;

use std::process::ExitCode;

use bench::Bench;
use bench_report::{Result, run};
use clap::Parser;
use options::{Command, Options};

fn main() -> ExitCode {
    let options = Options::parse();
    run::end(match &options.child {
        Some(Command::Child { task }) => tasks::run(task),
        None => measure(&options),
    })
}

fn measure(options: &Options) -> Result<()> {
    let bench = Bench::new(options)?;
    options.paths.run(rows::book(), &rows::ALL, &options.only, &bench)?;
    bench.ground.clean_up()
}
