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

use std::{process::ExitCode, time::Instant};

use bench::Bench;
use bench_report::{Result, machine, page};
use clap::Parser;
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
    let begun = Instant::now();
    let bench = Bench::new(options)?;
    let book = rows::book();
    let mut results = book.load(&options.out)?;
    results.machine = machine::describe(&options.dir)?;
    if let Some(warning) = results.machine.warning() {
        eprintln!("warning: {warning}");
    }
    for row in rows::ALL.iter().filter(|row| options.wants(row.name)) {
        eprintln!("\n=== {} ({:.0} s so far) ===", row.name, begun.elapsed().as_secs_f64());
        let measured = (row.run)(&bench)?;
        print!("{}", page::for_terminal(&measured));
        results.rows.insert(row.name.to_owned(), measured);
        // After each row: a long run that is cut short has not been for nothing.
        book.write(&results, &options.page, &options.out)?;
    }
    eprintln!("\nremoving what was measured");
    bench.clean_up()?;
    println!("\nwritten to {}, {:.0} s", options.out.display(), begun.elapsed().as_secs_f64());
    Ok(())
}
