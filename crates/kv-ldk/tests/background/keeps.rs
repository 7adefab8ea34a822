//! How a node keeps its monitors: whole, in updates, replicated.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

use std::sync::Arc;

use kv_ldk::StrongroomStore;

use super::{
    ldk::{
        chain::channelmonitor::ChannelMonitor, sign::InMemorySigner,
        util::persist::read_channel_monitors,
    },
    ours::ReplicatedPersister,
    small::{Parts, Persister, updating},
};
use crate::ldk_0_3::Locator;

/// Every so many updates the whole monitor is stored again.
pub(super) const WHOLE: u64 = 6;

pub(super) enum Keeps {
    Whole,
    Updates,
    Replicated(Arc<ReplicatedPersister>),
}

impl Keeps {
    pub(super) fn persister(&self, parts: &Parts, store: &Arc<StrongroomStore>) -> Arc<Persister> {
        match self {
            Self::Whole => store.clone(),
            Self::Updates => Arc::new(updating(parts, store, WHOLE)),
            Self::Replicated(persister) => persister.clone(),
        }
    }

    pub(super) fn read(
        &self,
        parts: &Parts,
        store: &Arc<StrongroomStore>,
    ) -> Vec<(Locator, ChannelMonitor<InMemorySigner>)> {
        let keys = parts.keys.clone();
        match self {
            Self::Updates => {
                updating(parts, store, WHOLE).read_all_channel_monitors_with_updates().unwrap()
            }
            _ => read_channel_monitors(store.clone(), keys.clone(), keys).unwrap(),
        }
    }
}
