//! The tools that some checks need, and what to do when one is missing.

use crate::run::Step;

/// A program that not everybody has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Rustfmt,
    Clippy,
    Nextest,
    Mdbook,
    Deny,
    Git,
}

impl Tool {
    /// Whether the tool can be run here.
    pub(crate) fn is_there(self) -> bool {
        let probe = match self {
            Self::Rustfmt => Step::cargo(&["fmt", "--version"]),
            Self::Clippy => Step::cargo(&["clippy", "--version"]),
            Self::Nextest => Step::cargo(&["nextest", "--version"]),
            Self::Mdbook => Step::new("mdbook", &["--version"]),
            Self::Deny => Step::cargo(&["deny", "--version"]),
            Self::Git => Step::new("git", &["rev-parse", "--git-dir"]),
        };
        probe.succeeds()
    }

    /// Why a check is skipped without the tool, and how to get it. `.ci/run` pins the versions.
    pub(crate) fn why_skipped(self) -> &'static str {
        match self {
            Self::Rustfmt => "no rustfmt: rustup component add rustfmt",
            Self::Clippy => "no clippy: rustup component add clippy",
            Self::Nextest => "no cargo-nextest: cargo install --locked cargo-nextest",
            Self::Mdbook => "no mdbook: cargo install --locked mdbook",
            Self::Deny => "no cargo-deny: cargo install --locked cargo-deny",
            Self::Git => "not a git checkout",
        }
    }
}
