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
use bench_report::{Result, grid, machine, page, random, results};
use clap::Parser;
use options::{Command, Options};

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match &options.child {
        Some(Command::Child(task)) => child::run(task),
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
    let book = rows::book();
    let mut results = book.load(&options.out)?;
    results.machine = machine::describe(&options.dir)?;
    if let Some(warning) = results.machine.warning() {
        eprintln!("warning: {warning}");
    }
    for row in rows::ALL.iter().filter(|row| options.wants(row.name)) {
        eprintln!("\n=== {} ===", row.name);
        let measured = (row.run)(&bench)?;
        print!("{}", page::for_terminal(&measured));
        results.rows.insert(row.name.to_owned(), measured);
        // After each row: a long run that is cut short has not been for nothing.
        book.write(&results, &options.page, &options.out)?;
    }
    println!("\nwritten to {}; now the stores are removed", options.out.display());
    bench.clean_up()
}
