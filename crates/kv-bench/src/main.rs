//! The benchmark of the stores: `cargo xtask bench kv`. What it measures, and how to read it, is
//! the page `docs/src/benchmarks.md`, which it also fills in.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people at a terminal"
)]

mod bench;
mod child;
mod contestants;
mod histogram;
mod load;
mod memory;
mod names;
mod options;
mod plot;
mod rows;
mod values;

use std::process::ExitCode;

use bench::Bench;
use bench_report::{Result, grid, ground, machine, page, random, results, run};
use clap::Parser;
use options::{Command, Options};

fn main() -> ExitCode {
    let options = Options::parse();
    run::end(match &options.child {
        Some(Command::Child(task)) => child::run(task),
        None => measure(&options),
    })
}

fn measure(options: &Options) -> Result<()> {
    let bench = Bench::new(options)?;
    options.paths.run(rows::book(), &rows::ALL, &options.only, &bench)?;
    bench.ground.clean_up()
}
