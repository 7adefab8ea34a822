//! The rows of the table, in its order.

mod inserts;
mod queries;
mod resume;

use bench_report::{
    page::Book,
    run::{self, Kind},
};
use clap::builder::PossibleValuesParser;

use crate::{bench::Bench, tasks::Who, tower::Below};

pub(crate) const ALL: [Kind<Bench>; 3] = [
    Kind { name: "queries", run: queries::run },
    Kind { name: "inserts", run: inserts::run },
    Kind { name: "resume", run: resume::run },
];

/// Our own contestants: the store the book recommends for so many small values, and the default.
const SQLITE: (&str, Who) = ("records over kv-sqlite", Who::Records(Below::Sqlite));
const FS: (&str, Who) = ("records over kv-fs", Who::Records(Below::Fs));
/// The peer.
const PEER: (&str, Who) = ("SQLite", Who::Peer);
const CONTESTANTS: [(&str, Who); 3] = [SQLITE, FS, PEER];

/// What of it stands in the book.
pub(crate) fn book() -> Book {
    Book::of("benchmarks-records", &ALL, |_, _| Vec::new())
}

/// For the command line.
pub(crate) fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(run::names(&ALL))
}
