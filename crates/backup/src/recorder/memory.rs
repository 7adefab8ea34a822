//! The changed keys in memory, and their values as long as there is room.
//!
//! They lie in two generations: the *cut* one holds what the last cut holds and no cloud has
//! acknowledged yet, the *open* one what changed since. A key may be in both.

use std::{collections::HashMap, sync::Arc};

use kv_core::{Key, Namespace, Value};

use crate::{Stamp, log::Noted};
use kv_core::Lag;

pub(super) type Name = (Namespace, Key);

/// What changed and is not yet in the cloud.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    pub(super) cut: Option<Generation>,
    pub(super) open: Generation,
    /// Batches up to this number are of an earlier life. It may have left the device with any of them:
    /// what changes again needs an entry, or the next life would give that number to other contents.
    earlier: u64,
    /// How many bytes of values to hold.
    budget: u64,
    held_bytes: u64,
    /// While a cut is being read no value may be dropped: see [`super::Recorder::cut`].
    pub(super) pinned: bool,
}

/// The keys that changed after one cut and up to another one.
#[derive(Debug, Clone, Default)]
pub(super) struct Generation {
    /// Batches up to this number are none of ours.
    pub(super) start: u64,
    /// The last batch counted; only kept for the cut generation.
    pub(super) end: u64,
    /// Shared with a cut that is being read.
    pub(super) names: Arc<HashMap<Name, Dirty>>,
    /// Time of the first and the last change; never before the last, or older moments would hold it.
    pub(super) time: Option<(u64, u64)>,
    /// Wide enough for any sum of lengths that a damaged log may claim.
    bytes: u128,
    pub(super) paging: Paging,
}

/// Which of the keys are in dirty pages.
#[derive(Debug, Clone, Default)]
pub(super) struct Paging {
    /// Keys noted in log entries since the last fold, oldest first; some twice.
    pub(super) unpaged: Vec<Name>,
    /// The numbers of the pages, ascending.
    pub(super) pages: Vec<u64>,
    /// How many notes the pages hold.
    pub(super) notes: usize,
    /// The keys of the newest page while it has room.
    pub(super) tail: Vec<Name>,
}

/// One changed key.
#[derive(Debug, Clone)]
pub(super) struct Dirty {
    /// The last batch that changed it, or a later one: known exactly since the recorder was opened.
    pub(super) last: u64,
    pub(super) noted: Noted,
    /// The length of the value now.
    len: u64,
    pub(super) held: Held,
}

impl Dirty {
    /// As what it is to be noted from now on.
    pub(super) fn note(&self) -> Noted {
        match self.noted {
            Noted::Value(_) => Noted::Value(self.len),
            Noted::Removed => Noted::Removed,
        }
    }
}

/// What is known of a key without asking the store.
#[derive(Debug, Clone)]
pub(super) enum Held {
    /// The value, as stored.
    Value(Value),
    /// A value that must be read from the store.
    Dropped,
    /// The key was removed.
    Removed(Option<Stamp>),
}

impl Memory {
    pub(super) fn new(budget: u64, start: u64, earlier: u64) -> Self {
        let open = Generation { start, ..Generation::default() };
        Self { cut: None, open, earlier, budget, held_bytes: 0, pinned: false }
    }

    /// Whether the change must be written down; else older entries say of the key what matters.
    pub(super) fn needs_note(&self, name: &Name, change: &Noted) -> bool {
        let noted = self.open.names.get(name).filter(|dirty| dirty.last > self.earlier);
        noted.is_none_or(|dirty| !dirty.noted.covers(change))
    }

    /// Takes in a change of the batch `sequence`, newer than all before.
    pub(super) fn push(&mut self, sequence: u64, name: Name, noted: Noted, held: Held) {
        let room = self.pinned || self.held_bytes + held.bytes() <= self.budget;
        let held = if room { held } else { held.dropped() };
        self.held_bytes += held.bytes();
        self.held_bytes -= self.open.insert(sequence, name, noted, held);
    }

    /// Ends the open generation at `end`: everything up to there is in the cut one.
    pub(super) fn freeze(&mut self, end: u64) {
        let next = Generation { start: end, ..Generation::default() };
        let mut open = std::mem::replace(&mut self.open, next);
        if let Some(cut) = &mut self.cut {
            self.held_bytes -= cut.merge(open);
        } else if !open.names.is_empty() {
            self.cut = Some(std::mem::take(&mut open));
        }
        if let Some(cut) = &mut self.cut {
            cut.end = end;
        }
    }

    /// Drops values until the rest fits the budget, those that are on their way up first.
    pub(super) fn shrink(&mut self) {
        for generation in self.cut.iter_mut().chain([&mut self.open]) {
            if self.held_bytes > self.budget {
                self.held_bytes -= generation.shrink(self.held_bytes - self.budget);
            }
        }
    }

    /// Forgets what batches up to `to` changed; the numbers of the pages that hold nothing else.
    /// What of the rest is noted in those pages or in entries up to `to` must be noted again: see
    /// [`Forgotten::again`].
    pub(super) fn forget_to(&mut self, to: u64) -> Forgotten {
        let mut forgotten = Forgotten::default();
        if self.cut.as_ref().is_some_and(|cut| cut.end <= to)
            && let Some(cut) = self.cut.take()
        {
            self.held_bytes -= cut.names.values().map(|dirty| dirty.held.bytes()).sum::<u64>();
            forgotten.pages = cut.paging.pages;
        }
        for generation in self.cut.iter_mut().chain([&mut self.open]) {
            // Pages must be in the order of their notes, so with one all later ones are made anew.
            if generation.start < to || forgotten.again {
                self.held_bytes -= generation.forget_to(to);
                forgotten.pages.append(&mut generation.paging.pages);
                let unpaged = generation.names.keys().cloned().collect();
                generation.paging = Paging { unpaged, ..Paging::default() };
                forgotten.again |= !generation.names.is_empty();
            }
        }
        if self.cut.as_ref().is_some_and(|cut| cut.names.is_empty()) {
            self.cut = None;
        }
        forgotten
    }

