//! What has been submitted and is not decided yet: unseen by queries, counted by unique checks.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use kv_core::{Receipt, Unsettled};

use crate::{
    Index, Record,
    encoding::EncodedKey,
    row::{Keyed, Row},
};

/// The new state of one record; `None`: removed. A batch has one for each record it changes.
pub(crate) type RowChange<R> = (EncodedKey, Option<Keyed<R>>);

/// The undecided batches, in the order of their submission, which is that of their effects.
pub(crate) struct Undecided<R> {
    batches: Unsettled<Vec<RowChange<R>>>,
    /// The undecided states of each record, oldest first; never an empty queue.
    states: BTreeMap<EncodedKey, VecDeque<Option<Keyed<R>>>>,
    /// (unique index, key there, primary key) of every undecided state.
    claims: BTreeSet<(usize, Vec<u8>, EncodedKey)>,
}

impl<R: Record> Undecided<R> {
    /// Remembers a batch that the store below took.
    pub(crate) fn push(&mut self, receipt: Receipt, changes: Vec<RowChange<R>>) {
        for (primary, keyed) in &changes {
            for (index, key) in unique_keys(keyed.as_ref()) {
                self.claims.insert((index, key.to_vec(), Arc::clone(primary)));
            }
            self.states.entry(Arc::clone(primary)).or_default().push_back(keyed.clone());
        }
        self.batches.push(receipt, changes);
    }

    /// Hands each batch that is decided to `apply`, in order, and forgets what failed.
    pub(crate) fn settle(&mut self, mut apply: impl FnMut(Vec<RowChange<R>>)) {
        let mut decided = Vec::new();
        self.batches.settle(|changes, outcome| decided.push((changes, outcome)));
        for (changes, outcome) in decided {
            changes.iter().for_each(|(primary, _)| self.forget_oldest(primary));
            if outcome.is_ok() {
                apply(changes);
            }
        }
    }

    /// The state that the last submitted batch gives the record, if that is undecided.
    pub(crate) fn latest(&self, primary: &[u8]) -> Option<Option<&Arc<Row<R>>>> {
        let latest = self.states.get(primary)?.back()?;
        Some(latest.as_ref().map(|keyed| &keyed.row))
    }

    /// The records with undecided states.
    pub(crate) fn primaries(&self) -> impl Iterator<Item = &EncodedKey> {
        self.states.keys()
    }

    /// The records of which some undecided state has this key in a unique index.
    pub(crate) fn claimants(&self, index: usize, key: &[u8]) -> impl Iterator<Item = &EncodedKey> {
        let from = (index, key.to_vec(), EncodedKey::from([]));
        self.claims
            .range(from..)
            .take_while(move |(other, claimed, _)| *other == index && claimed == key)
            .map(|(_, _, primary)| primary)
    }

    fn forget_oldest(&mut self, primary: &EncodedKey) {
        let oldest = self.states.get_mut(primary).and_then(VecDeque::pop_front).flatten();
        for (index, key) in unique_keys(oldest.as_ref()) {
            let mut left = self.states.get(primary).into_iter().flatten().flatten();
            if !left.any(|keyed| unique_keys(Some(keyed)).any(|other| other == (index, key))) {
                self.claims.remove(&(index, key.to_vec(), Arc::clone(primary)));
            }
        }
        if self.states.get(primary).is_some_and(VecDeque::is_empty) {
            self.states.remove(primary);
        }
    }
}

/// (index, key there) in every unique index.
pub(crate) fn unique_keys<R: Record>(
    keyed: Option<&Keyed<R>>,
) -> impl Iterator<Item = (usize, &[u8])> {
    let keys = keyed.map(|keyed| &*keyed.keys).unwrap_or_default().iter();
    let unique = |index: usize| R::INDEXES.get(index).is_some_and(Index::is_unique);
    keys.filter(move |key| unique(key.index)).map(|key| (key.index, key.bytes.as_slice()))
}

impl<R> Default for Undecided<R> {
    fn default() -> Self {
        Self { batches: Unsettled::default(), states: BTreeMap::new(), claims: BTreeSet::new() }
    }
}

#[cfg(test)]
mod tests {
    use kv_core::Commit;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::RecordKey;

    #[derive(Serialize, Deserialize)]
    struct Tagged(Vec<String>);

    impl Record for Tagged {
        const STORE: &'static str = "tagged";
        const VERSION: u32 = 1;
        const INDEXES: &'static [Index<Self>] =
            &[Index::each_unique("tag", |tagged| tagged.0.iter().map(RecordKey::from).collect())];

        fn key(&self) -> RecordKey {
            0u8.into()
        }
    }

    #[test]
    fn nothing_is_kept_of_what_is_decided() {
        for outcome in [Ok(()), Err(kv_core::Error::Poisoned { store: "test" })] {
            let mut undecided = Undecided::default();
            for tags in [Some("xy"), Some("yz"), None, Some("x")] {
                let receipt = Commit::done(outcome.clone()).receipt();
                let record = |tags: &str| Tagged(tags.chars().map(String::from).collect());
                let row =
                    |tags| Row { primary: [1].as_slice().into(), version: 1, record: record(tags) };
                let keyed = tags.map(|tags| Keyed::new(row(tags)));
                undecided.push(receipt, vec![(EncodedKey::from([1]), keyed)]);
            }
            assert_eq!(undecided.claims.len(), 3);
            let mut decided = 0;
            undecided.settle(|changes| decided += changes.len());
            assert!(undecided.batches.is_empty());
            assert!(undecided.states.is_empty() && undecided.claims.is_empty());
            assert_eq!(decided, if outcome.is_ok() { 4 } else { 0 });
        }
    }
}
