//! Promises name tests that exist, on the guarantees page and wherever the book has such a table.

use std::collections::BTreeSet;

use super::{Findings, files::File};

/// Here no promise is made without a test.
const PAGE: &str = "docs/src/guarantees.md";

pub(super) fn check(files: &[File], findings: &mut Findings) {
    let sources = files.iter().filter(|f| f.path.ends_with(".rs"));
    let functions: BTreeSet<&str> = sources.flat_map(|f| functions(&f.text)).collect();
    for page in files.iter().filter(|f| f.path.starts_with("docs/src/")) {
        for (number, row) in rows(&page.text) {
            let place = format!("{}:{number}", page.path);
            let tests = tests(row);
            if tests.is_empty() && page.path == PAGE {
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
    after.filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next())
}

/// How a table begins whose rows name tests in their last cell.
const HEADS: [&str; 3] = ["| promise |", "| behaviour |", "| threat |"];

/// The rows of all such tables, with the numbers of their lines.
fn rows(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut within = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let head = HEADS.iter().any(|head| line.starts_with(head));
        within = head || (within && line.starts_with('|'));
        (within && !head && !line.starts_with("|-")).then_some((index + 1, line))
    })
}

/// What stands in backticks in the last cell and is a name, not a path.
fn tests(row: &str) -> Vec<&str> {
    let cell = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default();
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted.filter(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::errors;

    fn found_on(path: &str, row: &str) -> usize {
        let page = format!("| promise | tests |\n|---|---|\n{row}\n");
        let source = ("crates/a/tests/a.rs", "#[test]\nfn it_holds() {}\n");
        errors(check, &[(path, &page), source]).len()
    }

    fn found(row: &str) -> usize {
        found_on(PAGE, row)
    }

    #[test]
    fn a_promise_without_a_test_is_found() {
        assert_eq!(found("| It `does` hold. | `it_holds` |"), 0);
        assert_eq!(found("| It holds. | |"), 1);
        assert_eq!(found("| It holds. | `it_hold` |"), 1);
        assert_eq!(found("| It holds. | `it_holds`, `it_stays` |"), 1);
    }

    #[test]
    fn a_test_that_is_gone_is_found_on_every_page() {
        let page = "docs/src/crates/a.md";
        assert_eq!(found_on(page, "| It holds. | `it_hold` |"), 1);
        assert_eq!(found_on(page, "| It holds. | the suite in `tests/a.rs` |"), 0);
        assert_eq!(found_on(page, "| It holds. | `it_holds` |\n\n| a | `b` |"), 0);
    }
}
