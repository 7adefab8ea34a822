//! `bench`: builds and runs the benchmarks; what they measure is in the book, `docs/src/benchmarks.md`
//! and the pages `benchmarks-backup.md`, `benchmarks-cloud.md`, `benchmarks-records.md` and
//! `benchmarks-ldk.md` beside it.

use crate::run::Step;

/// Where the pages of the book lie.
const BOOK: &str = "docs/src";

/// The benchmarks, and the packages that measure.
const BENCHES: [(&str, &str); 5] = [
    ("kv", "kv-bench"),
    ("backup", "backup-bench"),
    ("cloud", "cloud-bench"),
    ("records", "records-bench"),
    ("ldk", LDK),
];
/// The one that compiles nothing unless it is asked to.
const LDK: &str = "ldk-bench";

/// Whether there is a benchmark of this name.
pub(crate) fn is_one(name: &str) -> bool {
    package(name).is_some()
}

/// Runs a benchmark. Without options it is a full run whose figures go into the book; with options
/// they go below `target`, unless `--book` is one of them.
pub(crate) fn run(name: &str, options: &[&str]) -> bool {
    let Some(package) = package(name) else { return false };
    let into_book = options.is_empty() || options.contains(&"--book");
    let mut args = vec!["run", "--release", "--package", package];
    if package == LDK {
        args.extend(["--features", "measure"]);
    }
    args.push("--");
    args.extend(options.iter().filter(|option| **option != "--book"));
    if into_book {
        args.extend(["--out", BOOK]);
    }
    Step::cargo(&args).run().map_err(|failure| eprintln!("{failure}")).is_ok()
}

fn package(name: &str) -> Option<&'static str> {
    BENCHES.iter().find(|(bench, _)| *bench == name).map(|(_, package)| *package)
}
