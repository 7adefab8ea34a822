//! The rows of the table, in its order.

mod dumps;
mod restore;
mod side_by_side;
mod steady;

use clap::builder::PossibleValuesParser;

use crate::{Result, bench::Bench, page::Book, plot, results::Row};

/// A row: its name, which the page has too, and what measures it.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Bench) -> Result<Row>,
}

pub(crate) const ALL: [Kind; 4] = [
    Kind { name: "steady", run: steady::run },
    Kind { name: "dumps", run: dumps::run },
    Kind { name: "restore", run: restore::run },
    Kind { name: "side-by-side", run: side_by_side::run },
];

/// What of it stands in the book.
pub(crate) fn book() -> Book {
    let rows = ALL.iter().map(|row| row.name).collect();
    Book { name: "benchmarks-backup", rows, plots: plot::of_row }
}

/// For the command line.
pub(crate) fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(ALL.iter().map(|row| row.name))
}
