//! A Lightning node on LDK that does not lose its channels with its device: the wiring of the guide.
//!
//! `cargo run -p kv-ldk --example node` makes one in memory, ends it, and starts it again.
//! With `-- ask FOLDER` it opens the wallet that is there and tells what would become of its channels; with
//! `-- start FOLDER` it also starts its node, for a moment.

#![expect(clippy::print_stdout, reason = "an example for people at a terminal")]

use std::{
    env,
    error::Error,
    fmt::Display,
    fs,
    sync::{Arc, RwLock},
    time::Duration,
};

use cloud::MemCloud;
use kv_ldk::{ChannelsReport, ReadArgs, ReplicatedPersister, StrongroomStore, verify_channels};
use lightning::{
    bitcoin::{BlockHash, Network, Transaction},
    chain::{
        BestBlock, Filter,
        chaininterface::{BroadcasterInterface, ConfirmationTarget, FeeEstimator},
        chainmonitor::ChainMonitor,
    },
    events::{Event, EventsProvider, ReplayEvent},
    io::ErrorKind,
    ln::channelmanager::{
        ChainParameters, ChannelManager, ChannelManagerReadArgs, SimpleArcChannelManager,
    },
    onion_message::messenger::DefaultMessageRouter,
    routing::{
        gossip::NetworkGraph,
        router::DefaultRouter,
        scoring::{
            ProbabilisticScorer, ProbabilisticScoringDecayParameters,
            ProbabilisticScoringFeeParameters,
        },
    },
    sign::{InMemorySigner, KeysManager, NodeSigner},
    util::{
        config::UserConfig,
        logger::{Logger, Record},
        persist::{KVStore, KVStoreSync},
        ser::{ReadableArgs, Writeable},
    },
};
use wallet_persistence::{Clock, RootSecret, Session, SystemClock, WalletPersistence, Words};

type Failure = Box<dyn Error>;

/// LDK's errors are none of the standard library's.
fn failed(error: impl Display) -> Failure {
    error.to_string().into()
}

/// The connection to the Bitcoin network: yours. Here nothing is sent and nothing is said.
pub(crate) struct Chain;

impl BroadcasterInterface for Chain {
    fn broadcast_transactions(&self, _: &[&Transaction]) {}
}

impl FeeEstimator for Chain {
    fn get_est_sat_per_1000_weight(&self, _: ConfirmationTarget) -> u32 {
        253
    }
}

impl Logger for Chain {
    fn log(&self, _: Record) {}
}

// ANCHOR: wiring
type Graph = NetworkGraph<Arc<Chain>>;
type Scorer = ProbabilisticScorer<Arc<Graph>, Arc<Chain>>;
type Source = Arc<dyn Filter + Send + Sync>;
type C = Arc<Chain>;
type P = Arc<ReplicatedPersister>;
type Monitors = ChainMonitor<InMemorySigner, Source, C, C, C, P, Arc<KeysManager>>;
type Manager = SimpleArcChannelManager<Monitors, Chain, Chain, Chain>;

