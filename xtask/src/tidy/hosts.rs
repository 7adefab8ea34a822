//! Nothing in the repository depends on one machine: no absolute paths of it, no package hosts.

use super::{Findings, files::File};

/// Folders of a machine. (Without their slash, so that this file passes.)
const FOLDERS: [&str; 3] = ["work", "home", "root"];

/// Hosts of package registries; clients know their own, lock files repeat them.
const HOSTS: [&str; 5] = [
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("registry.", "npmjs.org"),
    concat!("files.", "pythonhosted.org"),
    concat!("proxy.", "golang.org"),
];

pub(super) fn check(files: &[File], findings: &mut Findings) {
    let lock = |f: &&File| f.path.ends_with(".lock") || f.path.ends_with("-lock.json");
    for file in files.iter().filter(|f| !lock(f)) {
        for (number, line) in file.text.lines().enumerate() {
            let place = format!("{}:{}", file.path, number + 1);
            for folder in FOLDERS.iter().filter(|folder| names_folder(line, folder)) {
                findings.error(&place, format_args!("a path of one machine, `{folder}`"));
            }
            for host in HOSTS.iter().filter(|host| line.contains(*host)) {
                findings.error(&place, format_args!("names a package host, {host}"));
            }
        }
    }
}

/// Whether the line has an absolute path that begins with this folder.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let (before, rest) = line.split_at(at);
        let after = rest.strip_prefix(folder).unwrap_or_default();
        before.strip_suffix('/').is_some_and(|before| {
            // `https://host/home`, `$HOME/work` and `a/root` are no paths of a machine.
            !before.ends_with(|c: char| c.is_alphanumeric() || "/._-~}*]>".contains(c))
        }) && !after.starts_with(|c: char| c.is_alphanumeric() || "_-.".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::errors;

    #[test]
    fn a_path_of_one_machine_is_found() {
        for folder in FOLDERS {
            for line in
                [format!("see /{folder}/x"), format!("dir=\"/{folder}\""), format!("`/{folder}/`")]
            {
                assert_eq!(errors(check, &[("docs/src/x.md", &line)]).len(), 1, "{line}");
                assert!(errors(check, &[("Cargo.lock", &line)]).is_empty(), "{line}");
            }
            for line in [format!("a/{folder}/x"), format!("~/{folder}"), format!("/{folder}s/x")] {
                assert!(errors(check, &[("docs/src/x.md", &line)]).is_empty(), "{line}");
            }
        }
    }

    #[test]
    fn a_package_host_is_found() {
        for host in HOSTS {
            assert_eq!(errors(check, &[("xtask/src/x.rs", host)]).len(), 1, "{host}");
        }
    }
}
