//! A device with the wallet, and the node on it.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use kv_ldk::{
    ManagerVerdict, OpenError, ReadArgs, ReplicatedPersister, StrongroomStore, Verdict,
    verify_channels,
};
use lightning::{
    bitcoin::BlockHash,
    chain::channelmonitor::ChannelMonitor,
    ln::types::ChannelId,
    sign::InMemorySigner,
    util::{
        persist::{KVStoreSync, read_channel_monitors},
        ser::Writeable,
    },
};
use wallet_persistence::Session;

use crate::{
    common::small::{Parts, Persister, Small},
    world::Keeps,
};

/// A device on which the node runs.
pub(crate) struct Device {
    pub(crate) session: Session,
    local: StrongroomStore,
    pub(crate) persister: Arc<ReplicatedPersister>,
    pub(crate) node: Small,
    /// Whether it had to wait for the cloud first.
    pub(crate) waited: bool,
}

pub(crate) type Read = Vec<(BlockHash, ChannelMonitor<InMemorySigner>)>;

/// The next completed update, if there is one now.
pub(crate) fn next(
    persister: &ReplicatedPersister,
) -> Option<Result<(ChannelId, u64), kv_core::Error>> {
    match pin!(persister.next_completed()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

/// A wallet on a new device before its node is started.
pub(crate) struct Restored {
    pub(crate) session: Session,
}

fn parts(session: &Session) -> Parts {
    // The words alone bring the node's keys back.
    Parts::new(session.app_key("ldk-seed").unwrap().as_bytes())
}

impl Restored {
    pub(crate) fn read_monitors(&self) -> Read {
        let local = StrongroomStore::new(self.session.kv().unwrap());
        let keys = parts(&self.session).keys;
        read_channel_monitors(&local, keys.clone(), keys).unwrap()
    }

    /// Manager and monitors are of one cut: nothing is unreadable.
    pub(crate) fn verify(&self) {
        let local = StrongroomStore::new(self.session.kv().unwrap());
        let parts = parts(&self.session);
        let args = ReadArgs {
            entropy_source: parts.keys.clone(),
            node_signer: parts.keys.clone(),
            signer_provider: parts.keys,
            fee_estimator: parts.fees,
            router: parts.router,
            message_router: parts.message_router,
            config: parts.config,
        };
        let report = verify_channels(&local, args).unwrap();
        assert_eq!(report.manager, ManagerVerdict::Loads, "{report:?}");
        let whole = |verdict| !matches!(verdict, Verdict::Unreadable | Verdict::NotReached);
        assert!(report.channels.iter().all(|channel| whole(channel.verdict)), "{report:?}");
    }
}

impl Device {
    /// The node with what the wallet has, new if that is nothing.
    pub(crate) async fn start(session: Session, keeps: Keeps) -> Self {
        let local = StrongroomStore::new(session.kv().unwrap());
        let replicated = session.kv_replicated().unwrap();
        let mut waited = false;
        let persister = match ReplicatedPersister::open(replicated.clone()) {
            Ok(persister) => persister,
            Err(OpenError::NotYetReplicated { lag }) => {
                assert!(lag.records > 0);
                waited = true;
                session.post_backup().await.unwrap();
                ReplicatedPersister::open_when_replicated(replicated).await.unwrap()
            }
            Err(error) => panic!("{error}"),
        };
        let persister = Arc::new(persister);
        let chosen: Arc<Persister> = match keeps {
            Keeps::InTheCloud => persister.clone(),
            Keeps::OnTheDevice => Arc::new(local.clone()),
        };
        let parts = parts(&session);
        let node = match KVStoreSync::read(&local, "", "", "manager") {
            Ok(manager) => {
                let keys = parts.keys.clone();
                let read = read_channel_monitors(&local, keys.clone(), keys).unwrap();
                Small::load(parts, chosen, &manager, read).unwrap()
            }
            Err(_) => Small::new(parts, chosen),
        };
        Self { session, local, persister, node, waited }
    }

    pub(crate) fn read_monitors(&self) -> Read {
        let keys = self.node.parts.keys.clone();
        read_channel_monitors(&self.local, keys.clone(), keys).unwrap()
    }

    /// Tells LDK what the cloud has.
    pub(crate) fn complete(&self) -> bool {
        let mut any = false;
        while let Some(outcome) = next(&self.persister) {
            let (channel, update) = outcome.unwrap();
            self.node.monitors.channel_monitor_updated(channel, update).unwrap();
            any = true;
        }
        any
    }

    pub(crate) fn store_manager(&self) {
        if self.node.manager.get_and_clear_needs_persistence() {
            KVStoreSync::write(&self.local, "", "", "manager", self.node.manager.encode()).unwrap();
        }
    }
}
