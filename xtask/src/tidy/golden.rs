//! Golden files are frozen: what version 1 wrote once must be read for ever. A list holds the hash of
//! each; it is only added to.

use std::{collections::BTreeMap, fs};

use sha2::{Digest, Sha256};

use super::{Findings, files};
use crate::run::root;

/// In the form that `sha256sum -c` reads, too.
pub(super) const LIST: &str = "docs/src/formats/golden.sha256";

/// Compares the files with the list.
pub(super) fn check(findings: &mut Findings) -> Result<(), String> {
    compare(&read()?, &found()?, findings);
    Ok(())
}

/// Adds the golden files that are not in the list yet. What is in it stays as it is.
pub(crate) fn freeze() -> Result<(), String> {
    let (mut list, found) = (read()?, found()?);
    let before = list.len();
    for (path, hash) in found {
        list.entry(path).or_insert(hash);
    }
    let added = list.len() - before;
    let text: String = list.iter().map(|(path, hash)| format!("{hash}  {path}\n")).collect();
    fs::write(root().join(LIST), text).map_err(|e| format!("{LIST}: {e}"))?;
    println!("{added} golden files were frozen, {} in all", list.len());
    Ok(())
}

fn compare(
    list: &BTreeMap<String, String>,
    found: &BTreeMap<String, String>,
    findings: &mut Findings,
) {
    for (path, hash) in list {
        match found.get(path) {
            None => findings.error(path, "this golden file is frozen and has gone; put it back"),
            Some(now) if now != hash => findings.error(
                path,
                "this golden file is frozen and has changed; put it back, and give what is new a \
                 version of its own",
            ),
            Some(_) => {}
        }
    }
    for path in found.keys().filter(|path| !list.contains_key(*path)) {
        findings.error(path, "this golden file is not frozen: cargo xtask golden");
    }
}

fn read() -> Result<BTreeMap<String, String>, String> {
    let text = fs::read_to_string(root().join(LIST)).map_err(|e| format!("{LIST}: {e}"))?;
    parse(&text)
}

fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut list = BTreeMap::new();
    for line in text.lines() {
        let (hash, path) = line.split_once("  ").ok_or_else(|| format!("{LIST}: {line}"))?;
        if list.insert(path.to_owned(), hash.to_owned()).is_some() {
            return Err(format!("{LIST}: {path} stands there twice"));
        }
    }
    Ok(list)
}

/// The hash of each golden file.
fn found() -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    for file in files::all()?.into_iter().filter(|file| is_golden(&file.path)) {
        let bytes = fs::read(root().join(&file.path)).map_err(|e| format!("{}: {e}", file.path))?;
        let hash: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        found.insert(file.path, hash);
    }
    Ok(found)
}

/// `crates/NAME/tests/golden/vN/...`
fn is_golden(path: &str) -> bool {
    let mut parts = path.split('/').skip_while(|part| *part != "golden").skip(1);
    let is_version = |part: &str| {
        part.strip_prefix('v')
            .is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()) && !n.is_empty())
    };
    path.starts_with("crates/") && parts.next().is_some_and(is_version) && parts.next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(files: &[(&str, &str)]) -> BTreeMap<String, String> {
        files.iter().map(|(path, hash)| ((*path).to_owned(), (*hash).to_owned())).collect()
    }

    fn errors(found: &[(&str, &str)]) -> Vec<String> {
        let mut findings = Findings::default();
        compare(&map(&[("a", "1"), ("b", "2")]), &map(found), &mut findings);
        findings.errors
    }

    #[test]
    fn what_is_frozen_neither_changes_nor_goes() {
        assert!(errors(&[("a", "1"), ("b", "2")]).is_empty());
        assert!(errors(&[("a", "1")])[0].starts_with("b: ") && errors(&[("a", "1")]).len() == 1);
        assert!(errors(&[("a", "1"), ("b", "3")])[0].contains("has changed"));
        assert!(errors(&[("a", "1"), ("b", "2"), ("c", "3")])[0].contains("cargo xtask golden"));
    }

    #[test]
    fn golden_files_are_known_by_their_place() {
        for golden in ["crates/a/tests/golden/v1/x.bin", "crates/a/tests/golden/v12/d/lock"] {
            assert!(is_golden(golden), "{golden}");
        }
        for other in [
            "crates/a/tests/golden/help.txt",
            "crates/a/tests/golden.rs",
            "crates/a/tests/golden/v/x",
            "docs/golden/v1/x",
            "crates/a/v1/x",
        ] {
            assert!(!is_golden(other), "{other}");
        }
    }

    #[test]
    fn the_list_is_read_as_sha256sum_reads_it() {
        assert_eq!(parse("ab  c d\n12  e\n").unwrap(), map(&[("c d", "ab"), ("e", "12")]));
        assert!(parse("ab c\n").is_err() && parse("ab  c\ncd  c\n").is_err());
    }
}
