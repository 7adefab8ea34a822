//! What has been submitted and is not decided yet: unseen by queries, counted by unique checks.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use kv_core::{Receipt, Unsettled};

use crate::{
    encoding::EncodedKey,
    rows::{IndexKeys, Rows},
};

/// The new state of one record; `None`: removed.
pub(crate) type RowChange = (EncodedKey, Option<IndexKeys>);

/// The undecided batches, in the order of their submission, which is that of their effects.
#[derive(Debug)]
pub(crate) struct Undecided {
    batches: Unsettled<Vec<RowChange>>,
    /// The undecided states of each record, oldest first; never an empty queue.
    states: BTreeMap<EncodedKey, VecDeque<Option<IndexKeys>>>,
    /// (unique index, key there, primary key) of every undecided state.
    claims: BTreeSet<(usize, EncodedKey, EncodedKey)>,
    unique: Vec<usize>,
}

impl Undecided {
    /// `unique` are the positions of the unique indexes.
    pub(crate) fn new(unique: Vec<usize>) -> Self {
        Self {
            batches: Unsettled::default(),
            states: BTreeMap::new(),
            claims: BTreeSet::new(),
            unique,
        }
    }

    /// Remembers a batch that the store below took.
    pub(crate) fn push(&mut self, receipt: Receipt, changes: Vec<RowChange>) {
        for (primary, keys) in &changes {
            for (index, key) in self.claims_of(keys.as_ref()) {
                self.claims.insert((index, key, Arc::clone(primary)));
            }
            self.states.entry(Arc::clone(primary)).or_default().push_back(keys.clone());
        }
        self.batches.push(receipt, changes);
    }

    /// Moves what is decided into `rows`, or forgets it if it failed.
    pub(crate) fn settle(&mut self, rows: &mut Rows) {
        let mut decided = Vec::new();
        self.batches.settle(|changes, outcome| decided.push((changes, outcome)));
        for (changes, outcome) in decided {
            for (primary, keys) in changes {
                self.forget_oldest(&primary);
                if outcome.is_ok() {
                    rows.set(primary, keys);
                }
            }
        }
    }

    /// The state that the last submitted batch gives the record, if that is undecided.
    pub(crate) fn latest(&self, primary: &[u8]) -> Option<Option<&IndexKeys>> {
        self.states.get(primary)?.back().map(Option::as_ref)
    }

    /// The records of which some undecided state has this key in a unique index.
    pub(crate) fn claimants(
        &self,
        index: usize,
        key: &EncodedKey,
    ) -> impl Iterator<Item = &EncodedKey> {
        let from = (index, Arc::clone(key), EncodedKey::from([]));
        self.claims
            .range(from..)
            .take_while(move |(other, claimed, _)| *other == index && claimed == key)
            .map(|(_, _, primary)| primary)
    }

    fn forget_oldest(&mut self, primary: &EncodedKey) {
        let oldest = self.states.get_mut(primary).and_then(VecDeque::pop_front).flatten();
        for (index, key) in self.claims_of(oldest.as_ref()) {
            let mut left = self.states.get(primary).into_iter().flatten().flatten();
            if !left.any(|keys| key_in(keys, index) == Some(&key)) {
                self.claims.remove(&(index, key, Arc::clone(primary)));
            }
        }
        if self.states.get(primary).is_some_and(VecDeque::is_empty) {
            self.states.remove(primary);
        }
    }

    fn claims_of(&self, keys: Option<&IndexKeys>) -> Vec<(usize, EncodedKey)> {
        let Some(keys) = keys else { return Vec::new() };
        let claim = |index: &usize| Some((*index, Arc::clone(key_in(keys, *index)?)));
        self.unique.iter().filter_map(claim).collect()
    }
}

/// The key a record has in the index.
pub(crate) fn key_in(keys: &IndexKeys, index: usize) -> Option<&EncodedKey> {
    keys.get(index)?.as_ref()
}

#[cfg(test)]
mod tests {
    use kv_core::Commit;

    use super::*;

    #[test]
    fn nothing_is_kept_of_what_is_decided() {
        for outcome in [Ok(()), Err(kv_core::Error::Poisoned { store: "test" })] {
            let mut rows = Rows::build(1, Vec::new());
            let mut undecided = Undecided::new(vec![0]);
            for key in [Some(b'x'), Some(b'y'), None, Some(b'x')] {
                let receipt = Commit::done(outcome.clone()).receipt();
                let keys = key.map(|key| IndexKeys::from([Some(EncodedKey::from([key]))]));
                undecided.push(receipt, vec![(EncodedKey::from([1]), keys)]);
            }
            assert_eq!(undecided.claims.len(), 2);
            undecided.settle(&mut rows);
            assert!(undecided.batches.is_empty());
            assert!(undecided.states.is_empty() && undecided.claims.is_empty());
            assert_eq!(rows.len(), usize::from(outcome.is_ok()));
        }
    }
}
