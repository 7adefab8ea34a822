//! A node whose wallet is in a cloud, its peer, and what befalls them.

use std::{collections::HashSet, ops::AddAssign, sync::Arc};

use cloud::{
    CloudBackend, CloudError, MemCloud,
    testing::{Failure, FlakyCloud, Weather},
};
use kv_core::testing::Random;
use kv_ldk::StrongroomStore;
use kv_mem::{Medium, MemStore};
use lightning::{
    bitcoin::Transaction,
    events::{ClosureReason, Event},
    ln::msgs::MessageSendEvent,
};
use wallet_persistence::{KvStore, RootSecret, Session, Settings, WalletPersistence};

use crate::{
    common::small::{self, Parts, Quiet, Small, hidden_number},
    device::{Device, Read, Restored},
};

/// When an update of a monitor counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeps {
    InTheCloud,
    OnTheDevice,
}

/// What happened in a run.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) paid: u64,
    pub(crate) killed: u64,
    /// Disks.
    pub(crate) lost: u64,
    /// Starts that had to wait for the cloud first.
    pub(crate) waited: u64,
    /// Channels that LDK closed since its manager was older than the monitor.
    pub(crate) closed: u64,
}

impl AddAssign for Outcome {
    fn add_assign(&mut self, more: Self) {
        self.paid += more.paid;
        self.killed += more.killed;
        self.lost += more.lost;
        self.waited += more.waited;
        self.closed += more.closed;
    }
}

pub(crate) struct World {
    root: RootSecret,
    keeps: Keeps,
    random: Random,
    medium: Medium,
    cloud: Arc<MemCloud>,
    weather: Arc<Weather>,
    pub(crate) peer: Small,
    /// The secrets of the states that the node has told its peer it will never use again.
    secrets: HashSet<[u8; 32]>,
    /// The first commitment transaction: what hides the numbers of the others.
    first: Option<u64>,
    /// What opened the channel, in the one block there is.
    funding: Option<Transaction>,
    outcome: Outcome,
}

impl World {
    pub(crate) fn new(seed: u64, keeps: Keeps) -> Self {
        let local = StrongroomStore::new(Arc::new(MemStore::new()));
        let mut random = Random::seeded(seed);
        let weather = Weather::fair();
        // Not to be tried again by the cloud's own retries, which take their time.
        let source = Arc::new(std::io::Error::other("injected"));
        weather.answer(CloudError::Unauthorized { source });
        let mut root = [0; 32];
        root.copy_from_slice(&random.bytes(32));
        Self {
            root: RootSecret::from_bytes(root),
            keeps,
            random,
            medium: Medium::default(),
            cloud: Arc::new(MemCloud::new()),
            weather,
            peer: Small::new(Parts::new(&[2; 32]), Arc::new(local)),
            secrets: HashSet::new(),
            first: None,
            funding: None,
            outcome: Outcome::default(),
        }
    }

    fn wallet(&self) -> WalletPersistence {
        let medium = self.medium.clone();
        let open = move || Ok(Arc::new(MemStore::open(medium.clone())?) as Arc<dyn KvStore>);
        let cloud: Arc<dyn CloudBackend> = self.cloud.clone();
        let cloud = Arc::new(FlakyCloud::new(cloud, self.weather.clone()));
        let mut settings = Settings::default();
        settings.replicate_every = None;
        WalletPersistence::over(open).cloud(cloud).settings(settings).build()
    }

    /// A new wallet, and a node with a channel.
    pub(crate) async fn first_device(&mut self) -> Device {
        let session = self.wallet().create(&self.root).await.unwrap();
        let mut device = Device::start(session, self.keeps).await;
        small::ask_for_channel(&device.node, &self.peer);
        self.settle(&mut device).await;
        self.funding = Some(small::mine_funding(&device.node, &self.peer));
        self.settle(&mut device).await;
        assert_eq!(device.node.manager.list_usable_channels().len(), 1);
        let read = device.read_monitors();
        let (_, monitor) = &read[0];
        let txs = monitor.unsafe_get_latest_holder_commitment_txn(&Arc::new(Quiet));
        self.first = Some(hidden_number(&txs[0]));
        device
    }

    /// How many states the peer may punish.
    pub(crate) fn revoked(&self) -> u64 {
        self.secrets.len() as u64
    }

    fn number(&self, tx: &Transaction) -> u64 {
        hidden_number(tx) ^ self.first.unwrap()
    }

    /// The number of the state that a node with these monitors would publish.
    pub(crate) fn newest_state(&self, read: &Read) -> u64 {
        let (_, monitor) = &read[0];
        let txs = monitor.unsafe_get_latest_holder_commitment_txn(&Arc::new(Quiet));
        self.number(&txs[0])
    }

    /// A new line to the peer, and what both have to say about the channel then.
    pub(crate) fn reconnect(&mut self, device: &Device) {
        small::connect(&device.node, &self.peer);
        while self.deliver_both(device) {}
    }

    /// The wallet on a new device, from the words and the cloud alone.
    pub(crate) async fn restored_without_takeover(&mut self) -> Session {
        self.medium = Medium::default();
        let wallet = self.wallet();
        wallet.restore(&self.root, |_| ()).await.unwrap();
        wallet.unlock(&self.root).await.unwrap()
    }

    pub(crate) async fn restored(&mut self) -> Restored {
        let session = self.restored_without_takeover().await;
        session.take_over().await.unwrap();
        Restored { session }
    }

