//! What a node is made of, and what stands for the world around it.

use std::sync::{
    Arc, Mutex, RwLock,
    atomic::{AtomicU32, Ordering},
};

use super::super::{
    self as of_version, Locator, Tip,
    ldk::{
        bitcoin::{Network, Transaction},
        chain::{
            Filter, Watch,
            chaininterface::{ConfirmationTarget, FeeEstimator},
            chainmonitor::{ChainMonitor, Persist},
            channelmonitor::ChannelMonitor,
        },
        ln::{
            channelmanager::{ChainParameters, ChannelManager, ChannelManagerReadArgs},
            msgs::DecodeError,
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
        sign::{InMemorySigner, KeysManager},
        util::{
            config::UserConfig,
            logger::{Logger, Record},
            ser::ReadableArgs,
        },
    },
};

/// The transactions that were sent.
#[derive(Debug, Default)]
pub struct Sent(pub Mutex<Vec<Transaction>>);

#[derive(Debug)]
pub struct Fees;

impl FeeEstimator for Fees {
    fn get_est_sat_per_1000_weight(&self, _: ConfirmationTarget) -> u32 {
        253
    }
}

#[derive(Debug)]
pub struct Quiet;

impl Logger for Quiet {
    fn log(&self, _: Record) {}
}

pub type Graph = NetworkGraph<Arc<Quiet>>;
pub type Scorer = ProbabilisticScorer<Arc<Graph>, Arc<Quiet>>;
pub type Router = DefaultRouter<
    Arc<Graph>,
    Arc<Quiet>,
    Arc<KeysManager>,
    Arc<RwLock<Scorer>>,
    ProbabilisticScoringFeeParameters,
    Scorer,
>;
pub type MessageRouter = DefaultMessageRouter<Arc<Graph>, Arc<Quiet>, Arc<KeysManager>>;
pub type Persister = dyn Persist<InMemorySigner> + Send + Sync;
pub type Monitors = ChainMonitor<
    InMemorySigner,
    Arc<dyn Filter + Send + Sync>,
    Arc<Sent>,
    Arc<Fees>,
    Arc<Quiet>,
    Arc<Persister>,
    Arc<KeysManager>,
>;
pub type Manager<M> = ChannelManager<
    Arc<M>,
    Arc<Sent>,
    Arc<KeysManager>,
    Arc<KeysManager>,
    Arc<KeysManager>,
    Arc<Fees>,
    Arc<Router>,
    Arc<MessageRouter>,
    Arc<Quiet>,
>;

/// What a node has without any of its state.
#[derive(Clone)]
pub struct Parts {
    pub keys: Arc<KeysManager>,
    pub sent: Arc<Sent>,
    pub fees: Arc<Fees>,
    pub quiet: Arc<Quiet>,
    pub graph: Arc<Graph>,
    pub scorer: Arc<RwLock<Scorer>>,
    pub router: Arc<Router>,
    pub message_router: Arc<MessageRouter>,
    pub config: UserConfig,
}

/// How many nodes have started. As with a clock, the random bytes of a node depend on when it did; a
/// process that goes on with nodes of another one begins with a number of its own.
pub static STARTS: AtomicU32 = AtomicU32::new(0);

impl Parts {
    /// Of a node that knows nobody.
    pub fn new(seed: &[u8; 32]) -> Self {
        let quiet = Arc::new(Quiet);
        let graph = Arc::new(NetworkGraph::new(Network::Testnet, quiet.clone()));
        let decay = ProbabilisticScoringDecayParameters::default();
        let scorer = ProbabilisticScorer::new(decay, graph.clone(), quiet);
        Self::knowing(seed, graph, scorer)
    }

    /// Of a node that knows these ways.
    pub fn knowing(seed: &[u8; 32], graph: Arc<Graph>, scorer: Scorer) -> Self {
        let start = STARTS.fetch_add(1, Ordering::SeqCst);
        let keys = Arc::new(KeysManager::new(seed, 1, start, true));
        let (quiet, scorer) = (Arc::new(Quiet), Arc::new(RwLock::new(scorer)));
        let router = DefaultRouter::new(
            graph.clone(),
            quiet.clone(),
            keys.clone(),
            scorer.clone(),
            ProbabilisticScoringFeeParameters::default(),
        );
        let mut config = of_version::config();
        config.channel_handshake_config.minimum_depth = 1;
        Self {
            sent: Arc::default(),
            fees: Arc::new(Fees),
            router: Arc::new(router),
            message_router: Arc::new(DefaultMessageRouter::new(graph.clone(), keys.clone())),
            graph,
            scorer,
            keys,
            quiet,
            config,
        }
    }

    pub fn monitors(&self, persister: Arc<Persister>) -> Arc<Monitors> {
        of_version::monitors(self, persister)
    }

    /// A manager without channels.
    pub fn manager<M: Watch<InMemorySigner>>(&self, monitors: Arc<M>) -> Manager<M> {
        ChannelManager::new(
            self.fees.clone(),
            monitors,
            self.sent.clone(),
            self.router.clone(),
            self.message_router.clone(),
            self.quiet.clone(),
            self.keys.clone(),
            self.keys.clone(),
            self.keys.clone(),
            self.config.clone(),
            ChainParameters {
                network: Network::Testnet,
                best_block: Tip::from_network(Network::Testnet),
            },
            1,
        )
    }

    /// The manager that was stored.
    pub fn read_manager<M: Watch<InMemorySigner>>(
        &self,
        bytes: &[u8],
        monitors: Arc<M>,
        read: &[(Locator, ChannelMonitor<InMemorySigner>)],
    ) -> Result<Manager<M>, DecodeError> {
        let args = ChannelManagerReadArgs::new(
            self.keys.clone(),
            self.keys.clone(),
            self.keys.clone(),
            self.fees.clone(),
            monitors,
            self.sent.clone(),
            self.router.clone(),
            self.message_router.clone(),
            self.quiet.clone(),
            self.config.clone(),
            read.iter().map(|(_, monitor)| monitor).collect(),
        );
        let (_, manager) = <(Locator, Manager<M>)>::read(&mut &bytes[..], args)?;
        Ok(manager)
    }
}
