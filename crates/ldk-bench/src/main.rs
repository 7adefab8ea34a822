//! The benchmark of Lightning nodes: `cargo xtask bench ldk`. What it measures, and how to read it, is
//! the page `docs/src/benchmarks-ldk.md`, which it also fills in.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people at a terminal"
)]

mod bench;
/// The networks of the tests.
#[expect(
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    reason = "made for the tests, which use all of it and may panic"
)]
#[path = "../../kv-ldk/tests/common"]
mod common {
    pub(crate) mod later;
    pub(crate) mod ldk_0_2;
}
mod network;
mod options;
mod plot;
mod rows;
mod sqlite;
mod stores;
mod tasks;

use std::process::ExitCode;

use bench::Bench;
use bench_report::{Result, run::Run};
use clap::Parser;
use common::ldk_0_2::small;
use options::{Command, Options};

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match &options.child {
        Some(Command::Child { task }) => tasks::run(task),
        None => run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let bench = Bench::new(options)?;
    let mut run = Run::begin(rows::book(), &options.dir, &options.page, &options.out)?;
    for row in rows::ALL.iter().filter(|row| options.wants(row.name)) {
        run.row(row.name, || (row.run)(&bench))?;
    }
    eprintln!("\nremoving what was measured");
    bench.clean_up()?;
    run.end();
    Ok(())
}
