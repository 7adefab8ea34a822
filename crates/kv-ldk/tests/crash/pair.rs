//! Two nodes that pay, and the start of the first one from what a crash has left.

use std::sync::Arc;

use kv_core::KvStore;
use kv_ldk::StrongroomStore;
use kv_mem::MemStore;
use lightning::{
    bitcoin::BlockHash,
    chain::channelmonitor::ChannelMonitor,
    events::{ClosureReason, Event},
    ln::msgs::MessageSendEvent,
    sign::InMemorySigner,
    util::{
        persist::{KVStoreSync, read_channel_monitors},
        ser::Writeable,
    },
};

use crate::common::small::{
    Parts, Persister, Quiet, Small, ask_for_channel, hidden_number, mine_funding, updating,
};

const SEED: [u8; 32] = [1; 32];
/// Every so many updates the whole monitor is stored again.
const WHOLE: u64 = 5;

type Read = Vec<(BlockHash, ChannelMonitor<InMemorySigner>)>;

/// How monitors are stored.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keeps {
    Whole,
    /// One by one, and now and then whole.
    Updates,
}

impl Keeps {
    fn persister(self, parts: &Parts, store: &Arc<StrongroomStore>) -> Arc<Persister> {
        match self {
            Self::Whole => store.clone(),
            Self::Updates => Arc::new(updating(parts, store, WHOLE)),
        }
    }

    fn read(self, parts: &Parts, store: &Arc<StrongroomStore>) -> Read {
        match self {
            Self::Whole => {
                let keys = parts.keys.clone();
                read_channel_monitors(store.clone(), keys.clone(), keys).unwrap()
            }
            Self::Updates => {
                updating(parts, store, WHOLE).read_all_channel_monitors_with_updates().unwrap()
            }
        }
    }
}

/// The hidden number of the state that these monitors would publish.
fn number(read: &Read) -> u64 {
    let (_, monitor) = &read[0];
    hidden_number(&monitor.unsafe_get_latest_holder_commitment_txn(&Arc::new(Quiet))[0])
}

/// The first node is the one that crashes.
pub(crate) struct Pair<'a> {
    keeps: Keeps,
    node: Small,
    peer: Small,
    store: Arc<StrongroomStore>,
    /// Called when the peer is about to get the secret of one more state.
    revoke: &'a dyn Fn(),
    /// Called after the writes of each step.
    background: &'a dyn Fn(),
}

impl<'a> Pair<'a> {
    /// With a channel between them.
    pub(crate) fn open(
        keeps: Keeps,
        store: Arc<dyn KvStore>,
        revoke: &'a dyn Fn(),
        background: &'a dyn Fn(),
    ) -> Self {
        let store = Arc::new(StrongroomStore::new(store));
        let parts = Parts::new(&SEED);
        let node = Small::new(parts.clone(), keeps.persister(&parts, &store));
        let others = StrongroomStore::new(Arc::new(MemStore::new()));
        let peer = Small::new(Parts::new(&[2; 32]), Arc::new(others));
        let pair = Self { keeps, node, peer, store, revoke, background };
        ask_for_channel(&pair.node, &pair.peer);
        pair.settle();
        mine_funding(&pair.node, &pair.peer);
        pair.settle();
        assert_eq!(pair.node.manager.list_usable_channels().len(), 1);
        pair
    }

    /// The hidden number of the newest state.
    pub(crate) fn number(&self) -> u64 {
        number(&self.keeps.read(&self.node.parts, &self.store))
    }

    pub(crate) fn pay_both_ways(&self, times: usize) {
        let before = (self.node.paid(), self.peer.paid());
        for _ in 0..times {
            self.node.pay(&self.peer, 3_000_000);
            self.settle();
            self.peer.pay(&self.node, 2_000_000);
            self.settle();
        }
        assert_eq!((self.node.paid(), self.peer.paid()), (before.0 + times, before.1 + times));
    }

    /// Until both have nothing to say; the manager is stored after each step, as LDK's background
    /// processor does it.
    fn settle(&self) {
        let mut idle = 0;
        while idle < 2 {
            self.node.handle_events();
            self.store_manager();
            self.peer.handle_events();
            let mut any = self.node.deliver(&self.peer, |message| {
                if let MessageSendEvent::SendRevokeAndACK { .. } = message {
                    (self.revoke)();
                }
            });
            any |= self.peer.deliver(&self.node, |_| ());
            self.store_manager();
            idle = if any { 0 } else { idle + 1 };
        }
    }

    fn store_manager(&self) {
        if self.node.manager.get_and_clear_needs_persistence() {
            let manager = self.node.manager.encode();
            KVStoreSync::write(&*self.store, "", "", "manager", manager).unwrap();
        }
        (self.background)();
    }
}

/// Starts the first node with what is in the store; so many states are revoked. Whether LDK closes
/// the channel, which it may since the manager is older than the monitor, and for no other reason.
pub(crate) fn load(keeps: Keeps, store: StrongroomStore, number_0: u64, revoked: u64) -> bool {
    let (parts, store) = (Parts::new(&SEED), Arc::new(store));
    let monitors = keeps.read(&parts, &store);
    let newest = number(&monitors) ^ number_0;
    assert!(newest >= revoked, "{newest} comes back, {revoked} are revoked");
    let manager = KVStoreSync::read(&*store, "", "", "manager").unwrap();
    // `DangerousValue` is what must never be.
    let persister = keeps.persister(&parts, &store);
    let node = Small::load(parts.clone(), persister, &manager, monitors).unwrap();
    node.handle_events();
    let told = node.told.lock().unwrap();
    let mut reasons = told.iter().filter_map(|event| match event {
        Event::ChannelClosed { reason, .. } => Some(reason),
        _ => None,
    });
    let sent = parts.sent.0.lock().unwrap();
    let Some(reason) = reasons.next() else {
        assert_eq!(node.manager.list_channels().len(), 1, "it is open");
        assert!(sent.is_empty(), "nothing of an open channel is published");
        return false;
    };
    assert_eq!(*reason, ClosureReason::OutdatedChannelManager);
    let published = hidden_number(&sent[0]) ^ number_0;
    assert!(published >= revoked, "{published} is published, {revoked} are revoked");
    true
}
