//! The log on disk: entries in slots that are used again, folded into dirty pages when there are many.

use std::collections::{BTreeMap, VecDeque};

use kv_core::{Batch, Change, Key, KvStore};

use super::memory::{Dirty, Generation, Memory, Name};
use crate::log::{self, DirtyKey, DirtyPage, DirtySpace, LogEntry, Note, Places};

/// How many log entries make a fold due. Each takes a slot, and each slot becomes a file where the
/// store has a file per key, so few are better; but each fold costs a page.
const FOLD_AT: usize = 128;

/// A page with fewer notes than this is written again with the next ones.
const PAGE_NOTES: usize = 256;

/// No page has more notes than this: about 64 KiB with names of usual length.
const PAGE_NOTES_MAX: usize = 1024;

/// Where entries and pages lie. Only changed under the ordering lock.
#[derive(Debug, Clone)]
pub(super) struct Journal {
    /// The number of the newest entry.
    newest: u64,
    /// Batches up to this number are known to be taken, whatever happens: an entry says so.
    noted_to: u64,
    /// The entries that are needed, oldest first: the number of the batch, and the slot.
    in_use: VecDeque<(u64, u64)>,
    /// Slots whose entries nobody needs.
    free: Vec<u64>,
    /// All slots have numbers below this.
    slots: u64,
    next_page: u64,
    fold_at: usize,
}

/// The pages of a fold: for the cut and the open generation.
#[derive(Debug, Default)]
struct Fold {
    batch: Option<Batch>,
    next_page: u64,
}

impl Journal {
    /// `in_use` are the entries needed, oldest first, `free` other slots.
    pub(super) fn new(
        newest: u64,
        noted_to: u64,
        in_use: VecDeque<(u64, u64)>,
        free: Vec<u64>,
        next_page: u64,
    ) -> Self {
        let slots = in_use.iter().map(|(_, slot)| slot).chain(&free).max();
        let slots = slots.map_or(0, |slot| slot + 1);
        Self { newest, noted_to, in_use, free, slots, next_page, fold_at: FOLD_AT }
    }

    /// The slot and the contents of the next entry. [`Journal::accept`] it once its batch is taken.
    pub(super) fn entry(
        &self,
        places: &Places,
        sequence: u64,
        time: u64,
        stamp: (u64, u32),
        notes: Vec<Note>,
    ) -> (kv_core::Namespace, Key, Change) {
        let index = self.newest + 1;
        let folded = self.newest - self.in_use.len() as u64;
        let entry = LogEntry { index, folded, sequence, time, stamp, notes };
        let key = Key::number(self.next_slot());
        (places.log.clone(), key, Change::Put(log::write_small(&entry)))
    }

    /// The batch of the entry made last has its place in the order.
    pub(super) fn accept(&mut self, sequence: u64) {
        let slot = self.next_slot();
        if self.free.pop().is_none() {
            self.slots += 1;
        }
        self.in_use.push_back((sequence, slot));
        self.newest += 1;
        self.noted_to = sequence;
    }

    /// Whether the number `sequence` would be taken again after a crash.
    pub(super) fn is_noted(&self, sequence: u64) -> bool {
        self.noted_to >= sequence
    }

    /// Entries of batches up to `to` are not needed any more.
    pub(super) fn forget_to(&mut self, to: u64) {
        while let Some((_, slot)) = self.in_use.pop_front_if(|(sequence, _)| *sequence <= to) {
            self.free.push(slot);
        }
    }

    /// No entry is needed any more.
    pub(super) fn forget_all(&mut self) {
        self.free.extend(self.in_use.drain(..).map(|(_, slot)| slot));
        self.fold_at = FOLD_AT;
    }

    /// Folds the entries into pages if it is time, as a lazy batch before the one about to come. A
    /// refusal (the disk is full) only puts it off.
    pub(super) fn fold(&mut self, memory: &mut Memory, places: &Places, store: &dyn KvStore) {
        if self.in_use.len() < self.fold_at {
            return;
        }
        let mut fold = Fold { batch: None, next_page: self.next_page };
        let settled = memory.cut.is_none();
        let cut = memory.cut.as_ref().map(|cut| fold.add(cut, places, false));
        let open = fold.add(&memory.open, places, settled);
        if let Some(batch) = fold.batch
            && let Some(Err(error)) = store.submit(batch.lazy()).receipt().outcome()
        {
            tracing::debug!(%error, "the log could not be folded, trying again later");
            self.fold_at = self.in_use.len() + FOLD_AT;
            return;
        }
        self.next_page = fold.next_page;
        if let (Some(generation), Some(folded)) = (&mut memory.cut, cut) {
            folded.apply(generation);
        }
        open.apply(&mut memory.open);
        self.forget_all();
    }

