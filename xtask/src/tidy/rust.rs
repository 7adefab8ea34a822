//! Lints over Rust sources, beyond what clippy knows.

use super::{Findings, files::File};

/// A file above this deserves a second look.
const LONG: usize = 400;

/// Nothing of this may stay in the tree. (Put together here, so that this file passes.)
const BANNED: [&str; 4] = [
    concat!("todo", "!("),
    concat!("dbg", "!("),
    concat!("unimplemented", "!("),
    concat!("#[", "ignore"),
];

pub(super) fn check(files: &[File], findings: &mut Findings) {
    let test_modules: Vec<String> = files.iter().flat_map(test_modules).collect();
    for file in files.iter().filter(|f| f.path.ends_with(".rs")) {
        if !file.text.starts_with("//!") {
            findings.error(&file.path, "the first line must be `//!` and name the file's job");
        }
        let lines = file.text.lines().count();
        if lines > LONG {
            findings.note(&file.path, format_args!("{lines} lines"));
        }
        for (number, line) in file.text.lines().enumerate() {
            for banned in BANNED.iter().filter(|b| code(line).contains(*b)) {
                let place = format_args!("{}:{}", file.path, number + 1).to_string();
                findings.error(place, format_args!("`{banned}..` must not stay"));
            }
        }
        let tests = test_modules.iter().any(|module| is_part_of(&file.path, module));
        if !tests && !may_use_files(&file.path) && uses_files(before_tests(&file.text)) {
            findings.error(&file.path, "std::fs belongs into the module made for it");
        }
    }
}

/// Files are touched in few places: the disk of kv-fs, the files of kv-sqlite, the directory cloud,
/// the secrets of the other clouds, the wallet's folder, and in programs and tests.
fn may_use_files(path: &str) -> bool {
    const MODULES: [&str; 13] = [
        "crates/kv-fs/src/disk",
        "crates/kv-sqlite/src/files",
        "crates/cloud/src/access",
        "crates/cloud/src/dir",
        "crates/wallet-persistence/src/folder",
        "crates/strongroom/",
        "crates/kv-bench/",
        "crates/backup-bench/",
        "crates/cloud-bench/",
        "crates/records-bench/",
        "crates/ldk-bench/",
        "crates/bench-report/",
        "xtask/",
    ];
    const PARTS: [&str; 5] = ["/tests/", "/testing/", "/benches/", "/examples/", "/fuzz/"];
    MODULES.iter().any(|module| path.starts_with(module))
        || PARTS.iter().any(|part| path.contains(part))
        || path.ends_with("/tests.rs")
}

/// Whether the code names `std::fs` or `tokio::fs`, in full or within the braces of a `use`.
fn uses_files(text: &str) -> bool {
    let text: String = text.lines().map(code).collect::<Vec<_>>().join("\n");
    if ["std::fs", "tokio::fs"].iter().any(|name| has_word(&text, name)) {
        return true;
    }
    let grouped = ["use std::{", "use tokio::{"];
    grouped.iter().any(|begin| {
        let uses = text.split(begin).skip(1).filter_map(|rest| rest.split(';').next());
        uses.into_iter().any(|group| has_word(group, "fs"))
    })
}

/// Whether `word` stands in the text and is not a part of a longer name.
fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let (before, rest) = text.split_at(at);
        let after = rest.strip_prefix(word).unwrap_or_default();
        !before.ends_with(part) && !after.starts_with(part)
    })
}

/// The part of a source before its own tests.
fn before_tests(text: &str) -> &str {
    let mut starts = text.match_indices("#[cfg(test)]\nmod ");
    let inline = starts.find(|(at, start)| {
        let rest = text.get(at + start.len()..).unwrap_or_default();
        rest.lines().next().is_some_and(|line| line.ends_with('{'))
    });
    inline.and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

/// The paths, without `.rs`, of the modules that this file declares for tests only.
fn test_modules(file: &File) -> impl Iterator<Item = String> {
    let path = file.path.strip_suffix(".rs").unwrap_or_default();
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let folder = if ["lib", "main", "mod"].contains(&name) { folder } else { path };
    let declared = file.text.split("#[cfg(test)]\nmod ").skip(1);
    let names = declared.filter_map(|rest| rest.lines().next()?.strip_suffix(';'));
    names.map(move |name| format!("{folder}/{name}"))
}

/// Whether the file is the module or lies within it.
fn is_part_of(path: &str, module: &str) -> bool {
    let rest = path.strip_prefix(module);
    rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// The line, or nothing if it is a comment.
fn code(line: &str) -> &str {
    if line.trim_start().starts_with("//") { "" } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::errors;

    fn found(path: &str, text: &str) -> usize {
        errors(check, &[(path, &format!("//! A job.\n{text}"))]).len()
    }

    #[test]
    fn every_file_names_its_job() {
        assert_eq!(errors(check, &[("crates/a/src/b.rs", "use x;\n")]).len(), 1);
        assert_eq!(found("crates/a/src/b.rs", "use x;\n"), 0);
    }

    #[test]
    fn what_must_not_stay_is_found() {
        for banned in BANNED {
            assert_eq!(found("crates/a/src/b.rs", &format!("    {banned}\n")), 1, "{banned}");
            assert_eq!(found("crates/a/src/b.rs", &format!("    // {banned}\n")), 0, "{banned}");
        }
    }

    #[test]
    fn files_are_touched_in_few_places() {
        let uses = [
            "use std::fs;\n",
            "use std::{\n    fs,\n    io,\n};\n",
            "let x = tokio::fs::read(y);\n",
        ];
        for text in uses {
            assert_eq!(found("crates/vault/src/keys.rs", text), 1, "{text}");
            assert_eq!(found("crates/kv-fs/src/disk/real.rs", text), 0, "{text}");
            assert_eq!(found("crates/vault/tests/golden.rs", text), 0, "{text}");
            let in_tests = format!("#[cfg(test)]\nmod tests {{\n{text}}}\n");
            assert_eq!(found("crates/vault/src/keys.rs", &in_tests), 0, "{text}");
        }
        assert_eq!(found("crates/vault/src/keys.rs", "use std::{fmt, io};\nlet fs = 1;\n"), 0);
    }
}
