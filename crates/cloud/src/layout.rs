//! Where an object lies in a folder, here or on a server: its name is its path, except for what Windows cannot store.

use std::path::{Path, PathBuf};

use backup::ObjectName;

/// Our own folder in the cloud's folder; a part of an object name cannot begin with a dot.
pub(crate) const OWN: &str = ".strongroom";

/// Ends a stored part that Windows would take for something else; names never contain it.
const MARK: char = '~';

/// The path of an object, or of all below a prefix.
pub(crate) fn path(root: &Path, name: &ObjectName) -> PathBuf {
    let mut path = root.to_owned();
    path.extend(parts(name));
    path
}

/// The folders and the file of an object, from the cloud's folder down.
pub(crate) fn parts(name: &ObjectName) -> impl Iterator<Item = String> {
    name.as_str().split('/').map(|part| {
        let mark = is_hard_for_windows(part).then_some(MARK);
        part.chars().chain(mark).collect()
    })
}

/// The part of a name that this file or folder stands for, if it stands for one.
pub(crate) fn part(file_name: &str) -> Option<&str> {
    let part = file_name.strip_suffix(MARK).unwrap_or(file_name);
    let marked = part.len() < file_name.len();
    (marked == is_hard_for_windows(part)).then_some(part)
}

/// Device names (with any ending) and a dot at the end. The same on all systems, so that a stick
/// can be carried from one to the other.
fn is_hard_for_windows(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or_default();
    let numbered = |device: &str| {
        stem.strip_prefix(device)
            .is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    part.ends_with('.')
        || ["con", "prn", "aux", "nul"].contains(&stem)
        || numbered("com")
        || numbered("lpt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_its_path() {
        for (name, file) in [
            ("sr1/ab-c_d.e/h", "sr1/ab-c_d.e/h"),
            ("con/com1.x/comx/lpt10", "con~/com1.x~/comx/lpt10"),
            ("a./aux", "a.~/aux~"),
        ] {
            let name = ObjectName::new(name).unwrap();
            assert_eq!(path(Path::new("r"), &name), Path::new("r").join(file));
            let parts: Option<Vec<&str>> = file.split('/').map(part).collect();
            assert_eq!(parts.unwrap().join("/"), name.as_str());
        }
        for foreign in ["con", "a.", "a~", "x~~"] {
            assert_eq!(part(foreign), None, "{foreign}");
        }
    }
}
