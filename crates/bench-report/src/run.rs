//! A run: row after row, each in the book as soon as it is measured.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "for programs of people at a terminal"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use crate::{
    Result, machine,
    page::{self, Book},
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
