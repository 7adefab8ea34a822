//! Names on a file system that does not tell `A` from `a`: what has an upper-case letter, and what
//! Windows takes for a device, is stored under another name. The choice depends on the name alone.
//!
//! `Abc` is stored as `~abc.tmp` and `nul` as `~-nul.tmp`: a tilde before each letter that was
//! upper-case, a tilde and a hyphen before a device, two tildes for a tilde. No plain name has a
//! dot, so nothing collides, and LDK passes over what ends in `.tmp` instead of failing.

use std::{borrow::Cow, io, sync::Arc};

use kv_core::{Key, Namespace};

use crate::{
    disk::{DirEntry, Disk, DiskFile},
    layout,
};

/// Ends every encoded name.
const SUFFIX: &str = ".tmp";

/// A disk on which names that differ in case only are different names.
#[derive(Debug)]
pub(crate) struct EncodedNames(pub(crate) Arc<dyn Disk>);

/// Whether the disk takes names that differ in case for the same. The store's own folder is there.
pub(crate) fn folds_case(disk: &dyn Disk) -> io::Result<bool> {
    Ok(disk.modified(&layout::HOME.to_ascii_uppercase())?.is_some())
}

/// Moves values to where their encoded names put them, and does no harm a second time.
pub(crate) fn rename_all<'a>(
    plain: &dyn Disk,
    encoded: &dyn Disk,
    names: impl Iterator<Item = (&'a Namespace, &'a Key)>,
) -> io::Result<()> {
    for (ns, key) in names {
        let path = layout::value(ns, key);
        if encode(&path) == path || encoded.modified(&path)?.is_some() {
            continue;
        }
        for dir in layout::dirs(ns) {
            encoded.create_dir(&dir)?;
            encoded.sync_dir(layout::parent(&dir))?;
        }
        match plain.rename(&path, &encode(&path)) {
            // Reading tells that it is missing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
        encoded.sync_dir(&layout::dir(ns))?;
        plain.sync_dir(&layout::dir(ns))?;
    }
    Ok(())
}

/// Each part of the path as it is stored.
pub(crate) fn encode(path: &str) -> Cow<'_, str> {
    if !path.split('/').any(needs_encoding) {
        return path.into();
    }
    let parts: Vec<_> = path.split('/').map(encode_part).collect();
    parts.join("/").into()
}

fn encode_part(name: &str) -> Cow<'_, str> {
    if !needs_encoding(name) {
        return name.into();
    }
    let mut encoded = String::with_capacity(2 * name.len() + SUFFIX.len());
    if is_device(name) {
        encoded.push_str("~-");
    }
    for c in name.chars() {
        match c {
            'A'..='Z' => encoded.extend(['~', c.to_ascii_lowercase()]),
            '~' => encoded.push_str("~~"),
            _ => encoded.push(c),
        }
    }
    encoded.push_str(SUFFIX);
    encoded.into()
}

/// The name that is stored like this; `None` if none is.
fn decode_part(stored: &str) -> Option<String> {
    let mut chars = stored.strip_suffix(SUFFIX)?.chars();
    let mut name = String::new();
    while let Some(c) = chars.next() {
        match c {
            '~' => match chars.next()? {
                '-' => {}
                c => name.push(c.to_ascii_uppercase()),
            },
            _ => name.push(c),
        }
    }
    (encode_part(&name) == stored).then_some(name)
}

fn needs_encoding(name: &str) -> bool {
    name.bytes().any(|byte| byte.is_ascii_uppercase()) || is_device(name)
}

/// Whether Windows takes this name for a device; those with upper-case letters are encoded anyway.
fn is_device(name: &str) -> bool {
    match name.as_bytes() {
        [b'c', b'o', b'm', digit] | [b'l', b'p', b't', digit] => digit.is_ascii_digit(),
        _ => ["con", "prn", "aux", "nul"].contains(&name),
    }
}

impl Disk for EncodedNames {
    fn lock(&self, path: &str) -> io::Result<bool> {
        self.0.lock(&encode(path))
    }

    fn unlock(&self) {
        self.0.unlock();
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.0.create_dir(&encode(path))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<DirEntry>> {
        let mut entries = self.0.list(&encode(dir))?;
        // A plain name that would be stored otherwise is none of ours, and could not be opened.
        entries.retain(|entry| !needs_encoding(&entry.name));
        for entry in &mut entries {
            if let Some(name) = decode_part(&entry.name) {
                entry.name = name;
            }
        }
        Ok(entries)
    }

    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.0.read(&encode(path))
    }

    fn read_sized(&self, path: &str, len: u64) -> io::Result<Option<Vec<u8>>> {
        self.0.read_sized(&encode(path), len)
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        self.0.create(&encode(path))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        self.0.open(&encode(path))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(&encode(from), &encode(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.0.remove(&encode(path))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.0.sync_dir(&encode(dir))
    }

    fn syncs_disk(&self) -> bool {
        self.0.syncs_disk()
    }

    fn sync_disk(&self) -> io::Result<()> {
        self.0.sync_disk()
    }

    fn modified(&self, path: &str) -> io::Result<Option<u64>> {
        self.0.modified(&encode(path))
    }

    fn set_modified(&self, path: &str, nanoseconds: u64) -> io::Result<()> {
        self.0.set_modified(&encode(path), nanoseconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_where() {
        let stored = [
            ("monitors/[empty]/abc_1-2", "monitors/[empty]/abc_1-2"),
            ("Abc", "~abc.tmp"),
            ("aBC", "a~b~c.tmp"),
            ("nul", "~-nul.tmp"),
            ("NUL", "~n~u~l.tmp"),
            ("com7", "~-com7.tmp"),
            ("com77", "com77"),
            ("console", "console"),
            ("~strongroom/v1.tmp/own/~Layer/x/k", "~strongroom/v1.tmp/own/~~~layer.tmp/x/k"),
        ];
        for (path, place) in stored {
            assert_eq!(encode(path), place);
        }
    }

    #[test]
    fn every_name_has_a_place_of_its_own_and_is_found_again() {
        let names =
            ["a", "A", "aa", "aA", "Aa", "AA", "nul", "Nul", "NUL", "-nul", "~A", "a-", "A-"];
        let places: Vec<_> = names.iter().map(|name| encode_part(name).to_lowercase()).collect();
        for (name, place) in names.iter().zip(&places) {
            assert_eq!(places.iter().filter(|other| *other == place).count(), 1, "{name}");
            assert!(!needs_encoding(place));
            let found = decode_part(place).unwrap_or_else(|| place.clone());
            assert_eq!(found, *name);
        }
        let longest = "A".repeat(kv_core::MAX_NAME_LEN);
        assert!(encode_part(&longest).len() <= 255);
        for foreign in ["v1.tmp", "key.0.tmp", "~-abc.tmp", "a~.tmp", "abc.tmp"] {
            assert_eq!(decode_part(foreign), None, "{foreign}");
        }
    }
}