    /// Writes what is left after a part was forgotten into pages, within `batch`.
    pub(super) fn note_again(
        &mut self,
        memory: &mut Memory,
        places: &Places,
        batch: Batch,
    ) -> Batch {
        let mut fold = Fold { batch: Some(batch), next_page: self.next_page };
        for generation in memory.cut.iter_mut().chain([&mut memory.open]) {
            fold.add(generation, places, false).apply(generation);
        }
        self.next_page = fold.next_page;
        self.forget_all();
        fold.batch.unwrap_or_default()
    }

    fn next_slot(&self) -> u64 {
        self.free.last().copied().unwrap_or(self.slots)
    }
}

/// What a fold has done for one generation.
struct Folded {
    pages: Vec<u64>,
    notes: usize,
    tail: Vec<Name>,
}

impl Fold {
    /// Pages for the keys of one generation that are in none yet. A newest page with room is
    /// written again; pages that mostly say what later ones say again are replaced, if `compact`.
    fn add(&mut self, generation: &Generation, places: &Places, compact: bool) -> Folded {
        let paging = &generation.paging;
        let mut folded =
            Folded { pages: paging.pages.clone(), notes: paging.notes, tail: paging.tail.clone() };
        if paging.unpaged.is_empty() {
            return folded;
        }
        let notes = paging.notes + paging.unpaged.len();
        let all = compact && notes > 2 * generation.names.len() + PAGE_NOTES_MAX;
        let mut names: BTreeMap<&Name, &Dirty> = BTreeMap::new();
        if all {
            names.extend(generation.names.iter());
            (folded.notes, folded.tail) = (0, Vec::new());
        } else {
            let again = if paging.tail.len() < PAGE_NOTES { &paging.tail[..] } else { &[] };
            for name in paging.unpaged.iter().chain(again) {
                names.extend(generation.names.get_key_value(name));
            }
            folded.notes -= again.len();
        }
        let mut batch = self.batch.take().unwrap_or_default();
        // The numbers to use again, the newest page's or all; later pages say what is newer.
        let keep = if all {
            0
        } else if paging.tail.is_empty() || paging.tail.len() >= PAGE_NOTES {
            folded.pages.len()
        } else {
            folded.pages.len().saturating_sub(1)
        };
        let mut reused = folded.pages.split_off(keep).into_iter();
        let mut names = names.into_iter().peekable();
        while names.peek().is_some() {
            let chunk: Vec<_> = names.by_ref().take(PAGE_NOTES_MAX).collect();
            let number = reused.next().unwrap_or_else(|| {
                self.next_page += 1;
                self.next_page
            });
            folded.pages.push(number);
            folded.notes += chunk.len();
            folded.tail = chunk.iter().map(|(name, _)| (*name).clone()).collect();
            let page =
                DirtyPage { time: generation.time.unwrap_or_default(), spaces: spaces(&chunk) };
            let put = Change::Put(log::write_small(&page));
            batch.insert(places.dirty.clone(), Key::number(number), put);
        }
        for number in reused {
            batch.insert(places.dirty.clone(), Key::number(number), Change::Remove);
        }
        self.batch = Some(batch);
        folded
    }
}

/// Names in their order, by namespace.
fn spaces(names: &[(&Name, &Dirty)]) -> Vec<DirtySpace> {
    let same = |(a, _): &(&Name, &Dirty), (b, _): &(&Name, &Dirty)| a.0 == b.0;
    let space = |names: &[(&Name, &Dirty)]| {
        let ((ns, _), _) = names.first()?;
        let key = |((_, key), dirty): &(&Name, &Dirty)| DirtyKey {
            key: key.as_str().to_owned(),
            noted: dirty.note(),
        };
        Some(DirtySpace {
            primary: ns.primary().to_owned(),
            secondary: ns.secondary().to_owned(),
            keys: names.iter().map(key).collect(),
        })
    };
    names.chunk_by(same).filter_map(space).collect()
}

impl Folded {
    fn apply(self, generation: &mut Generation) {
        let paging = &mut generation.paging;
        paging.unpaged.clear();
        (paging.pages, paging.notes, paging.tail) = (self.pages, self.notes, self.tail);
    }
}