/// The node with what the wallet holds, or a new one.
#[rustfmt::skip] // LDK's calls have a dozen arguments, which need no line each.
pub(crate) async fn start(session: &Session, chain: &C) -> Result<Node, Failure> {
    // Here a node without Strongroom makes its `FilesystemStore`.
    let store = StrongroomStore::new(session.kv()?);
    // Waits for the cloud, if it lacks something that this device had when it was switched off.
    let replicated = session.kv_replicated()?;
    let persister = Arc::new(ReplicatedPersister::open_when_replicated(replicated).await?);

    // The words alone bring these keys back, unless the node was there before its wallet.
    let seed = store.seed_or(session.app_key("ldk-seed")?.as_bytes()).map_err(failed)?;
    let now = SystemClock.now().0;
    let keys = Arc::new(KeysManager::new(&seed, now / 1000, now as u32, true));
    let (c, k) = (|| chain.clone(), || keys.clone());

    let graph = Arc::new(match stored(&store, "network_graph")? {
        Some(bytes) => Graph::read(&mut &bytes[..], c()).map_err(failed)?,
        None => Graph::new(Network::Testnet, c()),
    });
    let decay = ProbabilisticScoringDecayParameters::default();
    let scorer = Arc::new(RwLock::new(match stored(&store, "scorer")? {
        Some(bytes) => Scorer::read(&mut &bytes[..], (decay, graph.clone(), c())).map_err(failed)?,
        None => Scorer::new(decay, graph.clone(), c()),
    }));
    let fees = ProbabilisticScoringFeeParameters::default();
    let router = Arc::new(DefaultRouter::new(graph.clone(), c(), k(), scorer.clone(), fees));
    let messages = Arc::new(DefaultMessageRouter::new(graph.clone(), k()));

    let (config, inbox) = (UserConfig::default(), keys.get_peer_storage_key());
    let monitors = ChainMonitor::new(None, c(), c(), c(), persister.clone(), k(), inbox);
    let monitors: Arc<Monitors> = Arc::new(monitors);
    let read = persister.read_channel_monitors(&*keys, &*keys, c(), c()).map_err(failed)?;
    let m = monitors.clone();
    let manager: Manager = if let Some(bytes) = stored(&store, "manager")? {
        let all = read.iter().map(|(_, monitor)| monitor).collect();
        let args = ChannelManagerReadArgs::new(
            k(), k(), k(), c(), m, c(), router, messages, c(), config, all,
        );
        <(BlockHash, Manager)>::read(&mut &bytes[..], args).map_err(failed)?.1
    } else {
        let (network, time) = (Network::Testnet, (now / 1000) as u32);
        let chain = ChainParameters { network, best_block: BestBlock::from_network(network) };
        ChannelManager::new(c(), m, c(), router, messages, c(), k(), k(), k(), config, chain, time)
    };
    for (_, monitor) in read {
        let loaded = monitors.load_existing_monitor(monitor.channel_id(), monitor);
        loaded.map_err(|()| "a monitor is there twice")?;
    }
    Ok(Node { store, persister, monitors, manager: Arc::new(manager), graph, scorer })
}
// ANCHOR_END: wiring

pub(crate) struct Node {
    pub(crate) store: StrongroomStore,
    pub(crate) persister: Arc<ReplicatedPersister>,
    pub(crate) monitors: Arc<Monitors>,
    pub(crate) manager: Arc<Manager>,
    pub(crate) graph: Arc<Graph>,
    pub(crate) scorer: Arc<RwLock<Scorer>>,
}

