//! LDK 0.2: what tests that are one text for both versions have to know of it.

#![allow(dead_code, unused_imports, unreachable_pub, reason = "each user takes its part")]
#![allow(clippy::allow_attributes, reason = "it is not the same for each user")]
#![allow(clippy::unwrap_used, reason = "a helper of tests panics")]

#[path = "small/mod.rs"]
pub mod small;

use std::sync::Arc;

pub use kv_ldk as ours;
pub use lightning as ldk;
pub use lightning::{
    bitcoin::BlockHash as Locator,
    chain::BestBlock as Tip,
    ln::channelmanager::{RecipientOnionFields, Retry, RetryableSendFailure},
};
use lightning::{
    bitcoin::Transaction,
    chain::{Watch, chaininterface::BroadcasterInterface, chainmonitor::ChainMonitor},
    sign::{InMemorySigner, NodeSigner},
    types::payment::PaymentHash,
    util::{config::UserConfig, native_async::FutureSpawner},
};

use self::small::{AsyncMonitors, Manager, Monitors, Parts, Persister, Sent};
use super::later::Later;

/// Channels whose whole value may be under way.
pub fn config() -> UserConfig {
    let mut config = UserConfig::default();
    config.channel_handshake_config.max_inbound_htlc_value_in_flight_percent_of_channel = 100;
    config
}

pub fn monitors(parts: &Parts, persister: Arc<Persister>) -> Arc<Monitors> {
    Arc::new(ChainMonitor::new(
        None,
        parts.sent.clone(),
        parts.quiet.clone(),
        parts.fees.clone(),
        persister,
        parts.keys.clone(),
        parts.keys.get_peer_storage_key(),
    ))
}

/// They are awaited, and stored in updates.
pub fn async_monitors(parts: &Parts, persister: small::AsyncUpdating) -> Arc<AsyncMonitors> {
    Arc::new(ChainMonitor::new_async_beta(
        None,
        parts.sent.clone(),
        parts.quiet.clone(),
        parts.fees.clone(),
        persister,
        parts.keys.clone(),
        parts.keys.get_peer_storage_key(),
    ))
}

impl FutureSpawner for Later {
    fn spawn<T: Future<Output = ()> + Send + 'static>(&self, future: T) {
        self.push(future);
    }
}

/// What a payment to this node needs.
pub fn offer<M: Watch<InMemorySigner>>(
    to: &Manager<M>,
    msat: u64,
) -> (PaymentHash, RecipientOnionFields) {
    let (hash, secret) = to.create_inbound_payment(Some(msat), 7200, None).unwrap();
    (hash, RecipientOnionFields::secret_only(secret))
}

impl BroadcasterInterface for Sent {
    fn broadcast_transactions(&self, txs: &[&Transaction]) {
        self.0.lock().unwrap().extend(txs.iter().map(|tx| (*tx).clone()));
    }
}
