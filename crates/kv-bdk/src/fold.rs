//! Merging change sets, as a whole wallet and not as a change.

use std::collections::BTreeMap;

use bdk_wallet::{
    ChangeSet,
    bitcoin::{Network, ScriptBuf},
    chain::{DescriptorId, Merge},
    miniscript::{Descriptor, DescriptorPublicKey},
};

/// All change sets of a wallet so far, as one.
#[derive(Default)]
pub(crate) struct Fold(ChangeSet);

/// What never changes in the life of a wallet, as far as known.
#[derive(Default)]
pub(crate) struct Identity {
    descriptor: Option<Descriptor<DescriptorPublicKey>>,
    change_descriptor: Option<Descriptor<DescriptorPublicKey>>,
    network: Option<Network>,
}

/// Two scripts for one index of a descriptor.
pub(crate) struct Contradiction;

impl Fold {
    /// Merges what came next. Of two descriptors or networks the first stays, as in bdk's own
    /// persisters.
    pub(crate) fn add(&mut self, mut next: ChangeSet) -> Result<(), Contradiction> {
        let whole = &mut self.0;
        // What bdk takes for granted when it merges, and asserts in a debug build.
        if whole.descriptor.is_some() {
            next.descriptor = None;
        }
        if whole.change_descriptor.is_some() {
            next.change_descriptor = None;
        }
        if whole.network.is_some() {
            next.network = None;
        }
        if contradict(&whole.indexer.spk_cache, &next.indexer.spk_cache) {
            return Err(Contradiction);
        }
        whole.merge(next);
        Ok(())
    }

    /// The whole: a block that was removed and an output that was unlocked are as if they had
    /// never been there.
    pub(crate) fn finish(self) -> ChangeSet {
        let mut whole = self.0;
        whole.local_chain.blocks.retain(|_, block| block.is_some());
        whole.locked_outpoints.outpoints.retain(|_, locked| *locked);
        whole
    }
}

impl Identity {
    pub(crate) fn of(change_set: &ChangeSet) -> Self {
        let mut identity = Self::default();
        identity.learn(change_set);
        identity
    }

    /// Whether the change set can be of this wallet.
    pub(crate) fn fits(&self, change_set: &ChangeSet) -> bool {
        same(&self.descriptor, &change_set.descriptor)
            && same(&self.change_descriptor, &change_set.change_descriptor)
            && same(&self.network, &change_set.network)
    }

    pub(crate) fn learn(&mut self, change_set: &ChangeSet) {
        learn(&mut self.descriptor, &change_set.descriptor);
        learn(&mut self.change_descriptor, &change_set.change_descriptor);
        learn(&mut self.network, &change_set.network);
    }
}

fn same<T: PartialEq>(known: &Option<T>, new: &Option<T>) -> bool {
    match (known, new) {
        (Some(known), Some(new)) => known == new,
        _ => true,
    }
}

fn learn<T: Clone>(known: &mut Option<T>, new: &Option<T>) {
    if known.is_none() {
        known.clone_from(new);
    }
}

type Scripts = BTreeMap<DescriptorId, BTreeMap<u32, ScriptBuf>>;

fn contradict(known: &Scripts, new: &Scripts) -> bool {
    new.iter().any(|(descriptor, new)| {
        let known = known.get(descriptor);
        let differs = |(index, script)| {
            known.and_then(|known| known.get(index)).is_some_and(|known| known != script)
        };
        new.iter().any(differs)
    })
}
