//! Runs the tests and counts them.

use std::fmt;

use super::{Context, OURS, report::Stop};
use crate::{
    run::{Step, Stream},
    servers,
    tools::Tool,
};

/// How many tests ran.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    passed: u64,
    failed: u64,
}

/// Unit, conformance, model and crash tests; with cargo-nextest where it is installed. What they see
/// of clouds is written into the book.
pub(super) fn run(context: &mut Context) -> Result<(), Stop> {
    let seen = servers::begin_to_note()?;
    run_all(context, &seen.display().to_string())?;
    Ok(servers::tell(&seen)?)
}

fn run_all(context: &mut Context, seen: &str) -> Result<(), Stop> {
    let common = [OURS.as_slice(), &["--all-features", "--no-fail-fast"]].concat();
    if Tool::Nextest.is_there() {
        let args = [&["nextest", "run"], common.as_slice()].concat();
        // The last summary is nextest's own; one before it would be the output of a failed test.
        let mut last = Counts::default();
        let outcome = Step::cargo(&args).env(servers::SEEN, seen).watch(Stream::Err, |line| {
            last = of_nextest(line).unwrap_or(last);
        });
        context.counts.add(last);
        return Ok(outcome?);
    }
    println!("{} (the tests run without it too, only slower)", Tool::Nextest.why_skipped());
    let targets = ["--lib", "--bins", "--tests", "--examples"];
    let args = [&["test"], common.as_slice(), targets.as_slice()].concat();
    count(context, Step::cargo(&args).env(servers::SEEN, seen))
}

/// The examples in the documentation.
pub(super) fn run_doc_tests(context: &mut Context) -> Result<(), Stop> {
    let flags = ["--all-features", "--no-fail-fast"];
    run_cargo_test(context, &[&["test", "--doc"], OURS.as_slice(), flags.as_slice()].concat())
}

/// The tests of kv-fs that need LDK's own stores.
pub(super) fn run_beside_ldk(context: &mut Context) -> Result<(), Stop> {
    Step::cargo(&["clippy", "--package", "kv-fs-compat", "--all-targets", "--", "-D", "warnings"])
        .run()?;
    run_cargo_test(context, &["test", "--package", "kv-fs-compat", "--tests", "--no-fail-fast"])
}

/// All of kv-ldk, for both versions of LDK: one set of features, so that LDK compiles once for them.
pub(super) fn run_on_ldk(context: &mut Context) -> Result<(), Stop> {
    let common = ["--package", "kv-ldk", "--all-features"];
    let clippy = [&["clippy"], common.as_slice(), &["--all-targets", "--", "-D", "warnings"]];
    Step::cargo(&clippy.concat()).run()?;
    // It shares the networks of the tests, and runs too seldom to be noticed when it does not compile.
    let bench = ["clippy", "--package", "ldk-bench", "--all-features", "--", "-D", "warnings"];
    Step::cargo(&bench).run()?;
    let docs = [&["doc"], common.as_slice(), &["--no-deps"]];
    Step::cargo(&docs.concat()).env("RUSTDOCFLAGS", "-D warnings").run()?;
    run_cargo_test(context, &[&["test"], common.as_slice(), &["--no-fail-fast"]].concat())
}

/// The tests of kv-bdk that need bdk's own SQLite persister, in a workspace of their own.
pub(super) fn run_beside_bdk(context: &mut Context) -> Result<(), Stop> {
    let place = ["--manifest-path", "crates/kv-bdk/peer/Cargo.toml", "--locked"];
    let target = ["--target-dir", "target/kv-bdk-peer"];
    let common = [place.as_slice(), target.as_slice()].concat();
    let clippy = [&["clippy"], common.as_slice(), &["--all-targets", "--", "-D", "warnings"]];
    Step::cargo(&clippy.concat()).run()?;
    run_cargo_test(context, &[&["test"], common.as_slice(), &["--tests"]].concat())
}

fn run_cargo_test(context: &mut Context, args: &[&str]) -> Result<(), Stop> {
    count(context, Step::cargo(args))
}

/// Here each binary has a closing line.
fn count(context: &mut Context, tests: Step) -> Result<(), Stop> {
    let each = |line: &str| context.counts.add(of_cargo_test(line).unwrap_or_default());
    Ok(tests.watch(Stream::Out, each)?)
}

fn of_nextest(line: &str) -> Option<Counts> {
    let (_, counts) = line.trim().strip_prefix("Summary [")?.split_once("run:")?;
    Some(parse(counts))
}

fn of_cargo_test(line: &str) -> Option<Counts> {
    let (_, counts) = line.strip_prefix("test result:")?.split_once(". ")?;
    Some(parse(counts))
}

/// Reads `3 passed (1 slow), 1 failed, 2 exec failed`, whatever stands between the items.
fn parse(text: &str) -> Counts {
    let mut counts = Counts::default();
    let mut number = 0;
    for word in text.split([' ', ',', ';']).filter(|word| !word.is_empty()) {
        match word {
            "passed" => counts.passed += number,
            "failed" | "timed" => counts.failed += number,
            _ => {}
        }
        // `2 exec failed`: the number counts for the last of its words.
        if let Ok(n) = word.parse() {
            number = n;
        } else if word != "exec" {
            number = 0;
        }
    }
    counts
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// Some tests ran and none failed.
    pub(super) fn is_good(self) -> bool {
        self.passed > 0 && self.failed == 0
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nextests_closing_line_is_understood() {
        let line = "     Summary [   0.005s] 15 tests run: 10 passed (1 slow, 2 flaky), 2 failed, \
                    1 timed out, 2 exec failed, 7 skipped";
        assert_eq!(of_nextest(line), Some(Counts { passed: 10, failed: 5 }));
        let interrupted = "     Summary [   1.000s] 3/9 tests run: 3 passed, 0 skipped";
        assert_eq!(of_nextest(interrupted), Some(Counts { passed: 3, failed: 0 }));
        // The output of a failed test is shown again.
        let shown = "    test result: FAILED. 0 passed; 1 failed; 0 ignored";
        assert_eq!(of_nextest(shown), None);
    }

    #[test]
    fn cargo_tests_closing_lines_are_understood() {
        let line = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out";
        assert_eq!(of_cargo_test(line), Some(Counts { passed: 3, failed: 0 }));
        let line = "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured";
        assert_eq!(of_cargo_test(line), Some(Counts { passed: 1, failed: 2 }));
        assert_eq!(of_cargo_test("test a::passed ... ok"), None);
    }

    #[test]
    fn no_test_at_all_is_not_good() {
        assert!(!Counts::default().is_good());
        assert!(Counts { passed: 1, failed: 0 }.is_good());
        assert!(!Counts { passed: 1, failed: 1 }.is_good());
    }
}
