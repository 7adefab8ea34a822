//! The benchmark of clouds: `cargo xtask bench cloud`. What it measures, and how to read it, is the
//! page `docs/src/benchmarks-cloud.md`, which it also fills in.

#![expect(clippy::print_stderr, reason = "a program for people at a terminal")]

mod bench;
mod options;
mod place;
mod rows;
mod undumped;
mod wallet;

use std::process::ExitCode;

use bench::Bench;
use bench_report::{
    Result,
    run::{self, Run},
};
use clap::Parser;
use options::Options;

fn main() -> ExitCode {
    run::end(measure(&Options::parse()))
}

fn measure(options: &Options) -> Result<()> {
    let bench = Bench::new(options)?;
    // No store lies on a disk here: what stands in the book of one is that of the results.
    let mut run = Run::begin(rows::book(), &options.out, &options.page, &options.out)?;
    for row in rows::ALL.iter().filter(|row| options.wants(row.name)) {
        // A runtime for each row: nothing of one is left when the next begins.
        run.row(row.name, || tokio::runtime::Runtime::new()?.block_on((row.run)(&bench)))?;
    }
    run.end();
    Ok(())
}
