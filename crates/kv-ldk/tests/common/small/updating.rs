//! LDK's `MonitorUpdatingPersister`, waiting and awaited, for the monitors of a small node.

use std::sync::Arc;

use kv_ldk::StrongroomStore;

use super::{
    super::ldk::{
        chain::{
            Filter,
            chainmonitor::{AsyncPersister, ChainMonitor},
        },
        sign::{InMemorySigner, KeysManager},
        util::persist::{MonitorUpdatingPersister, MonitorUpdatingPersisterAsync},
    },
    parts::{Fees, Parts, Quiet, Sent},
};
use crate::common::later::Later;

pub type Updating = MonitorUpdatingPersister<
    Arc<StrongroomStore>,
    Arc<Quiet>,
    Arc<KeysManager>,
    Arc<KeysManager>,
    Arc<Sent>,
    Arc<Fees>,
>;
pub type AsyncUpdating = MonitorUpdatingPersisterAsync<
    Arc<StrongroomStore>,
    Later,
    Arc<Quiet>,
    Arc<KeysManager>,
    Arc<KeysManager>,
    Arc<Sent>,
    Arc<Fees>,
>;
pub type AsyncMonitors = ChainMonitor<
    InMemorySigner,
    Arc<dyn Filter + Send + Sync>,
    Arc<Sent>,
    Arc<Fees>,
    Arc<Quiet>,
    AsyncPersister<
        Arc<StrongroomStore>,
        Later,
        Arc<Quiet>,
        Arc<KeysManager>,
        Arc<KeysManager>,
        Arc<Sent>,
        Arc<Fees>,
    >,
    Arc<KeysManager>,
>;

/// Every so many updates the whole monitor is stored again.
pub fn updating(parts: &Parts, store: &Arc<StrongroomStore>, whole: u64) -> Updating {
    let (keys, parts) = (parts.keys.clone(), parts.clone());
    let (quiet, sent, fees) = (parts.quiet, parts.sent, parts.fees);
    MonitorUpdatingPersister::new(store.clone(), quiet, whole, keys.clone(), keys, sent, fees)
}

/// The same, awaited: `later` does the waiting.
pub fn async_updating(
    parts: &Parts,
    store: &Arc<StrongroomStore>,
    later: &Later,
    whole: u64,
) -> AsyncUpdating {
    let (keys, parts, later) = (parts.keys.clone(), parts.clone(), later.clone());
    MonitorUpdatingPersisterAsync::new(
        store.clone(),
        later,
        parts.quiet,
        whole,
        keys.clone(),
        keys,
        parts.sent,
        parts.fees,
    )
}
