//! Runs the tests and counts them.

use std::fmt;

use super::{Context, report::Stop};
use crate::{
    run::{Step, Stream},
    tools::Tool,
};

/// How many tests ran.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    passed: u64,
    failed: u64,
}

/// Unit, conformance, model and crash tests; with cargo-nextest where it is installed.
pub(super) fn run(context: &mut Context) -> Result<(), Stop> {
    let common = ["--workspace", "--all-features", "--no-fail-fast"];
    if Tool::Nextest.is_there() {
        let args = [&["nextest", "run"], common.as_slice()].concat();
        return Ok(Step::cargo(&args).watch(Stream::Err, |line| context.counts.add(line))?);
    }
    println!(
        "{} (the tests run without it too, only slower)",
        Tool::Nextest.why_skipped()
    );
    let targets = ["--lib", "--bins", "--tests", "--examples"];
    let args = [&["test"], common.as_slice(), targets.as_slice()].concat();
    Ok(Step::cargo(&args).watch(Stream::Out, |line| context.counts.add(line))?)
}

/// The examples in the documentation.
pub(super) fn run_doc_tests(context: &mut Context) -> Result<(), Stop> {
    let args = [
        "test",
        "--doc",
        "--workspace",
        "--all-features",
        "--no-fail-fast",
    ];
    Ok(Step::cargo(&args).watch(Stream::Out, |line| context.counts.add(line))?)
}

impl Counts {
    /// Adds the counts of a closing line of nextest or of cargo test; other lines count nothing.
    fn add(&mut self, line: &str) {
        let line = line.trim();
        let counts = if line.starts_with("Summary [") {
            line.split_once("run:").map(|(_, counts)| counts)
        } else {
            line.strip_prefix("test result:")
                .and_then(|rest| rest.split_once(". "))
                .map(|(_, c)| c)
        };
        let mut number = 0;
        for word in counts
            .unwrap_or_default()
            .split([' ', ',', ';'])
            .filter(|w| !w.is_empty())
        {
            match word {
                "passed" => self.passed += number,
                "failed" | "timed" => self.failed += number,
                _ => {}
            }
            // `2 exec failed`: the number counts for the last of its words.
            if let Ok(n) = word.parse() {
                number = n;
            } else if word != "exec" {
                number = 0;
            }
        }
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
    use super::Counts;

    fn count(lines: &[&str]) -> Counts {
        let mut counts = Counts::default();
        lines.iter().for_each(|line| counts.add(line));
        counts
    }

    #[test]
    fn nextests_closing_line_is_understood() {
        let line = "     Summary [   0.005s] 15 tests run: 10 passed (1 slow, 2 flaky), 2 failed, \
                    1 timed out, 2 exec failed, 7 skipped";
        assert_eq!(
            count(&[line]),
            Counts {
                passed: 10,
                failed: 5
            }
        );
        let interrupted = "     Summary [   1.000s] 3/9 tests run: 3 passed, 0 skipped";
        assert_eq!(
            count(&[interrupted]),
            Counts {
                passed: 3,
                failed: 0
            }
        );
    }

    #[test]
    fn cargo_tests_closing_lines_add_up() {
        let lines = [
            "test a::b ... ok",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ];
        assert_eq!(
            count(&lines),
            Counts {
                passed: 4,
                failed: 2
            }
        );
    }

    #[test]
    fn no_test_at_all_is_not_good() {
        assert!(!Counts::default().is_good());
        assert!(
            Counts {
                passed: 1,
                failed: 0
            }
            .is_good()
        );
        assert!(
            !Counts {
                passed: 1,
                failed: 1
            }
            .is_good()
        );
    }
}
