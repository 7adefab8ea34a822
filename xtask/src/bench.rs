//! `bench`: builds and runs the benchmark; what it measures is the page `docs/src/benchmarks.md`.

use crate::run::Step;

/// Where the page of the book lies.
const BOOK: &str = "docs/src";

/// Runs the benchmark of the stores. Without options it is a full run whose figures go into the
/// book; with options they go below `target`, unless `--book` is one of them.
pub(crate) fn kv(options: &[&str]) -> bool {
    let into_book = options.is_empty() || options.contains(&"--book");
    let mut args = vec!["run", "--release", "--package", "kv-bench", "--"];
    args.extend(options.iter().filter(|option| **option != "--book"));
    if into_book {
        args.extend(["--out", BOOK]);
    }
    Step::cargo(&args).run().map_err(|failure| eprintln!("{failure}")).is_ok()
}
