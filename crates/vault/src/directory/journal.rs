//! The directory on disk, as it is once everything submitted has taken effect, and its folding.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU64,
    ops::RangeInclusive,
};

use kv_core::{Batch, Change, Error, Key, Namespace, Value};

use super::{
    Home, Name, NameChange, Names,
    format::{ENTRIES, Entry, NameTable, PAGES, PageRecord, namespace_of, seal_entry, seal_page},
    page::{Page, fill},
};
use crate::{EnvelopeError, Keys, sealed_store::STORE};

/// So many changes of names lie in small entries before they are folded into a page.
const FOLD_AT: usize = 500;
/// One fold takes in at most so many old pages, so that no batch grows beyond about 1 MiB by it.
const MERGED_AT_ONCE: usize = 16;

/// No history reaches a number above this; beyond it sums would overflow.
const LAST: u64 = u64::MAX / 2;

/// What lies on disk. Only changed under the ordering lock.
#[derive(Debug)]
pub(crate) struct Journal {
    /// Small entries up to this number are folded into pages and gone.
    through: u64,
    /// The newest small entry.
    newest: u64,
    newest_page: u64,
    pages: BTreeMap<NonZeroU64, Page>,
    /// Names that lie in small entries only.
    fresh: BTreeSet<Name>,
    /// Slots that died since the last fold.
    tombs: Vec<Home>,
    /// Changes in small entries.
    pending: usize,
    /// How many of them call for a fold.
    fold_at: usize,
}

/// What a batch adds to the directory on disk, not taken by the store below yet.
#[derive(Debug)]
pub(crate) struct Noted {
    /// To go into the same batch.
    pub(crate) puts: Vec<(Namespace, Key, Value)>,
    /// The pages among them; none: it is a small entry.
    pages: Vec<(NonZeroU64, PageRecord)>,
}

/// A fold that has been written out but not taken by the store below yet.
#[derive(Debug)]
pub(crate) struct Fold {
    pub(crate) batch: Batch,
    merged: BTreeSet<NonZeroU64>,
    pages: Vec<(NonZeroU64, PageRecord)>,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            through: 0,
            newest: 0,
            newest_page: 0,
            pages: BTreeMap::new(),
            fresh: BTreeSet::new(),
            tombs: Vec::new(),
            pending: 0,
            fold_at: FOLD_AT,
        }
    }
}

impl Journal {
    /// Whether these changes fill pages by themselves: many names, nothing removed.
    pub(crate) fn are_bulk(changes: &[NameChange]) -> bool {
        changes.len() >= FOLD_AT
            && changes.iter().all(|change| change.added)
            && changes.iter().map(|change| NameTable::least_cost(&change.name)).sum::<usize>()
                > PageRecord::FULL / 2
    }

    /// What notes these changes, to go into the same batch: a small entry, or pages at once if they
    /// are bulk and nothing is left to be folded.
    pub(crate) fn note(&self, keys: &Keys, changes: &[NameChange]) -> Result<Noted, EnvelopeError> {
        let folded = self.through == self.newest;
        if folded && Self::are_bulk(changes) {
            let names = changes.iter().map(|change| &change.name);
            return self.pages_of(keys, names, &[], self.pages.len());
        }
        let mut entry = Entry::default();
        for NameChange { name, added, .. } in changes {
            if *added {
                entry.added.push(name);
            } else {
                entry.removed.push(name);
            }
        }
        let number = self.newest + 1;
        let sealed = seal_entry(keys, number, &entry)?;
        let puts = vec![(namespace_of(ENTRIES), Key::number(number), sealed)];
        Ok(Noted { puts, pages: Vec::new() })
    }

    /// The store below has taken a batch with what notes these changes.
    pub(crate) fn accept(&mut self, noted: Noted, changes: &mut [NameChange], names: &mut Names) {
        if !noted.pages.is_empty() {
            // Both ascend by name.
            let mut changes = changes.iter_mut();
            for (number, record) in noted.pages {
                let slots = 0..record.names.names.len() as u32;
                for (slot, change) in slots.zip(changes.by_ref()) {
                    change.home = Some(Home { page: number, slot });
                }
                self.newest_page = number.get();
                self.pages.insert(number, Page::new(record));
            }
            return;
        }
        self.newest += 1;
        self.pending += changes.len();
        for NameChange { name, added, .. } in changes {
            if *added {
                self.fresh.insert(name.clone());
            } else if let Some(home) = names.take_home(name) {
                self.bury(home);
                self.tombs.push(home);
            } else {
                self.fresh.remove(name);
            }
        }
    }

