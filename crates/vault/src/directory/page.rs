//! A page in memory: which of its names are still alive, and how new pages are filled.

use kv_core::{Key, Namespace};

use super::{
    Home, Name,
    format::{NameTable, PageRecord},
};

const FULL: usize = PageRecord::FULL;

/// What memory knows of a page.
#[derive(Debug)]
pub(crate) struct Page {
    /// Ascending, each with its first slot.
    namespaces: Vec<(Namespace, usize)>,
    /// `None`: the name has been removed since, or moved to a newer page.
    slots: Vec<Option<Key>>,
    /// Slots of older pages that this page declares dead; needed as long as that page exists.
    tombs: Vec<Home>,
    /// How many names and tombs it has on disk.
    written: usize,
    alive: usize,
    small: bool,
}

impl Page {
    pub(crate) fn new(record: PageRecord) -> Self {
        let small = size(&record) <= FULL / 2;
        let PageRecord { names: NameTable { namespaces, names }, tombs, .. } = record;
        let first = |index| names.partition_point(|(other, _)| (*other as usize) < index);
        let firsts: Vec<usize> = (0..namespaces.len()).map(first).collect();
        Self {
            written: names.len() + tombs.len(),
            alive: names.len(),
            namespaces: namespaces.into_iter().zip(firsts).collect(),
            slots: names.into_iter().map(|(_, key)| Some(key)).collect(),
            tombs,
            small,
        }
    }

    /// Marks a name as gone; `false` if there is none in this slot.
    pub(crate) fn bury(&mut self, slot: u32) -> bool {
        let slot = self.slots.get_mut(slot as usize);
        let buried = slot.and_then(Option::take).is_some();
        self.alive -= usize::from(buried);
        buried
    }

    /// Forgets tombs that are not needed any more.
    pub(crate) fn keep_tombs(&mut self, needed: impl Fn(&Home) -> bool) {
        self.tombs.retain(needed);
    }

    pub(crate) fn tombs(&self) -> &[Home] {
        &self.tombs
    }

    /// The name in this slot, if it is alive.
    pub(crate) fn name(&self, slot: u32) -> Option<Name> {
        let key = self.slots.get(slot as usize)?.as_ref()?;
        let after = self.namespaces.partition_point(|(_, first)| *first <= slot as usize);
        let (ns, _) = self.namespaces.get(after.checked_sub(1)?)?;
        Some((ns.clone(), key.clone()))
    }

    /// The names that are alive, with their slots.
    pub(crate) fn names(&self) -> impl Iterator<Item = (u32, Name)> {
        let slots = 0..self.slots.len() as u32;
        slots.filter_map(|slot| Some((slot, self.name(slot)?)))
    }

    /// Whether the next fold takes the page in: half of it is dead, or it is small.
    pub(crate) fn is_due(&self) -> bool {
        self.small || (self.alive + self.tombs.len()) * 2 <= self.written
    }
}

/// Fills as few pages as hold everything, at least one. `names` ascend.
pub(crate) fn fill<'a>(names: impl Iterator<Item = &'a Name>, tombs: &[Home]) -> Vec<PageRecord> {
    let mut full = Vec::new();
    let mut page = PageRecord::default();
    let mut size = PageRecord::EMPTY;
    for tomb in tombs {
        if size + PageRecord::TOMB > FULL {
            full.push(std::mem::take(&mut page));
            size = PageRecord::EMPTY;
        }
        size += PageRecord::TOMB;
        page.tombs.push(*tomb);
    }
    for name in names {
        if size + page.names.cost(name) > FULL {
            full.push(std::mem::take(&mut page));
            size = PageRecord::EMPTY;
        }
        size += page.names.cost(name);
        page.names.push(name);
    }
    full.push(page);
    full
}

fn size(record: &PageRecord) -> usize {
    let mut table = NameTable::default();
    let mut size = PageRecord::EMPTY + record.tombs.len() * PageRecord::TOMB;
    for (ns, key) in record.names.iter() {
        let name = (ns.clone(), key.clone());
        size += table.cost(&name);
        table.push(&name);
    }
    size
}