    fn deliver_both(&mut self, device: &Device) -> bool {
        let secrets = &mut self.secrets;
        let mut any = device.node.deliver(&self.peer, |message| {
            if let MessageSendEvent::SendRevokeAndACK { msg, .. } = message {
                secrets.insert(msg.per_commitment_secret);
            }
        });
        any |= self.peer.deliver(&device.node, |_| ());
        any
    }

    /// In fair weather, until nobody has anything to say.
    pub(crate) async fn settle(&mut self, device: &mut Device) {
        self.settle_and(device, |_| ()).await;
    }

    /// The same; `see` sees the peer after each exchange of messages.
    pub(crate) async fn settle_and(&mut self, device: &mut Device, mut see: impl FnMut(&Small)) {
        self.weather.clear_up();
        let mut idle = 0;
        while idle < 2 {
            device.node.handle_events();
            self.peer.handle_events();
            let mut any = self.deliver_both(device);
            see(&self.peer);
            if self.keeps == Keeps::InTheCloud {
                device.session.post_backup().await.unwrap();
                any |= device.complete();
            }
            idle = if any { 0 } else { idle + 1 };
        }
        device.store_manager();
    }

    /// One of the things that may happen next.
    async fn step(&mut self, device: &mut Device) {
        match self.random.below(10) {
            0 => device.node.handle_events(),
            1 => self.peer.handle_events(),
            2..5 => _ = self.deliver_both(device),
            5 => match self.random.below(4) {
                0 => self.weather.fail_from(1, Failure::Lost),
                1 => self.weather.fail_from(1, Failure::AnswerLost),
                2 => {
                    let nth = 1 + self.random.below(8);
                    self.weather.fail_nth(nth, Failure::AnswerLost);
                }
                _ => self.weather.clear_up(),
            },
            // The cloud may be away.
            6..8 => _ = device.session.post_backup().await,
            8 => _ = device.complete(),
            _ => device.store_manager(),
        }
    }

    /// Payments in both directions, and what befalls the node between any two steps. When LDK has
    /// closed the channel, another wallet and another node go on.
    pub(crate) async fn live(mut self, payments: u64) -> Outcome {
        let mut device = self.first_device().await;
        for _ in 0..payments {
            let msat = 1_000 * (1 + self.random.below(20_000));
            let usable = |node: &Small| node.manager.list_usable_channels().len() == 1;
            if usable(&device.node) && usable(&self.peer) {
                // Refused where too much is under way.
                _ = if self.random.below(3) > 0 {
                    device.node.try_to_pay(&self.peer, msat)
                } else {
                    self.peer.try_to_pay(&device.node, msat)
                };
            }
            for _ in 0..self.random.below(40) {
                self.step(&mut device).await;
            }
            let goes_on = match self.random.below(10) {
                0..2 => self.kill(device).await,
                2 => self.lose(device).await,
                3..7 => {
                    self.settle(&mut device).await;
                    Some(device)
                }
                _ => Some(device),
            };
            device = match goes_on {
                Some(device) => device,
                None => {
                    self.outcome.paid += self.peer.paid() as u64;
                    let outcome = self.outcome;
                    self = Self::new(self.random.draw(), self.keeps);
                    self.outcome = outcome;
                    self.first_device().await
                }
            };
        }
        self.settle(&mut device).await;
        self.outcome.paid += self.peer.paid() as u64;
        self.lose(device).await;
        self.outcome
    }

    /// The process is killed; the disk is as it was.
    async fn kill(&mut self, device: Device) -> Option<Device> {
        self.outcome.killed += 1;
        self.outcome.paid += device.node.paid() as u64;
        self.medium.crash();
        drop(device);
        let session = self.wallet().unlock(&self.root).await.unwrap();
        if session.not_yet_replicated().unwrap().is_some() {
            self.weather.clear_up();
        }
        let device = Device::start(session, self.keeps).await;
        self.outcome.waited += u64::from(device.waited);
        self.go_on(device)
    }

    /// The device is gone; another one takes over.
    async fn lose(&mut self, device: Device) -> Option<Device> {
        self.outcome.lost += 1;
        self.outcome.paid += device.node.paid() as u64;
        drop(device);
        self.weather.clear_up();
        let restored = self.restored().await;
        let newest = self.newest_state(&restored.read_monitors());
        assert!(newest >= self.revoked(), "{newest} is revoked: {} are", self.revoked());
        restored.verify();
        let device = Device::start(restored.session, self.keeps).await;
        self.go_on(device)
    }

    /// As every node does at a start: its manager may have been stored before the block came.
    fn look_at_the_chain(&self, device: &Device) {
        let node = &device.node;
        if node.manager.current_best_block().height == 0 {
            small::mine(1, self.funding.as_slice(), &[&*node.monitors, &node.manager]);
        }
    }

    /// With the channel, if LDK keeps it: 0.2 closes it where the manager is older than the monitor.
    fn go_on(&mut self, device: Device) -> Option<Device> {
        self.look_at_the_chain(&device);
        device.node.handle_events();
        let told = device.node.told.lock().unwrap();
        let mut open = true;
        for event in told.iter() {
            if let Event::ChannelClosed { reason, .. } = event {
                assert_eq!(*reason, ClosureReason::OutdatedChannelManager);
                open = false;
            }
        }
        drop(told);
        if open {
            self.reconnect(&device);
            return Some(device);
        }
        self.outcome.closed += 1;
        let sent = device.node.parts.sent.0.lock().unwrap();
        assert!(!sent.is_empty(), "the newest state is published");
        let number = self.number(&sent[0]);
        assert!(number >= self.revoked(), "{number} is revoked: {} are", self.revoked());
        None
    }
}
