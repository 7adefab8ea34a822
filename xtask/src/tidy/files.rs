//! The files of the repository, as the lints see them.

use std::{fs, path::Path};

use crate::run::root;

/// One file.
#[derive(Debug)]
pub(super) struct File {
    /// Relative to the root, with `/` between its parts.
    pub(super) path: String,
    /// What it says; empty for one that is not text.
    pub(super) text: String,
}

/// What is made, not written.
const SKIPPED: [&str; 3] = [".git", "target", "docs/book"];

/// All files, ascending by path.
pub(super) fn all() -> Result<Vec<File>, String> {
    let mut files = Vec::new();
    collect(&root(), "", &mut files).map_err(|e| format!("cannot read the repository: {e}"))?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn collect(dir: &Path, below: &str, files: &mut Vec<File>) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = format!("{below}{}", entry.file_name().to_string_lossy());
        if SKIPPED.contains(&path.as_str()) || path.ends_with("/target") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{path}/"), files)?;
        } else {
            let text = String::from_utf8(fs::read(entry.path())?).unwrap_or_default();
            files.push(File { path, text });
        }
    }
    Ok(())
}
