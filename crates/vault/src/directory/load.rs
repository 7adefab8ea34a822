//! Reading the directory at unlock: its pages and small entries, and nothing else.

use kv_core::{KvStore, KvStoreExt, Result, Value};

use super::{
    Journal, Names,
    format::{ENTRIES, PAGES, namespace_of, open_entry, open_page},
    journal::broken,
};
use crate::Keys;

/// Reads the directory. Whatever does not fit together is [`kv_core::Error::Corrupt`].
pub(crate) fn load(inner: &dyn KvStore, keys: &Keys) -> Result<(Journal, Names)> {
    let (mut journal, mut names) = (Journal::default(), Names::default());
    let mut expected = 0;
    for_each(inner, PAGES, |number, sealed| {
        let page = open_page(keys, number, &sealed)?;
        expected = page.pages;
        journal.load_page(number, page)
    })?;
    if journal.pages().count() as u64 != expected {
        return Err(broken("a page of the name directory is missing"));
    }
    if !names.load_pages(journal.names()) {
        return Err(broken("a name is in two pages"));
    }
    for_each(inner, ENTRIES, |number, sealed| {
        let entry = open_entry(keys, number, &sealed)?;
        journal.load_entry(number, &entry, &mut names)
    })?;
    Ok((journal, names))
}

/// Reads the values of one kind, by their numbers, ascending.
fn for_each(
    inner: &dyn KvStore,
    class: &str,
    mut take: impl FnMut(u64, Value) -> Result<()>,
) -> Result<()> {
    let ns = namespace_of(class);
    for key in inner.list_all(&ns)? {
        let number = key.as_number();
        let number = number.ok_or_else(|| broken("a part of the name directory has no number"))?;
        let value = inner.read(&ns, &key)?;
        take(number, value.ok_or_else(|| broken("a part of the name directory is missing"))?)?;
    }
    Ok(())
}
