//! Every row of the guarantees page names tests that exist: a promise without a test is not made.

use std::collections::BTreeSet;

use super::{Findings, files::File};

const PAGE: &str = "docs/src/guarantees.md";

pub(super) fn check(files: &[File], findings: &mut Findings) {
    let sources = files.iter().filter(|f| f.path.ends_with(".rs"));
    let functions: BTreeSet<&str> = sources.flat_map(|f| functions(&f.text)).collect();
    for page in files.iter().filter(|f| f.path == PAGE) {
        for (number, line) in page
            .text
            .lines()
            .enumerate()
            .filter(|(_, line)| is_row(line))
        {
            let place = format!("{PAGE}:{}", number + 1);
            let tests = tests(line);
            if tests.is_empty() {
                findings.error(&place, "a promise without a test");
            }
            for test in tests.iter().filter(|test| !functions.contains(*test)) {
                findings.error(&place, format_args!("there is no test `{test}`"));
            }
        }
    }
}

/// The names of all functions of a source.
fn functions(text: &str) -> impl Iterator<Item = &str> {
    let after = text.split("fn ").skip(1);
    after.filter_map(|rest| {
        rest.split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()
    })
}

/// A row of a table that is neither its head nor the line below that.
fn is_row(line: &str) -> bool {
    line.starts_with('|') && !line.starts_with("|-") && !line.starts_with("| promise ")
}

/// What stands in backticks in the last cell.
fn tests(row: &str) -> Vec<&str> {
    let cell = row
        .trim_end_matches([' ', '|'])
        .rsplit('|')
        .next()
        .unwrap_or_default();
    cell.split('`').skip(1).step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::errors;

    fn found(row: &str) -> usize {
        let page = format!("| promise | tests |\n|---|---|\n{row}\n");
        let source = ("crates/a/tests/a.rs", "#[test]\nfn it_holds() {}\n");
        errors(check, &[(PAGE, &page), source]).len()
    }

    #[test]
    fn a_promise_without_a_test_is_found() {
        assert_eq!(found("| It `does` hold. | `it_holds` |"), 0);
        assert_eq!(found("| It holds. | |"), 1);
        assert_eq!(found("| It holds. | `it_hold` |"), 1);
        assert_eq!(found("| It holds. | `it_holds`, `it_stays` |"), 1);
    }
}
