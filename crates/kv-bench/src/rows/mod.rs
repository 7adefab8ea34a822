//! The rows of the table, in its order.

mod big;
mod in_flight;
mod long_run;
mod memory;
mod open;
mod page;
mod reads;
mod small_records;
mod writes;
mod written;

use bench_report::run::{self, Kind};
use clap::builder::PossibleValuesParser;

use crate::{
    bench::{Bench, LARGE, SMALL},
    page::Book,
    plot,
};

pub(crate) const ALL: [Kind<Bench>; 12] = [
    Kind { name: "writes-256", run: |bench| writes::run(bench, SMALL, &[1, 4, 16, 64]) },
    Kind { name: "in-flight", run: in_flight::run },
    Kind { name: "writes-64k", run: |bench| writes::run(bench, LARGE, &[1, 16]) },
    Kind { name: "long-hot", run: |bench| long_run::run(bench, long_run::Keys::Hot) },
    Kind { name: "long-new", run: |bench| long_run::run(bench, long_run::Keys::New) },
    Kind { name: "reads", run: reads::run },
    Kind { name: "open", run: open::run },
    Kind { name: "page", run: page::run },
    Kind { name: "memory", run: memory::run },
    Kind { name: "written", run: written::run },
    Kind { name: "big", run: big::run },
    Kind { name: "small-records", run: small_records::run },
];

/// What of it stands in the book.
pub(crate) fn book() -> Book {
    Book::of("benchmarks", &ALL, plot::of_row)
}

/// For the command line.
pub(crate) fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(run::names(&ALL))
}