    /// Forgets everything. What changes after `start` is taken in again.
    pub(super) fn clear(&mut self, start: u64) {
        self.cut = None;
        self.open = Generation { start, ..Generation::default() };
        self.held_bytes = 0;
    }

    /// The numbers of all dirty pages.
    pub(super) fn pages(&self) -> Vec<u64> {
        let all = self.cut.iter().chain([&self.open]);
        all.flat_map(|generation| &generation.paging.pages).copied().collect()
    }

    /// Batches up to this number are none of ours.
    pub(super) fn start(&self) -> u64 {
        self.cut.as_ref().unwrap_or(&self.open).start
    }

    /// Whether a key has changed after this batch, or may have: see [`Dirty::last`].
    pub(super) fn changed_after(&self, name: &Name, sequence: u64) -> bool {
        let mut all = self.cut.iter().chain([&self.open]);
        all.any(|g| g.names.get(name).is_some_and(|dirty| dirty.last > sequence))
    }

    pub(super) fn lag(&self) -> Lag {
        let all = || self.cut.iter().chain([&self.open]);
        let bytes = all().map(|generation| generation.bytes).sum::<u128>();
        Lag {
            records: all().map(|generation| generation.names.len() as u64).sum(),
            bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
            oldest: all().find_map(|generation| generation.time).map(|(first, _)| first),
            dump_needed: false,
        }
    }
}

/// What is left to do on disk after a part of the memory was forgotten.
#[derive(Debug, Default)]
pub(super) struct Forgotten {
    pub(super) pages: Vec<u64>,
    /// All keys that are left must be written into pages.
    pub(super) again: bool,
}

impl Generation {
    /// Answers how many bytes the key held before.
    fn insert(&mut self, sequence: u64, name: Name, noted: Noted, held: Held) -> u64 {
        let len = noted.len();
        self.bytes += u128::from(len);
        let names = Arc::make_mut(&mut self.names);
        if let Some(dirty) = names.get_mut(&name) {
            let before = dirty.held.bytes();
            self.bytes -= u128::from(dirty.len);
            (dirty.last, dirty.len, dirty.held) = (sequence, len, held);
            if !dirty.noted.covers(&noted) {
                dirty.noted = noted;
                self.paging.unpaged.push(name);
            }
            return before;
        }
        self.paging.unpaged.push(name.clone());
        names.insert(name, Dirty { last: sequence, noted, len, held });
        0
    }

    /// Takes in a later generation; answers how many held bytes it replaced.
    fn merge(&mut self, mut later: Self) -> u64 {
        let mut replaced = 0;
        let names = Arc::make_mut(&mut self.names);
        for (name, dirty) in Arc::unwrap_or_clone(later.names) {
            self.bytes += u128::from(dirty.len);
            if let Some(before) = names.insert(name, dirty) {
                self.bytes -= u128::from(before.len);
                replaced += before.held.bytes();
            }
        }
        self.saw_time(later.time);
        self.paging.unpaged.append(&mut later.paging.unpaged);
        self.paging.notes += later.paging.notes;
        if !later.paging.pages.is_empty() {
            self.paging.pages.append(&mut later.paging.pages);
            self.paging.tail = later.paging.tail;
        }
        replaced
    }

    /// Answers how many bytes were dropped, at least `bytes` if there are as many.
    fn shrink(&mut self, bytes: u64) -> u64 {
        let mut dropped = 0;
        for dirty in Arc::make_mut(&mut self.names).values_mut() {
            if dropped >= bytes {
                break;
            }
            if let Held::Value(value) = &dirty.held {
                dropped += value.len() as u64;
                dirty.held = Held::Dropped;
            }
        }
        dropped
    }

    /// Answers how many held bytes went.
    fn forget_to(&mut self, to: u64) -> u64 {
        let mut dropped = 0;
        let bytes = &mut self.bytes;
        Arc::make_mut(&mut self.names).retain(|_, dirty| {
            if dirty.last <= to {
                *bytes -= u128::from(dirty.len);
                dropped += dirty.held.bytes();
            }
            dirty.last > to
        });
        self.start = self.start.max(to);
        if self.names.is_empty() {
            self.time = None;
        }
        dropped
    }

    /// Whether a segment with it would have at least so many bytes of values.
    pub(super) fn is_large(&self, bytes: u64) -> bool {
        self.bytes >= u128::from(bytes)
    }

    /// Takes in what an earlier life noted; newer notes come later.
    pub(super) fn load(&mut self, last: u64, name: Name, noted: Noted, held: Held) {
        if let Some(before) = Arc::make_mut(&mut self.names).remove(&name) {
            self.bytes -= u128::from(before.len);
        }
        self.insert(last, name, noted, held);
    }

    pub(super) fn saw_time(&mut self, time: Option<(u64, u64)>) {
        self.time = match (self.time, time) {
            (Some((first, last)), Some((from, to))) => Some((first.min(from), last.max(to))),
            (known, seen) => known.or(seen),
        };
    }
}

impl Held {
    fn bytes(&self) -> u64 {
        match self {
            Self::Value(value) => value.len() as u64,
            Self::Dropped | Self::Removed(_) => 0,
        }
    }

    fn dropped(self) -> Self {
        match self {
            Self::Value(_) => Self::Dropped,
            other => other,
        }
    }
}
