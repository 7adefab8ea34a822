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
            for (created, &change) in (first..).zip(&*batch.changes) {
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

#[cfg(test)]
mod tests {
    use kv_core::{Key, Namespace, Value, testing::Random};

    use super::*;
    use crate::{
        batch_bytes::Changes,
        index::Kept,
        rows::Rows,
        table::{Entry, Place, Stamp},
    };

    const NEXT: u64 = 100;

    fn name(n: u64) -> Name {
        (Namespace::new(["a", "b"][n as usize % 2], "").unwrap(), Key::new(&n.to_string()).unwrap())
    }

    /// Payloads of a few random batches over a few keys.
    fn payloads(random: &mut Random) -> Vec<Vec<u8>> {
        let mut next = NEXT;
        let mut batch = |random: &mut Random| {
            let count = if random.below(3) == 0 { random.below(4) } else { 1 };
            let mut keys: Vec<u64> = (0..count).map(|_| random.below(8)).collect();
            keys.sort();
            keys.dedup();
            let change = |n| {
                let effect = match random.below(5) {
                    0 | 1 => Effect::Remove,
                    2 => Effect::PutBig(random.draw() >> 8, Stamp { size: 9, crc: 7 }),
                    _ => Effect::Put(Value::from(random.bytes(40))),
                };
                let (ns, key) = name(n);
                (ns, key, effect)
            };
            let changes: Changes = keys.into_iter().map(change).collect();
            let mut payload = batch_bytes::encode(&changes);
            batch_bytes::set_first_creation(&mut payload, next);
            next += changes.len() as u64;
            payload
        };
        (0..random.below(12)).map(|_| batch(random)).collect()
    }

    fn batches(payloads: &[Vec<u8>]) -> Vec<Replayed<'_>> {
        let mut batches = Vec::new();
        for (sequence, payload) in (1..).zip(payloads) {
            let (first_creation, changes) = batch_bytes::decode(payload).unwrap();
            batches.push(Replayed { sequence, payload, first_creation, changes });
        }
        batches
    }

    /// What the index has: some of the keys.
    fn indexed(seed: u64) -> Table {
        let mut rows = Rows::default();
        for n in (0..8).filter(|n| seed >> n & 1 == 1) {
            let stamp = Stamp { size: n, crc: 1 };
            let (ns, key) = name(n);
            rows.set(&ns, key, Some(Kept { created: 50 - n, modified: 1_000 - n, stamp }));
        }
        Table::new(rows)
    }

    /// Creation number, time and place.
    type Seen = (u64, u64, Place);

    /// Everything that can be told of a table, but for the sequences of its values.
    #[derive(Debug, Clone, PartialEq)]
    struct Contents {
        entries: Vec<(Name, Option<Seen>)>,
        dirty: Vec<(Name, Option<Seen>)>,
        order: Vec<Vec<Key>>,
        value_bytes: u64,
    }

    fn contents(mut table: Table) -> Contents {
        let keys = |ns: Namespace| table.newest_first(&ns, None, 99).keys;
        let order = table.namespaces().into_iter().map(keys).collect();
        let value_bytes = table.value_bytes();
        let entry = |Entry { created, modified, place, .. }| (created, modified, place);
        let names = table.names().map(|(ns, key)| (ns.clone(), key.clone()));
        let entries = names.map(|(ns, key)| {
            let found = table.get(&ns, &key).map(entry);
            ((ns, key), found)
        });
        let entries = entries.collect();
        let dirty = table.take_dirty().into_iter().map(|(name, found)| (name, found.map(entry)));
        Contents { entries, dirty: dirty.collect(), order, value_bytes }
    }

    fn as_they_are(batches: &[Replayed<'_>], table: &mut Table) -> u64 {
        let mut next = NEXT;
        for batch in batches {
            let change = |change: &RawChange<'_>| {
                let (ns, key) = change.named().unwrap();
                (ns, key, change.effect())
            };
            next = next.max(batch.first_creation + batch.changes.len() as u64);
            table.apply(batch.changes.iter().map(change), batch.sequence, batch.first_creation);
        }
        next
    }

    /// Whatever batches come after whatever index: folded, and written shorter, and both again,
    /// they come to the same.
    #[test]
    fn folding_changes_nothing() {
        let mut short = 0;
        for seed in 0..5_000 {
            let mut random = Random::seeded(seed);
            let payloads = payloads(&mut random);
            let before = batches(&payloads);
            let mut expected = indexed(seed);
            let next = as_they_are(&before, &mut expected);
            let expected = contents(expected);

            let fold = Fold::of(&before, NEXT).unwrap();
            let mut folded = indexed(seed);
            fold.apply(&mut folded);
            assert_eq!((contents(folded), fold.next_creation), (expected.clone(), next), "{seed}");

            let rewrite = fold.rewrite(&before);
            short += u64::from(matches!(rewrite, Rewrite::Short { .. }));
            let mut written = Vec::new();
            rewrite.payloads(|payload| written.push(payload.to_vec()));
            assert_eq!(written.len(), payloads.len(), "sequences have no gap");
            let bytes: usize = written.iter().map(|payload| frame::len(payload.len())).sum();
            assert_eq!(rewrite.bytes(), bytes);
            let after = batches(&written);
            let mut again = indexed(seed);
            assert_eq!(as_they_are(&after, &mut again), next);
            assert_eq!(contents(again), expected, "{seed}");
            let mut again = indexed(seed);
            let fold = Fold::of(&after, NEXT).unwrap();
            fold.apply(&mut again);
            assert_eq!((contents(again), fold.next_creation), (expected, next), "{seed}");
        }
        assert!((1_000..4_500).contains(&short), "{short} were written shorter");
    }

    #[test]
    fn hot_keys_are_written_once() {
        let put = |n: u64| {
            let (ns, key) = name(n % 4);
            let mut payload =
                batch_bytes::encode(&vec![(ns, key, Effect::Put(Value::from(vec![0; 256])))]);
            batch_bytes::set_first_creation(&mut payload, NEXT + n);
            payload
        };
        let payloads: Vec<_> = (0..1_000).map(put).collect();
        let batches = batches(&payloads);
        let fold = Fold::of(&batches, NEXT).unwrap();
        assert!(fold.rewrite(&batches).bytes() < 60_000);
        // New keys have nothing to leave out.
        let (alone, _) = batches.split_at(4);
        let fold = Fold::of(alone, NEXT).unwrap();
        assert!(matches!(fold.rewrite(alone), Rewrite::AsTheyAre(_)));
    }

    #[test]
    fn a_name_that_breaks_the_rules_is_damage() {
        let mut payload = batch_bytes::encode(&vec![(name(1).0, name(1).1, Effect::Remove)]);
        let at = payload.iter().position(|byte| *byte == b'b').unwrap();
        payload[at] = b'/';
        let payloads = [payload];
        assert!(Fold::of(&batches(&payloads), NEXT).is_err());
    }
}
