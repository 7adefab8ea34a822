//! Every page of the book is in its table of contents, links between our pages lead somewhere, and no
//! two decisions have one number.

use std::collections::BTreeSet;

use super::{Findings, files::File};

const SOURCE: &str = "docs/src/";
const SUMMARY: &str = "docs/src/SUMMARY.md";
const DECISIONS: &str = "docs/src/decisions/";

pub(super) fn check(files: &[File], findings: &mut Findings) {
    let paths: BTreeSet<&str> = files.iter().map(|f| f.path.as_str()).collect();
    let mut listed = BTreeSet::new();
    for file in files.iter().filter(|f| f.path.ends_with(".md")) {
        for link in links(&file.text) {
            let target = resolve(&file.path, link);
            if !paths.contains(target.as_str()) {
                findings.error(&file.path, format_args!("links to {link}, which is not there"));
            }
            if file.path == SUMMARY {
                listed.insert(target);
            }
        }
    }
    for decision in files.iter().filter(|f| f.path.starts_with(DECISIONS)) {
        let number = |path: &str| {
            path.strip_prefix(DECISIONS).and_then(|name| name.get(..4)).map(str::to_owned)
        };
        let own = number(&decision.path);
        if files.iter().filter(|other| number(&other.path) == own).count() > 1 {
            findings.error(&decision.path, "another decision has this number");
        }
        let title = own.map(|own| format!("# {own}: ")).unwrap_or_default();
        if !decision.text.starts_with(&title) {
            findings.error(&decision.path, "begins with another number than its name");
        }
    }
    let pages = paths.iter().filter(|p| p.starts_with(SOURCE) && p.ends_with(".md"));
    for page in pages.filter(|p| **p != SUMMARY && !listed.contains(**p)) {
        findings.error(page, "is not in the book's SUMMARY.md");
    }
}

/// The pages a page links to: relative addresses of Markdown files, without their fragments.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let pages = targets.filter_map(|target| target.split('#').next());
    pages.filter(|page| page.ends_with(".md") && !page.contains("://"))
}

/// The path of `link` in the repository, seen from the file `from`.
fn resolve(from: &str, link: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::errors;

    #[test]
    fn a_page_outside_the_table_of_contents_is_found() {
        let summary = (SUMMARY, "- [A](a.md)\n- [B](guides/b.md)\n");
        let pages = [summary, ("docs/src/a.md", ""), ("docs/src/guides/b.md", "[A](../a.md#x)")];
        assert!(errors(check, &pages).is_empty());
        let lonely = [summary, pages[1], pages[2], ("docs/src/c.md", "")];
        assert_eq!(errors(check, &lonely).len(), 1);
    }

    #[test]
    fn two_decisions_with_one_number_are_found() {
        let decision = |name: &str| (format!("{DECISIONS}{name}"), format!("# {}: x", &name[..4]));
        let found = |decisions: &[(String, String)]| {
            let links = decisions.iter().map(|(path, _)| format!("[x]({})", &path[SOURCE.len()..]));
            let summary = links.collect::<String>();
            let files = decisions.iter().map(|(path, text)| (path.as_str(), text.as_str()));
            let files: Vec<_> = files.chain([(SUMMARY, summary.as_str())]).collect();
            errors(check, &files).len()
        };
        assert_eq!(found(&[decision("0001-a.md"), decision("0002-b.md")]), 0);
        assert_eq!(found(&[decision("0001-a.md"), decision("0001-b.md")]), 2);
        let other = (format!("{DECISIONS}0003-c.md"), "# 0001: x".to_owned());
        assert_eq!(found(&[decision("0001-a.md"), other]), 1);
    }

    #[test]
    fn a_link_to_nowhere_is_found() {
        assert_eq!(errors(check, &[("README.md", "[x](docs/src/gone.md)")]).len(), 1);
        assert!(errors(check, &[("README.md", "[x](https://example.org/y.md)")]).is_empty());
    }
}
