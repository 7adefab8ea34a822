//! A node whose wallet is in a cloud, its peer, and what befalls them.

use std::{
    collections::HashSet,
    ops::AddAssign,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use cloud::{
    CloudBackend, CloudError, MemCloud,
    testing::{Failure, FlakyCloud, Weather},
};
use kv_core::testing::Random;
use kv_ldk::{
    ManagerVerdict, OpenError, ReadArgs, ReplicatedPersister, StrongroomStore, Verdict,
    verify_channels,
};
use kv_mem::{Medium, MemStore};
use lightning::{
    bitcoin::{BlockHash, Transaction},
    chain::channelmonitor::ChannelMonitor,
    events::{ClosureReason, Event},
    ln::{msgs::MessageSendEvent, types::ChannelId},
    sign::InMemorySigner,
    util::{
        persist::{KVStoreSync, read_channel_monitors},
        ser::Writeable,
    },
};
use wallet_persistence::{KvStore, RootSecret, Session, Settings, WalletPersistence};

use crate::common::small::{self, Parts, Persister, Quiet, Small, hidden_number};

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
    outcome: Outcome,
}

/// A device on which the node runs.
pub(crate) struct Device {
    pub(crate) session: Session,
    local: StrongroomStore,
    pub(crate) persister: Arc<ReplicatedPersister>,
    pub(crate) node: Small,
    waited: bool,
}

type Read = Vec<(BlockHash, ChannelMonitor<InMemorySigner>)>;

/// The next completed update, if there is one now.
pub(crate) fn next(
    persister: &ReplicatedPersister,
) -> Option<Result<(ChannelId, u64), kv_core::Error>> {
    match pin!(persister.next_completed()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
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
        small::mine_funding(&device.node, &self.peer);
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

    /// With the channel, if LDK keeps it: 0.2 closes it where the manager is older than the monitor.
    fn go_on(&mut self, device: Device) -> Option<Device> {
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
    fn verify(&self) {
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
        let left = session.not_yet_replicated().unwrap();
        let waited = left.is_some();
        let persister = match ReplicatedPersister::open(replicated.clone(), left) {
            Ok(persister) => persister,
            Err(OpenError::NotYetReplicated { lag }) => {
                assert!(lag.records > 0);
                session.post_backup().await.unwrap();
                let left = session.not_yet_replicated().unwrap();
                ReplicatedPersister::open_when_replicated(replicated, left).await.unwrap()
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
    fn complete(&self) -> bool {
        let mut any = false;
        while let Some(outcome) = next(&self.persister) {
            let (channel, update) = outcome.unwrap();
            self.node.monitors.channel_monitor_updated(channel, update).unwrap();
            any = true;
        }
        any
    }

    fn store_manager(&self) {
        if self.node.manager.get_and_clear_needs_persistence() {
            KVStoreSync::write(&self.local, "", "", "manager", self.node.manager.encode()).unwrap();
        }
    }
}
