//! The top level holds what a visitor needs and what tools demand, nothing else.

use std::collections::BTreeSet;

use super::{Findings, files::File};

const ALLOWED: [&str; 12] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "clippy.toml",
    "crates",
    "deny.toml",
    "docs",
    "rustfmt.toml",
    "xtask",
];

/// The peers that are measured need `unsafe`, which the workspace's lints forbid for good.
const OWN_LINTS: &str = "crates/kv-bench/Cargo.toml";

pub(super) fn check(files: &[File], findings: &mut Findings) {
    let tops: BTreeSet<&str> = files.iter().filter_map(|f| f.path.split('/').next()).collect();
    for top in tops {
        if !top.starts_with('.') && !ALLOWED.contains(&top) {
            findings.error(top, "does not belong on the top level");
        }
    }
    for file in files.iter().filter(|f| f.path.ends_with("/Cargo.toml") && f.path != OWN_LINTS) {
        if !file.text.contains("[lints]\nworkspace = true\n") {
            findings.error(&file.path, "needs `[lints] workspace = true`");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::errors;

    #[test]
    fn a_stray_file_on_the_top_level_is_found() {
        assert!(errors(check, &[("README.md", ""), (".ci/run", ""), ("docs/x.md", "")]).is_empty());
        assert_eq!(errors(check, &[("notes.txt", "")]).len(), 1);
    }

    #[test]
    fn a_crate_without_our_lints_is_found() {
        let good = ("crates/a/Cargo.toml", "[lints]\nworkspace = true\n");
        assert!(errors(check, &[good]).is_empty());
        assert_eq!(errors(check, &[("crates/a/Cargo.toml", "[package]\n")]).len(), 1);
    }
}
