//! A run of entries: those of a segment, or those of a part of a dump, as they lie in it.

use bytes::Bytes;

use crate::{Entry, Error, Result, segment::EntryRef};

/// Entries that are worked on together.
#[derive(Debug)]
pub struct Run(Kind);

#[derive(Debug)]
enum Kind {
    Entries(Vec<Entry>),
    /// Encoded, one after the other, without their number. Decoded once before.
    Encoded(Bytes),
}

impl From<Vec<Entry>> for Run {
    fn from(entries: Vec<Entry>) -> Self {
        Self(Kind::Entries(entries))
    }
}

impl Run {
    pub(crate) fn encoded(entries: Bytes) -> Self {
        Self(Kind::Encoded(entries))
    }

    /// The entries, each on its own.
    pub fn into_entries(self) -> Result<Vec<Entry>> {
        match self.0 {
            Kind::Entries(entries) => Ok(entries),
            Kind::Encoded(bytes) => {
                let mut entries = Vec::new();
                for_each(&bytes, |entry| {
                    entries.push(entry.to_owned());
                    Ok(())
                })?;
                Ok(entries)
            }
        }
    }

    /// Shows the entries as they lie there, with a way to keep bytes of them.
    pub(crate) fn for_each(
        self,
        mut each: impl FnMut(EntryRef<'_>, &dyn Fn(&[u8]) -> Bytes) -> Result<()>,
    ) -> Result<()> {
        match self.0 {
            Kind::Entries(entries) => {
                entries.iter().try_for_each(|e| each(EntryRef::of(e), &Bytes::copy_from_slice))
            }
            Kind::Encoded(bytes) => {
                for_each(&bytes, |entry| each(entry, &|part| bytes.slice_ref(part)))
            }
        }
    }
}

fn for_each<'a>(
    mut rest: &'a [u8],
    mut each: impl FnMut(EntryRef<'a>) -> Result<()>,
) -> Result<()> {
    while !rest.is_empty() {
        let (entry, after) = EntryRef::decode_first(rest)
            .map_err(|_| Error::BrokenChain { what: "a part does not decode" })?;
        each(entry)?;
        rest = after;
    }
    Ok(())
}
