//! The bytes of the directory's small entries and pages; `docs/src/formats/sealed-store-v1.md`.

use std::num::NonZeroU64;

use kv_core::{Error, Key, Namespace, Value};

use super::{Home, Name};
use crate::{
    Aad, ContentKey, EnvelopeError, Keys,
    codec::{Malformed, Reader, put_short_text},
    hidden::OWN,
    open, seal,
    sealed_store::STORE,
};

/// The secondary namespace of the small entries; their class, too.
pub(crate) const ENTRIES: &str = "names";
/// The secondary namespace of the pages; their class, too.
pub(crate) const PAGES: &str = "pages";

/// What one batch did to the set of names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) added: NameTable,
    pub(crate) removed: NameTable,
}

/// A page as it lies on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PageRecord {
    /// Small entries up to this number are folded into the pages.
    pub(crate) through: u64,
    /// How many pages there are once this one is written: a missing page shows.
    pub(crate) pages: u64,
    pub(crate) names: NameTable,
    /// Slots of older pages whose names have been removed.
    pub(crate) tombs: Vec<Home>,
}

/// Names, ascending, each namespace written once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NameTable {
    pub(crate) namespaces: Vec<Namespace>,
    /// The index of the namespace, and the key.
    pub(crate) names: Vec<(u32, Key)>,
}

impl NameTable {
    /// Adds a name greater than all before.
    pub(crate) fn push(&mut self, (ns, key): &Name) {
        if self.namespaces.last() != Some(ns) {
            self.namespaces.push(ns.clone());
        }
        // One namespace costs 240 bytes at most: the table is far from 2^32 of them.
        let index = self.namespaces.len().saturating_sub(1) as u32;
        self.names.push((index, key.clone()));
    }

    /// How many bytes [`NameTable::push`] would add.
    pub(crate) fn cost(&self, (ns, key): &Name) -> usize {
        let namespace = if self.namespaces.last() == Some(ns) {
            0
        } else {
            2 + ns.primary().len() + ns.secondary().len()
        };
        namespace + Self::least_cost_of(key)
    }

    /// How many bytes a name adds at least.
    pub(crate) fn least_cost((_, key): &Name) -> usize {
        Self::least_cost_of(key)
    }

    fn least_cost_of(key: &Key) -> usize {
        4 + 1 + key.as_str().len()
    }

    /// The names, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Namespace, &Key)> {
        let ns = |index: &u32| self.namespaces.get(*index as usize);
        self.names.iter().filter_map(move |(index, key)| Some((ns(index)?, key)))
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.namespaces.len() as u32).to_le_bytes());
        for ns in &self.namespaces {
            put_short_text(out, ns.primary());
            put_short_text(out, ns.secondary());
        }
        out.extend_from_slice(&(self.names.len() as u32).to_le_bytes());
        for (index, key) in &self.names {
            out.extend_from_slice(&index.to_le_bytes());
            put_short_text(out, key.as_str());
        }
    }

    /// Names must be valid, ascending and in a namespace of the table.
    fn take(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut table = Self::default();
        for _ in 0..reader.u32()? {
            let (primary, secondary) = (reader.short_text()?, reader.short_text()?);
            let ns = Namespace::any(primary, secondary).map_err(|_| Malformed)?;
            table.namespaces.push(ns);
        }
        for _ in 0..reader.u32()? {
            let index = reader.u32()?;
            let key = Key::new(reader.short_text()?).map_err(|_| Malformed)?;
            table.names.push((index, key));
        }
        let in_range = |(index, _): &(u32, Key)| (*index as usize) < table.namespaces.len();
        if table.namespaces.is_sorted_by(|a, b| a < b)
            && table.names.is_sorted_by(|a, b| a < b)
            && table.names.iter().all(in_range)
        {
            Ok(table)
        } else {
            Err(Malformed)
        }
    }
}

impl Entry {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.added.put(&mut out);
        self.removed.put(&mut out);
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let added = NameTable::take(&mut reader)?;
        let removed = NameTable::take(&mut reader)?;
        reader.end()?;
        Ok(Self { added, removed })
    }
}

impl PageRecord {
    /// The most bytes a page takes on disk, envelope included.
    pub(crate) const FULL: usize = 64 * 1024;
    /// The bytes of a page without names and tombs, envelope included.
    pub(crate) const EMPTY: usize = crate::ENVELOPE_OVERHEAD + 8 + 8 + 4 + 4 + 4;
    /// The bytes of one tomb.
    pub(crate) const TOMB: usize = 8 + 4;

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.through.to_le_bytes());
        out.extend_from_slice(&self.pages.to_le_bytes());
        self.names.put(&mut out);
        out.extend_from_slice(&(self.tombs.len() as u32).to_le_bytes());
        for tomb in &self.tombs {
            out.extend_from_slice(&tomb.page.get().to_le_bytes());
            out.extend_from_slice(&tomb.slot.to_le_bytes());
        }
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let (through, pages) = (reader.u64()?, reader.u64()?);
        let names = NameTable::take(&mut reader)?;
        let mut tombs = Vec::new();
        for _ in 0..reader.u32()? {
            let page = NonZeroU64::new(reader.u64()?).ok_or(Malformed)?;
            let slot = reader.u32()?;
            tombs.push(Home { page, slot });
        }
        reader.end()?;
        Ok(Self { through, pages, names, tombs })
    }
}

/// A namespace of the directory, [`ENTRIES`] or [`PAGES`].
pub(crate) fn namespace_of(class: &str) -> Namespace {
    Namespace::reserved(OWN, class).expect("a constant that is a valid name")
}

pub(crate) fn seal_entry(keys: &Keys, number: u64, entry: &Entry) -> Result<Value, EnvelopeError> {
    let sealed = seal(content(keys), &aad(keys, ENTRIES, number), &entry.encode())?;
    Ok(sealed.into())
}

pub(crate) fn seal_page(
    keys: &Keys,
    number: NonZeroU64,
    page: &PageRecord,
) -> Result<Value, EnvelopeError> {
    let aad = aad(keys, PAGES, number.get());
    Ok(seal(content(keys), &aad, &page.encode())?.into())
}

pub(crate) fn open_entry(keys: &Keys, number: u64, sealed: &[u8]) -> Result<Entry, Error> {
    let plain = open(content(keys), &aad(keys, ENTRIES, number), sealed)
        .map_err(|e| e.into_store_error(STORE))?;
    Entry::decode(&plain).map_err(|e| Error::corrupt(STORE, e))
}

pub(crate) fn open_page(keys: &Keys, number: u64, sealed: &[u8]) -> Result<PageRecord, Error> {
    let plain = open(content(keys), &aad(keys, PAGES, number), sealed)
        .map_err(|e| e.into_store_error(STORE))?;
    PageRecord::decode(&plain).map_err(|e| Error::corrupt(STORE, e))
}

fn content(keys: &Keys) -> &ContentKey {
    keys.at_rest_content()
}

fn aad(keys: &Keys, class: &'static str, number: u64) -> Aad {
    Aad::new(class).bytes(&keys.wallet_id()).number(number)
}

/// What these bytes are as a small entry and as a page, written back.
#[cfg(feature = "testing")]
pub(crate) fn decode_directory(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let entry = Entry::decode(bytes).map(|entry| entry.encode());
    let page = PageRecord::decode(bytes).map(|page| page.encode());
    [entry, page].into_iter().flatten()
}

#[cfg(test)]
mod tests;
