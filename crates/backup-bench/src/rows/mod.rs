//! The rows of the table, in its order.

mod dumps;
mod restore;
mod side_by_side;
mod steady;

use bench_report::run::{self, Kind};
use clap::builder::PossibleValuesParser;

use crate::{bench::Bench, page::Book, plot};

pub(crate) const ALL: [Kind<Bench>; 4] = [
    Kind { name: "steady", run: steady::run },
    Kind { name: "dumps", run: dumps::run },
    Kind { name: "restore", run: restore::run },
    Kind { name: "side-by-side", run: side_by_side::run },
];

/// What of it stands in the book.
pub(crate) fn book() -> Book {
    Book::of("benchmarks-backup", &ALL, plot::of_row)
}

/// For the command line.
pub(crate) fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(run::names(&ALL))
}