/// What lies under one of LDK's names, if something does.
fn stored(store: &StrongroomStore, key: &str) -> Result<Option<Vec<u8>>, Failure> {
    match KVStoreSync::read(store, "", "", key) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

impl Node {
    // ANCHOR: run
    /// Tells LDK what the cloud has. Ends when the store has failed: then end the node.
    pub(crate) async fn pass_on(&self) -> Result<(), Failure> {
        loop {
            let (channel, update) = self.persister.next_completed().await?;
            // Nothing waits for a channel whose monitor was archived meanwhile.
            _ = self.monitors.channel_monitor_updated(channel, update);
        }
    }

    /// Acts upon what happens, and stores the manager when it has changed. Ends with an error.
    pub(crate) async fn run(&self) -> Result<(), Failure> {
        let mut minute = tokio::time::interval(Duration::from_secs(60));
        loop {
            self.step().await?;
            tokio::select! {
                () = self.manager.get_event_or_persistence_needed_future() => {}
                // Also that the cloud has a monitor, which the manager does not hear of by itself.
                () = self.monitors.get_update_future() => {}
                _ = minute.tick() => {
                    self.manager.timer_tick_occurred();
                    self.monitors.rebroadcast_pending_claims();
                }
            }
        }
    }

    async fn step(&self) -> Result<(), Failure> {
        // Yours: fund channels, claim payments.
        let handle = |_: Event| Ok::<(), ReplayEvent>(());
        self.manager.process_pending_events(&handle);
        self.monitors.process_pending_events(&handle);
        self.manager.process_pending_htlc_forwards();
        // Yours: `PeerManager::process_events`, which sends what the manager has to say by now.
        if self.manager.get_and_clear_needs_persistence() {
            KVStore::write(&self.store, "", "", "manager", self.manager.encode())
                .await
                .map_err(failed)?;
        }
        Ok(())
    }

    /// Now and then, and before the end: routes are found without them, only worse.
    async fn store_graph_and_scorer(&self) -> Result<(), Failure> {
        KVStore::write(&self.store, "", "", "network_graph", self.graph.encode())
            .await
            .map_err(failed)?;
        let scorer = self.scorer.read().map_err(|_| "the scorer was left half changed")?.encode();
        KVStore::write(&self.store, "", "", "scorer", scorer).await.map_err(failed)
    }
    // ANCHOR_END: run
}

// ANCHOR: open
/// The wallet in a folder; the words that `strongroom init` has printed are in a file.
async fn open(folder: &str, words: &str) -> Result<Session, Failure> {
    let words = Words::parse(fs::read_to_string(words)?.trim())?;
    let wallet = WalletPersistence::builder(folder).build();
    Ok(wallet.unlock(&RootSecret::from_words(&words)).await?)
}
// ANCHOR_END: open

// ANCHOR: ask
/// What would become of each channel if the node were started now.
fn ask(session: &Session, chain: &C) -> Result<ChannelsReport, Failure> {
    let store = StrongroomStore::new(session.kv()?);
    let seed = store.seed_or(session.app_key("ldk-seed")?.as_bytes()).map_err(failed)?;
    let keys = Arc::new(KeysManager::new(&seed, 0, 0, true));
    // LDK wants to have them, and does not ask them.
    let graph = Arc::new(Graph::new(Network::Testnet, chain.clone()));
    let decay = ProbabilisticScoringDecayParameters::default();
    let scorer = Arc::new(RwLock::new(Scorer::new(decay, graph.clone(), chain.clone())));
    let fees = ProbabilisticScoringFeeParameters::default();
    let args = ReadArgs {
        entropy_source: keys.clone(),
        node_signer: keys.clone(),
        signer_provider: keys.clone(),
        fee_estimator: chain.clone(),
        router: &DefaultRouter::new(graph.clone(), chain.clone(), keys.clone(), scorer, fees),
        message_router: &DefaultMessageRouter::new(graph, keys),
        config: UserConfig::default(),
    };
    verify_channels(&store, args).map_err(failed)
}
// ANCHOR_END: ask

/// Tells what would become of the channels; an error unless each goes on.
fn tell(session: &Session, chain: &C) -> Result<(), Failure> {
    let report = ask(session, chain)?;
    println!("manager: {:?}, {} channels", report.manager, report.channels.len());
    for channel in &report.channels {
        println!("{:?}: {:?} {:?}", channel.channel, channel.verdict, channel.said);
    }
    if report.is_fine() { Ok(()) } else { Err("not every channel would go on".into()) }
}

/// Starts the node of a wallet, and ends it with its manager stored and backed up.
async fn visit(session: &Session, chain: &C) -> Result<(), Failure> {
    let node = start(session, chain).await?;
    node.step().await?;
    KVStore::write(&node.store, "", "", "manager", node.manager.encode()).await.map_err(failed)?;
    println!("node {}", node.manager.get_our_node_id());
    println!("{} changes backed up", session.post_backup().await?.sequence);
    Ok(())
}

/// A node is made, ends, and starts again with what it was.
pub(crate) async fn live() -> Result<(), Failure> {
    let wallet = WalletPersistence::in_memory().cloud(Arc::new(MemCloud::new())).build();
    let session = wallet.create(&RootSecret::from_bytes([7; 32])).await?;
    let chain = Arc::new(Chain);
    let node = start(&session, &chain).await?;
    let before = node.manager.get_our_node_id();
    node.step().await?;
    KVStore::write(&node.store, "", "", "manager", node.manager.encode()).await.map_err(failed)?;
    node.store_graph_and_scorer().await?;
    // For as long as the node lives.
    tokio::select! {
        ended = node.run() => ended?,
        ended = node.pass_on() => ended?,
        report = session.post_backup() => println!("{} changes backed up", report?.sequence),
    }
    drop(node);
    tell(&session, &chain)?;
    let node = start(&session, &chain).await?;
    let after = node.manager.get_our_node_id();
    println!("node {before}, and after its end {after}");
    if before != after {
        return Err("another node".into());
    }
    Ok(session.lock().await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut args = env::args().skip(1);
    let (Some(what), Some(folder)) = (args.next(), args.next()) else { return live().await };
    let words = env::var("STRONGROOM_MNEMONIC_FILE")
        .map_err(|_| "STRONGROOM_MNEMONIC_FILE names no file with the words")?;
    let session = open(&folder, &words).await?;
    let chain = Arc::new(Chain);
    let mut outcome = tell(&session, &chain);
    if outcome.is_ok() && what == "start" {
        outcome = visit(&session, &chain).await;
    }
    session.lock().await?;
    outcome
}
