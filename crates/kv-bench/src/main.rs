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
mod grid;
mod histogram;
mod load;
mod machine;
mod memory;
mod names;
mod options;
mod page;
mod plot;
mod results;
mod rows;
mod values;

use std::{error::Error, process::ExitCode};

use bench::Bench;
use clap::Parser;
use options::{Command, Options};

/// A failure of any kind ends the run: there is nobody to react to it.
type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

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
    let mut results = page::load(&options.out)?;
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
        page::write(&results, &options.page, &options.out)?;
    }
    println!("\nwritten to {}; now the stores are removed", options.out.display());
    bench.clean_up()
}
