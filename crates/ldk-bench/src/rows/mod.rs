//! The rows of the table, in its order.

mod payments;
mod replicated;

use bench_report::{Result, page::Book, results::Row};
use clap::builder::PossibleValuesParser;

use crate::{bench::Bench, plot};

/// A row: its name, which the page has too, and what measures it.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Bench) -> Result<Row>,
}

pub(crate) const ALL: [Kind; 3] = [
    Kind { name: "whole-monitors", run: payments::whole },
    Kind { name: "updates", run: payments::updates },
    Kind { name: "replicated", run: replicated::run },
];

/// What of it stands in the book.
pub(crate) fn book() -> Book {
    let rows = ALL.iter().map(|row| row.name).collect();
    Book { name: "benchmarks-ldk", rows, plots: plot::of_row }
}

/// For the command line.
pub(crate) fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(ALL.iter().map(|row| row.name))
}
