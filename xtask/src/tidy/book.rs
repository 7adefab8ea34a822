//! Every page of the book is in its table of contents, and links between our pages lead somewhere.

use std::collections::BTreeSet;

use super::{Findings, files::File};

const SOURCE: &str = "docs/src/";
const SUMMARY: &str = "docs/src/SUMMARY.md";

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
    fn a_link_to_nowhere_is_found() {
        assert_eq!(errors(check, &[("README.md", "[x](docs/src/gone.md)")]).len(), 1);
        assert!(errors(check, &[("README.md", "[x](https://example.org/y.md)")]).is_empty());
    }
}
