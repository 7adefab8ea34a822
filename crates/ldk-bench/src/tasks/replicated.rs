//! A node that waits for a distant cloud before any of its channels goes on.

use std::{
    collections::HashMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bench_report::Result;
use cloud::{CloudBackend, MemCloud};
use kv_core::{Batch, Key, KvStore, Namespace};
use kv_fs::FsStore;
use kv_ldk::{ReplicatedPersister, StrongroomStore};
use lightning::{
    events::Event,
    ln::{channelmanager::PaymentId, types::ChannelId},
    util::{
        persist::{KVStore, KVStoreSync, read_channel_monitors},
        ser::Writeable,
    },
};
use serde::{Deserialize, Serialize};
use tokio::{runtime::Runtime, time::timeout};
use wallet_persistence::{RootSecret, Session, WalletPersistence};

use super::latency::Distant;
use crate::{
    bench::entries,
    network::{self, SEEDS, channels, failed},
    small::{Parts, Small, connect},
};

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Replicated {
    /// How many channels there were.
    pub(crate) channels: usize,
    /// Milliseconds until the cloud has a small change, while nothing else happens.
    pub(crate) alone_ms: f64,
    /// Payments per second over one channel, while the others rest.
    pub(crate) one: f64,
    /// Payments per second over all channels together.
    pub(crate) all: f64,
    /// Monitor updates for each payment.
    pub(crate) updates: f64,
}

pub(super) fn run(
    image: &Path,
    folder: &Path,
    payments: usize,
    latency_ms: u64,
) -> Result<Replicated> {
    Runtime::new()?.block_on(measure(image, folder, payments, Duration::from_millis(latency_ms)))
}

async fn measure(
    image: &Path,
    folder: &Path,
    payments: usize,
    latency: Duration,
) -> Result<Replicated> {
    let cloud: Arc<dyn CloudBackend> = Arc::new(MemCloud::new());
    let cloud = Arc::new(Distant { cloud, latency });
    let wallet = WalletPersistence::builder(folder.join("wallet")).cloud(cloud).build();
    let session = wallet.create(&RootSecret::from_bytes([7; 32])).await?;
    let pair = Pair::load(&session, image, &folder.join("peer")).await?;
    // Both look first what the other one has.
    pair.settle().await?;
    let all = channels(&pair.node);
    if all.is_empty() {
        return Err("no channel can be used".into());
    }
    let alone_ms = alone(&session).await?;
    let (one, _) = pair.pay(all.get(..1).unwrap_or_default(), payments).await?;
    let (together, updates) = pair.pay(&all, payments).await?;
    drop(pair);
    session.lock().await?;
    Ok(Replicated { channels: all.len(), alone_ms, one, all: together, updates })
}

/// Milliseconds of one change, the median of some.
async fn alone(session: &Session) -> Result<f64> {
    let kv = session.kv_replicated()?;
    let (ns, key) = (Namespace::new("bench", "")?, Key::new("alone")?);
    let mut times = Vec::new();
    for n in 0..7_u8 {
        let begun = Instant::now();
        kv.submit(Batch::new().put(&ns, &key, vec![n; 100])).await?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
}

/// The node that is measured, and its peer, which only waits for its disk.
struct Pair {
    node: Small,
    persister: Arc<ReplicatedPersister>,
    local: StrongroomStore,
    peer: Small,
}

impl Pair {
    async fn load(session: &Session, image: &Path, peer: &Path) -> Result<Self> {
        let [seed_a, seed_b] = SEEDS;
        let local = StrongroomStore::new(session.kv()?);
        for (primary, key, value) in entries(&image.join("a"))? {
            KVStore::write(&local, &primary, "", &key, value).await.map_err(failed)?;
        }
        session.post_backup().await?;
        let replicated = session.kv_replicated()?;
        let persister = Arc::new(ReplicatedPersister::open_when_replicated(replicated).await?);
        let parts = Parts::new(&seed_a);
        let keys = &*parts.keys;
        let read = persister.read_channel_monitors(keys, keys, &*parts.sent, &*parts.fees);
        let read = read.map_err(failed)?;
        let manager = KVStoreSync::read(&local, "", "", "manager").map_err(failed)?;
        let node = Small::load(parts, persister.clone(), &manager, read).map_err(failed)?;

        let store = FsStore::open(peer, kv_fs::Settings::default())?;
        let store = StrongroomStore::new(Arc::new(store) as Arc<dyn KvStore>);
        for (primary, key, value) in entries(&image.join("b"))? {
            KVStoreSync::write(&store, &primary, "", &key, value).map_err(failed)?;
        }
        let parts = Parts::new(&seed_b);
        let keys = parts.keys.clone();
        let read = read_channel_monitors(&store, keys.clone(), keys).map_err(failed)?;
        let manager = KVStoreSync::read(&store, "", "", "manager").map_err(failed)?;
        let peer = Small::load(parts, Arc::new(store), &manager, read).map_err(failed)?;
        connect(&node, &peer);
        Ok(Self { node, persister, local, peer })
    }

    /// So many payments over each of these channels, one after the other over each, and all channels
    /// together: payments per second, and monitor updates for each.
    async fn pay(&self, channels: &[ChannelId], each: usize) -> Result<(f64, f64)> {
        self.settle().await?;
        let mut left: HashMap<ChannelId, usize> = channels.iter().map(|id| (*id, each)).collect();
        let mut under_way: HashMap<PaymentId, ChannelId> = HashMap::new();
        let (mut updates, begun) = (0, Instant::now());
        for channel in channels {
            under_way.insert(self.offer(*channel, each)?, *channel);
        }
        let mut waiting: Vec<ChannelId> = Vec::new();
        while !under_way.is_empty() || !waiting.is_empty() {
            let any = self.step().await?;
            // Who has been paid can pay only once the state with it has replaced the one before.
            for channel in std::mem::take(&mut waiting) {
                let left = left.get(&channel).copied().unwrap_or_default();
                match self.can_offer(channel, left) {
                    true => drop(under_way.insert(self.offer(channel, left)?, channel)),
                    false => waiting.push(channel),
                }
            }
            for id in self.arrived()? {
                let Some(channel) = under_way.remove(&id) else { continue };
                let left = left.entry(channel).or_default();
                *left = left.saturating_sub(1);
                if *left > 0 {
                    waiting.push(channel);
                }
            }
            updates += self.complete(!any).await?;
        }
        let paid = (channels.len() * each) as f64;
        Ok((paid / begun.elapsed().as_secs_f64(), f64::from(updates) / paid))
    }

    fn can_offer(&self, channel: ChannelId, left: usize) -> bool {
        let from = if left.is_multiple_of(2) { &self.node } else { &self.peer };
        let all = from.manager.list_usable_channels();
        let mut all = all.iter().filter(|one| one.channel_id == channel);
        all.any(|one| {
            let (least, most) =
                (one.next_outbound_htlc_minimum_msat, one.next_outbound_htlc_limit_msat);
            (least..=most).contains(&network::MSAT)
        })
    }

    /// There and back.
    fn offer(&self, channel: ChannelId, left: usize) -> Result<PaymentId> {
        match left % 2 {
            0 => network::pay(&self.node, &self.peer, channel),
            _ => network::pay(&self.peer, &self.node, channel),
        }
    }

    async fn step(&self) -> Result<bool> {
        self.node.handle_events();
        self.peer.handle_events();
        let mut any = self.node.deliver(&self.peer, |_| ());
        any |= self.peer.deliver(&self.node, |_| ());
        if self.node.manager.get_and_clear_needs_persistence() {
            let manager = self.node.manager.encode();
            KVStore::write(&self.local, "", "", "manager", manager).await.map_err(failed)?;
        }
        Ok(any)
    }

    /// Tells LDK what the cloud has; waits for something, if there is nothing else to do.
    async fn complete(&self, wait: bool) -> Result<u32> {
        let mut updates = 0;
        let mut patience = if wait { Duration::from_millis(20) } else { Duration::ZERO };
        while let Ok(next) = timeout(patience, self.persister.next_completed()).await {
            let (channel, update) = next?;
            self.node.monitors.channel_monitor_updated(channel, update).map_err(failed)?;
            updates += 1;
            patience = Duration::ZERO;
        }
        Ok(updates)
    }

    /// The payments that have arrived since this was asked last.
    fn arrived(&self) -> Result<Vec<PaymentId>> {
        let mut arrived = Vec::new();
        for node in [&self.node, &self.peer] {
            for event in std::mem::take(&mut *node.told.lock().map_err(failed)?) {
                match event {
                    Event::PaymentSent { payment_id, .. } => arrived.extend(payment_id),
                    Event::PaymentPathFailed { failure, .. } => {
                        return Err(format!("a payment has failed: {failure:?}").into());
                    }
                    Event::PaymentFailed { reason, .. } => {
                        return Err(format!("a payment has failed: {reason:?}").into());
                    }
                    _ => {}
                }
            }
        }
        Ok(arrived)
    }

    /// Until nothing is under way.
    async fn settle(&self) -> Result<()> {
        let mut idle = 0;
        while idle < 2 || self.persister.waiting() > 0 {
            let any = self.step().await? | (self.complete(true).await? > 0);
            idle = if any { 0 } else { idle + 1 };
        }
        Ok(())
    }
}
