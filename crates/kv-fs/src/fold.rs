//! What the batches that survive in a log come to, key by key. What a later batch has replaced
//! need neither enter the table nor be written to the new log.

use std::{collections::HashMap, iter};

use kv_core::Result;

use crate::{
    batch_bytes::{self, RawChange, RawEffect},
    fault, frame,
    replay::Replayed,
    table::{Effect, Name, Table},
};

/// The last effect of the batches on each of their keys.
#[derive(Debug)]
pub(crate) struct Fold<'a> {
    keys: Vec<Folded<'a>>,
    /// Numbers below are used up in the creation order.
    pub(crate) next_creation: u64,
}

#[derive(Debug)]
struct Folded<'a> {
    name: Name,
    last: Last<'a>,
    /// A batch has removed it, so that what the index has of it does not count.
    removed: bool,
}

/// The last effect on a key.
#[derive(Debug, Clone, Copy)]
struct Last<'a> {
    change: RawChange<'a>,
    /// The creation number it gets unless it is there: that of the first batch that wrote it, or
    /// of the first one after it was removed.
    created: u64,
    /// The last batch that changed it.
    sequence: u64,
}

impl Last<'_> {
    fn removes(&self) -> bool {
        self.change.effect == RawEffect::Remove
    }
}

impl<'a> Fold<'a> {
    /// Folds batches that come after an index whose creation numbers end before `next_creation`.
    pub(crate) fn of(batches: &[Replayed<'a>], next_creation: u64) -> Result<Self> {
        let mut fold = Self { keys: Vec::new(), next_creation };
        let mut places = HashMap::new();
        for batch in batches {
            let first = batch.first_creation;
            for (created, &change) in (first..).zip(&batch.changes) {
                let last = Last { change, created, sequence: batch.sequence };
                let place = *places.entry(change.name).or_insert(fold.keys.len());
                match fold.keys.get_mut(place) {
                    Some(key) => key.change(last),
                    None => fold.keys.push(Folded::new(last)?),
                }
            }
            fold.next_creation = fold.next_creation.max(first + batch.changes.len() as u64);
        }
        // What is new comes in the order of its creation.
        fold.keys.sort_by_key(|key| (key.last.created, key.last.change.name));
        Ok(fold)
    }

    /// Lets it take effect.
    pub(crate) fn apply(&self, table: &mut Table) {
        for Folded { name: (ns, key), last, removed } in &self.keys {
            let change = |effect| [(ns.clone(), key.clone(), effect)];
            if *removed {
                table.apply(change(Effect::Remove), last.sequence, last.created);
            }
            if !last.removes() {
                table.apply(change(last.change.effect()), last.sequence, last.created);
            }
        }
    }

    /// Batches that come to the same, as many as there were, since sequences have no gap.
    pub(crate) fn rewrite<'b>(&self, batches: &'b [Replayed<'a>]) -> Rewrite<'a, 'b> {
        let mut changes = Vec::with_capacity(self.keys.len());
        for key in &self.keys {
            let Last { change, created, .. } = key.last;
            if key.removed {
                // Also of what the index does not have: a file of it may be there.
                changes.push((created, RawChange { effect: RawEffect::Remove, ..change }));
            }
            if !key.last.removes() {
                changes.push((created, change));
            }
        }
        let short = Rewrite::Short { changes, count: batches.len(), end: self.next_creation };
        let long = Rewrite::AsTheyAre(batches);
        if short.is_possible() && short.bytes() < long.bytes() { short } else { long }
    }
}

impl<'a> Folded<'a> {
    fn new(last: Last<'a>) -> Result<Self> {
        let name = last.change.named();
        let name = name.ok_or_else(|| fault::corrupt("a name in the log breaks the rules"))?;
        Ok(Self { name, removed: last.removes(), last })
    }

    fn change(&mut self, mut now: Last<'a>) {
        if !self.last.removes() {
            // Overwriting keeps the place in the order.
            now.created = self.last.created;
        }
        self.removed |= now.removes();
        self.last = now;
    }
}

/// Batches as they are written to the log that begins at an open.
#[derive(Debug)]
pub(crate) enum Rewrite<'a, 'b> {
    AsTheyAre(&'b [Replayed<'a>]),
    /// One change in each batch, with its creation number. The rest are empty; the last one of
    /// them tells which creation numbers are used up.
    Short {
        changes: Vec<(u64, RawChange<'a>)>,
        count: usize,
        end: u64,
    },
}

impl Rewrite<'_, '_> {
    fn is_possible(&self) -> bool {
        match self {
            Self::AsTheyAre(_) => true,
            Self::Short { changes, count, .. } => changes.len() < *count,
        }
    }

    /// Bytes of the frames.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::AsTheyAre(batches) => {
                batches.iter().map(|batch| frame::len(batch.payload.len())).sum()
            }
            Self::Short { changes, count, .. } => {
                let len = |changes: &[RawChange<'_>]| frame::len(batch_bytes::raw_len(changes));
                let full: usize = changes.iter().map(|(_, change)| len(&[*change])).sum();
                full + (count - changes.len()) * len(&[])
            }
        }
    }

    /// Shows each payload, in the order of sequences.
    pub(crate) fn payloads(&self, mut see: impl FnMut(&[u8])) {
        match self {
            Self::AsTheyAre(batches) => batches.iter().for_each(|batch| see(batch.payload)),
            Self::Short { changes, count, end } => {
                let full = changes.iter().map(|(created, change)| (*created, Some(*change)));
                let mut payload = Vec::new();
                for (first, change) in full.chain(iter::repeat((*end, None))).take(*count) {
                    payload.clear();
                    batch_bytes::encode_raw(&mut payload, first, change.as_slice());
                    see(&payload);
                }
            }
        }
    }
}
