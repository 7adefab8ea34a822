//! LDK 0.3: what tests that are one text for both versions have to know of it.

#![allow(dead_code, unused_imports, unreachable_pub, reason = "each user takes its part")]
#![allow(clippy::allow_attributes, reason = "it is not the same for each user")]
#![allow(clippy::unwrap_used, reason = "a helper of tests panics")]
#![expect(clippy::duplicate_mod, reason = "one text for both versions of LDK")]

#[path = "small/mod.rs"]
pub mod small;

use std::sync::Arc;

pub use kv_ldk::ldk_0_3 as ours;
pub use lightning_0_3 as ldk;
use lightning_0_3::{
    bitcoin::Transaction,
    chain::{
        Watch,
        chaininterface::{BroadcasterInterface, TransactionType},
        chainmonitor::ChainMonitor,
    },
    sign::{InMemorySigner, NodeSigner},
    types::payment::PaymentHash,
    util::{config::UserConfig, native_async::FutureSpawner},
};
pub use lightning_0_3::{
    chain::{BlockLocator as Locator, BlockLocator as Tip},
    ln::outbound_payment::{RecipientOnionFields, Retry, RetryableSendFailure},
};

use tokio::sync::oneshot;

use self::small::{AsyncMonitors, AsyncUpdating, Manager, Monitors, Parts, Persister, Sent};
use crate::common::later::Later;

/// Channels that need nothing of the chain to be closed.
pub fn config() -> UserConfig {
    let mut config = UserConfig::default();
    config.channel_handshake_config.negotiate_anchors_zero_fee_htlc_tx = false;
    config
}

pub fn monitors(parts: &Parts, persister: Arc<Persister>) -> Arc<Monitors> {
    chain_monitor(parts, persister, false)
}

/// They are written when whoever stores the manager says so.
pub fn deferred_monitors(parts: &Parts, persister: Arc<Persister>) -> Arc<Monitors> {
    chain_monitor(parts, persister, true)
}

fn chain_monitor(parts: &Parts, persister: Arc<Persister>, deferred: bool) -> Arc<Monitors> {
    Arc::new(ChainMonitor::new(
        None,
        parts.sent.clone(),
        parts.quiet.clone(),
        parts.fees.clone(),
        persister,
        parts.keys.clone(),
        parts.keys.get_peer_storage_key(),
        deferred,
    ))
}

/// They are awaited, and stored in updates.
pub fn async_monitors(parts: &Parts, persister: AsyncUpdating) -> Arc<AsyncMonitors> {
    async_chain_monitor(parts, persister, false)
}

/// The same, written when whoever stores the manager says so.
pub fn deferred_async_monitors(parts: &Parts, persister: AsyncUpdating) -> Arc<AsyncMonitors> {
    async_chain_monitor(parts, persister, true)
}

fn async_chain_monitor(
    parts: &Parts,
    persister: AsyncUpdating,
    deferred: bool,
) -> Arc<AsyncMonitors> {
    Arc::new(ChainMonitor::new_async_beta(
        None,
        parts.sent.clone(),
        parts.quiet.clone(),
        parts.fees.clone(),
        persister,
        parts.keys.clone(),
        parts.keys.get_peer_storage_key(),
        deferred,
    ))
}

impl FutureSpawner for Later {
    type E = oneshot::error::RecvError;
    type SpawnedFutureResult<T> = oneshot::Receiver<T>;

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        future: F,
    ) -> oneshot::Receiver<T> {
        let (tell, told) = oneshot::channel();
        self.push(async move {
            // Of most of them nobody wants to know.
            _ = tell.send(future.await);
        });
        told
    }
}

/// What a payment to this node needs.
pub fn offer<M: Watch<InMemorySigner>>(
    to: &Manager<M>,
    msat: u64,
) -> (PaymentHash, RecipientOnionFields) {
    let (hash, secret, _) = to.create_inbound_payment(Some(msat), 7200, None, None).unwrap();
    (hash, RecipientOnionFields::secret_only(secret, msat))
}

impl BroadcasterInterface for Sent {
    fn broadcast_transactions(&self, txs: &[(&Transaction, TransactionType)]) {
        self.0.lock().unwrap().extend(txs.iter().map(|(tx, _)| (*tx).clone()));
    }
}