    /// Pages with these names, numbered and sealed, beside `others` that stay.
    fn pages_of<'a>(
        &self,
        keys: &Keys,
        names: impl Iterator<Item = &'a Name>,
        tombs: &[Home],
        others: usize,
    ) -> Result<Noted, EnvelopeError> {
        let mut pages = fill(names, tombs);
        let count = others + pages.len();
        for page in &mut pages {
            (page.through, page.pages) = (self.newest, count as u64);
        }
        let numbers = (self.newest_page..u64::MAX).filter_map(|n| NonZeroU64::new(n + 1));
        let pages: Vec<_> = numbers.zip(pages).collect();
        let ns = namespace_of(PAGES);
        let seal = |(number, page): &(NonZeroU64, PageRecord)| {
            Ok((ns.clone(), Key::number(number.get()), seal_page(keys, *number, page)?))
        };
        let puts = pages.iter().map(seal).collect::<Result<_, EnvelopeError>>()?;
        Ok(Noted { puts, pages })
    }

    /// A batch that replaces all small entries, and the pages that are due, by new pages; `None` if
    /// it is not time for that. Before `bulk` it is time if there is anything to fold.
    pub(crate) fn fold(&self, keys: &Keys, bulk: bool) -> Result<Option<Fold>, EnvelopeError> {
        // Unless the last fold was refused.
        let at = if bulk && self.fold_at == FOLD_AT { 1 } else { self.fold_at };
        if self.pending < at {
            return Ok(None);
        }
        let due = self.pages.iter().filter(|(_, page)| page.is_due());
        let merged: BTreeSet<_> = due.map(|(number, _)| *number).take(MERGED_AT_ONCE).collect();
        let (mut names, mut tombs) =
            (Vec::from_iter(self.fresh.iter().cloned()), self.tombs.clone());
        for page in merged.iter().filter_map(|number| self.pages.get(number)) {
            names.extend(page.names().map(|(_, name)| name));
            tombs.extend(page.tombs());
        }
        tombs.retain(|tomb| !merged.contains(&tomb.page));
        names.sort_unstable();

        let others = self.pages.len() - merged.len();
        let Noted { puts, pages } = self.pages_of(keys, names.iter(), &tombs, others)?;
        let mut batch = Batch::new().lazy();
        let (entries_ns, pages_ns) = (namespace_of(ENTRIES), namespace_of(PAGES));
        for (ns, key, page) in puts {
            batch.insert(ns, key, Change::Put(page));
        }
        for number in &merged {
            batch.insert(pages_ns.clone(), Key::number(number.get()), Change::Remove);
        }
        for number in self.entries() {
            batch.insert(entries_ns.clone(), Key::number(number), Change::Remove);
        }
        Ok(Some(Fold { batch, merged, pages }))
    }

    /// The store below has taken the fold.
    pub(crate) fn folded(&mut self, fold: Fold, names: &mut Names) {
        self.pages.retain(|number, _| !fold.merged.contains(number));
        for page in self.pages.values_mut() {
            page.keep_tombs(|tomb| !fold.merged.contains(&tomb.page));
        }
        for (number, record) in fold.pages {
            let page = Page::new(record);
            for (slot, name) in page.names() {
                names.set_home(&name, Home { page: number, slot });
            }
            self.newest_page = number.get();
            self.pages.insert(number, page);
        }
        self.through = self.newest;
        self.fresh.clear();
        self.tombs.clear();
        (self.pending, self.fold_at) = (0, FOLD_AT);
    }

    /// The store below refused the fold (it may be full): try again after as many changes.
    pub(crate) fn postpone_fold(&mut self) {
        self.fold_at = self.pending + FOLD_AT;
    }

    /// The numbers of the small entries on disk.
    pub(crate) fn entries(&self) -> RangeInclusive<u64> {
        self.through + 1..=self.newest
    }

    /// The numbers of the pages on disk.
    pub(crate) fn pages(&self) -> impl Iterator<Item = u64> {
        self.pages.keys().map(|number| number.get())
    }

    /// Takes in a page at unlock; pages come in ascending order. What is left of their names once all
    /// are there is [`Journal::names`].
    pub(crate) fn load_page(&mut self, number: u64, record: PageRecord) -> Result<(), Error> {
        let number = NonZeroU64::new(number).ok_or_else(|| broken("a page is numbered 0"))?;
        if number.get().max(record.through) > LAST {
            return Err(broken("a number that no history reaches"));
        }
        for tomb in &record.tombs {
            let Some(page) = self.pages.get(&tomb.page) else {
                continue; // Merged meanwhile.
            };
            page.name(tomb.slot).ok_or_else(|| broken("a name is removed twice"))?;
            self.bury(*tomb);
        }
        self.newest_page = number.get();
        self.through = record.through;
        let mut page = Page::new(record);
        page.keep_tombs(|tomb| self.pages.contains_key(&tomb.page));
        self.pages.insert(number, page);
        self.newest = self.through;
        Ok(())
    }

    /// The names that lie in pages, page by page, and where.
    pub(crate) fn names(&self) -> impl Iterator<Item = (Name, Home)> {
        self.pages.iter().flat_map(|(number, page)| {
            page.names().map(|(slot, name)| (name, Home { page: *number, slot }))
        })
    }

    /// Takes in a small entry at unlock; they come in ascending order, after the pages.
    pub(crate) fn load_entry(
        &mut self,
        number: u64,
        entry: &Entry,
        names: &mut Names,
    ) -> Result<(), Error> {
        if number > LAST {
            return Err(broken("a number that no history reaches"));
        }
        if number != self.newest + 1 {
            return Err(broken("a part of the name directory is missing"));
        }
        self.newest = number;
        self.pending += entry.added.names.len() + entry.removed.names.len();
        for (ns, key) in entry.added.iter() {
            let name = (ns.clone(), key.clone());
            if !names.load(&name) {
                return Err(broken("a name is added twice"));
            }
            self.fresh.insert(name);
        }
        for (ns, key) in entry.removed.iter() {
            let name = (ns.clone(), key.clone());
            match names.unload(&name) {
                Some(Some(home)) => {
                    self.bury(home);
                    self.tombs.push(home);
                }
                Some(None) => drop(self.fresh.remove(&name)),
                None => return Err(broken("a name is removed that is not there")),
            }
        }
        Ok(())
    }

    fn bury(&mut self, home: Home) {
        if let Some(page) = self.pages.get_mut(&home.page) {
            page.bury(home.slot);
        }
    }
}

pub(crate) fn broken(what: &'static str) -> Error {
    Error::corrupt(STORE, what)
}
