//! The rows of the table, in its order.

mod backup;
mod poll;
mod restore;

use std::pin::Pin;

use bench_report::{Result, page::Book, results::Row};
use clap::builder::PossibleValuesParser;

use crate::bench::Bench;

/// A row: its name, which the page has too, and what measures it.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) run: for<'a> fn(&'a Bench) -> Measuring<'a>,
}

type Measuring<'a> = Pin<Box<dyn Future<Output = Result<Row>> + 'a>>;

pub(crate) const ALL: [Kind; 3] = [
    Kind { name: "backup", run: |bench| Box::pin(backup::run(bench)) },
    Kind { name: "restore", run: |bench| Box::pin(restore::run(bench)) },
    Kind { name: "poll", run: |bench| Box::pin(poll::run(bench)) },
];

/// What of it stands in the book.
pub(crate) fn book() -> Book {
    let rows = ALL.iter().map(|row| row.name).collect();
    Book { name: "benchmarks-cloud", rows, plots: |_, _| Vec::new() }
}

/// For the command line.
pub(crate) fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(ALL.iter().map(|row| row.name))
}
