//! A run: what a benchmark can be told, and its rows, each in the book as soon as it is measured.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "for programs of people at a terminal"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use clap::Args;

use crate::{
    Result, machine,
    page::{self, Book, Plot},
    results::{Results, Row},
};

/// A run under way.
#[derive(Debug)]
pub struct Run {
    book: Book,
    results: Results,
    page: PathBuf,
    out: PathBuf,
    begun: Instant,
}

impl Run {
    /// Begins one. What was measured before stays where it is not measured again. `disk` is where the
    /// stores lie, `page` the page whose prose is kept, `out` where everything goes.
    pub fn begin(book: Book, disk: &Path, page: &Path, out: &Path) -> Result<Self> {
        fs::create_dir_all(disk)?;
        let mut results = book.load(out)?;
        results.machine = machine::describe(disk)?;
        if let Some(warning) = results.machine.warning() {
            eprintln!("warning: {warning}");
        }
        let (page, out) = (page.to_owned(), out.to_owned());
        Ok(Self { book, results, page, out, begun: Instant::now() })
    }

    /// Measures a row. It is written at once: a long run that is cut short has not been for nothing.
    pub fn row(&mut self, name: &str, measure: impl FnOnce() -> Result<Row>) -> Result<()> {
        eprintln!("\n=== {name} ({:.0} s so far) ===", self.begun.elapsed().as_secs_f64());
        let row = measure()?;
        print!("{}", page::for_terminal(&row));
        self.results.rows.insert(name.to_owned(), row);
        self.book.write(&self.results, &self.page, &self.out)
    }

    /// Says where everything is.
    pub fn end(self) {
        let took = self.begun.elapsed().as_secs_f64();
        println!("\nwritten to {}, {took:.0} s", self.out.display());
    }
}

/// A row: its name, which the page has too, and what measures it.
#[derive(Debug)]
pub struct Kind<B> {
    /// In the page, on the command line, in the results.
    pub name: &'static str,
    /// Measures it.
    pub run: fn(&B) -> Result<Row>,
}

// Where a benchmark on a disk has its things.
#[expect(missing_docs, reason = "clap would show it as what the program does")]
#[derive(Debug, Args)]
pub struct Paths {
    /// Where everything lies while it is measured; must be on the disk in question.
    #[arg(long, default_value = "target/bench-data")]
    pub dir: PathBuf,
    /// Where the page, the results and the plots go.
    #[arg(long, default_value = "target/bench")]
    pub out: PathBuf,
}

impl Paths {
    /// Measures those of `rows` that are in `only`, or all if that is empty. The others stay as they
    /// were measured before.
    pub fn run<B>(&self, book: Book, rows: &[Kind<B>], only: &[String], bench: &B) -> Result<()> {
        let page = book.page();
        let mut run = Run::begin(book, &self.dir, &page, &self.out)?;
        let wanted = |row: &&Kind<B>| only.is_empty() || only.iter().any(|only| only == row.name);
        for row in rows.iter().filter(wanted) {
            run.row(row.name, || (row.run)(bench))?;
        }
        run.end();
        eprintln!("now everything that was measured is removed");
        Ok(())
    }
}

impl Book {
    /// The book of these rows.
    pub fn of<B>(
        name: &'static str,
        rows: &[Kind<B>],
        plots: fn(name: &str, row: &Row) -> Vec<Plot>,
    ) -> Self {
        Self { name, rows: names(rows).collect(), plots }
    }
}

/// The names of rows, in their order.
pub fn names<B>(rows: &[Kind<B>]) -> impl Iterator<Item = &'static str> {
    rows.iter().map(|row| row.name)
}

/// Contestants, beginning with another one in each round.
pub fn rotated<T: Copy>(contestants: &[T], round: usize) -> Vec<T> {
    let mut rotated = contestants.to_vec();
    rotated.rotate_left(round % contestants.len().max(1));
    rotated
}

/// How the program ends.
pub fn end(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
