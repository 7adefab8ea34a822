//! Where everything lies below the store's folder.

use kv_core::{Key, MAX_NAME_LEN, Namespace};

use crate::bytes::LARGEST;

/// Holds everything that is not a user's value. LDK's `FilesystemStoreV2` refuses plain files on
/// its first two levels and skips names ending in `.tmp`, hence a folder in a folder of that name.
pub(crate) const HOME: &str = "~strongroom";
/// The folder of this format.
pub(crate) const OWN: &str = "~strongroom/v1.tmp";
/// The newest format this version knows.
pub(crate) const FORMAT: u32 = 1;
pub(crate) const LOCK: &str = "~strongroom/v1.tmp/lock";
pub(crate) const INDEX: &str = "~strongroom/v1.tmp/index";
/// Values of reserved namespaces.
pub(crate) const RESERVED: &str = "~strongroom/v1.tmp/own";
/// Stands for an empty namespace, as in LDK's layout.
pub(crate) const EMPTY: &str = "[empty]";

/// A file of ours in [`OWN`], by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnFile {
    /// A segment of the log.
    Log(u64),
    /// A retired segment, kept to be used again.
    Spare(u64),
    /// A big value whose key is still in the log.
    Big(u64),
    /// A file being written that no one refers to yet.
    New,
}

pub(crate) fn log(number: u64) -> String {
    format!("{OWN}/log-{number}")
}

pub(crate) fn spare(number: u64) -> String {
    format!("{OWN}/spare-{number}")
}

pub(crate) fn big(id: u64) -> String {
    format!("{OWN}/big-{id}")
}

pub(crate) fn new(name: &str) -> String {
    format!("{OWN}/new-{name}")
}

pub(crate) fn own_file(name: &str) -> Option<OwnFile> {
    // Written in another way it is not ours: `log-007` is not `log-7`.
    let ours = |number: &u64, text: &str| *number <= LARGEST && number.to_string() == text;
    let number = |text: &str| text.parse().ok().filter(|number| ours(number, text));
    if let Some(text) = name.strip_prefix("log-") {
        return number(text).map(OwnFile::Log);
    }
    if let Some(text) = name.strip_prefix("spare-") {
        return number(text).map(OwnFile::Spare);
    }
    if let Some(text) = name.strip_prefix("big-") {
        return number(text).map(OwnFile::Big);
    }
    name.starts_with("new-").then_some(OwnFile::New)
}

/// Bytes of the longest path of a value.
const LONGEST: usize = RESERVED.len() + 3 * (MAX_NAME_LEN + 1);

/// The folders of a namespace, outermost first; the last one holds its values.
pub(crate) fn dirs(ns: &Namespace) -> Vec<String> {
    let mut dirs = Vec::new();
    let mut path = String::new();
    if ns.is_reserved() {
        path = format!("{RESERVED}/");
        dirs.push(RESERVED.to_owned());
    }
    for level in [ns.primary(), ns.secondary()] {
        path.push_str(if level.is_empty() { EMPTY } else { level });
        dirs.push(path.clone());
        path.push('/');
    }
    dirs
}

/// The file of a value.
pub(crate) fn value(ns: &Namespace, key: &Key) -> String {
    let home = ns.is_reserved().then_some(RESERVED);
    let mut path = String::with_capacity(LONGEST);
    for folder in home.into_iter().chain([ns.primary(), ns.secondary()]) {
        path.push_str(if folder.is_empty() { EMPTY } else { folder });
        path.push('/');
    }
    path.push_str(key.as_str());
    path
}

/// The folder that holds the values of a namespace.
pub(crate) fn dir(ns: &Namespace) -> String {
    dirs(ns).pop().unwrap_or_default()
}

/// The name a folder stands for.
pub(crate) fn level(dir: &str) -> &str {
    if dir == EMPTY { "" } else { dir }
}

pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_spelling_and_an_end() {
        assert_eq!(own_file("log-7"), Some(OwnFile::Log(7)));
        for foreign in ["log-", "log-007", "log-+7", "big-18446744073709551615"] {
            assert_eq!(own_file(foreign), None, "{foreign}");
        }
    }
}
