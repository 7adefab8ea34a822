//! A small node on LDK 0.3 whose monitors are deferred.

use std::sync::{Arc, Mutex, RwLock};

use kv_ldk::StrongroomStore;
use lightning_0_3::{
    bitcoin::{
        Amount, BlockHash, CompactTarget, Network, Transaction, TxMerkleNode, TxOut,
        absolute::LockTime,
        block::{self, Header},
        hashes::Hash,
        transaction::Version,
    },
    chain::{
        BlockLocator, Confirm, Filter,
        chaininterface::{BroadcasterInterface, ConfirmationTarget, FeeEstimator, TransactionType},
        chainmonitor::{ChainMonitor, Persist},
        channelmonitor::ChannelMonitor,
    },
    events::{Event, EventsProvider, ReplayEvent},
    ln::{
        channelmanager::{
            ChainParameters, ChannelManager, ChannelManagerReadArgs, MIN_FINAL_CLTV_EXPIRY_DELTA,
            PaymentId, SimpleArcChannelManager,
        },
        msgs::{BaseMessageHandler, ChannelMessageHandler, Init, MessageSendEvent},
        outbound_payment::{RecipientOnionFields, Retry},
    },
    onion_message::messenger::DefaultMessageRouter,
    routing::{
        gossip::NetworkGraph,
        router::{DefaultRouter, PaymentParameters, RouteParameters},
        scoring::{
            ProbabilisticScorer, ProbabilisticScoringDecayParameters,
            ProbabilisticScoringFeeParameters,
        },
    },
    sign::{InMemorySigner, KeysManager, NodeSigner},
    util::{
        config::UserConfig,
        logger::{Logger, Record},
        persist::{KVStoreSync, read_channel_monitors},
        ser::{ReadableArgs, Writeable},
    },
};

/// What sends, knows the fees, and says nothing.
#[derive(Debug, Default)]
pub(crate) struct Chain(pub(crate) Mutex<Vec<Transaction>>);

impl BroadcasterInterface for Chain {
    fn broadcast_transactions(&self, txs: &[(&Transaction, TransactionType)]) {
        self.0.lock().unwrap().extend(txs.iter().map(|(tx, _)| (*tx).clone()));
    }
}

impl FeeEstimator for Chain {
    fn get_est_sat_per_1000_weight(&self, _: ConfirmationTarget) -> u32 {
        253
    }
}

impl Logger for Chain {
    fn log(&self, _: Record) {}
}

pub(crate) type Persister = dyn Persist<InMemorySigner> + Send + Sync;
type Monitors = ChainMonitor<
    InMemorySigner,
    Arc<dyn Filter + Send + Sync>,
    Arc<Chain>,
    Arc<Chain>,
    Arc<Chain>,
    Arc<Persister>,
    Arc<KeysManager>,
>;
type Manager = SimpleArcChannelManager<Monitors, Chain, Chain, Chain>;
type Read = Vec<(BlockLocator, ChannelMonitor<InMemorySigner>)>;

pub(crate) struct Node {
    pub(crate) chain: Arc<Chain>,
    store: StrongroomStore,
    pub(crate) monitors: Arc<Monitors>,
    pub(crate) manager: Manager,
    pub(crate) told: Mutex<Vec<Event>>,
}

impl Node {
    /// With what the store has, or new; monitors go to the same store.
    pub(crate) fn start(seed: u8, store: StrongroomStore) -> Self {
        let persister = Arc::new(store.clone());
        Self::with(seed, store, persister)
    }

    /// The same, monitors going elsewhere.
    pub(crate) fn with(seed: u8, store: StrongroomStore, persister: Arc<Persister>) -> Self {
        let chain = Arc::new(Chain::default());
        let keys = Arc::new(KeysManager::new(&[seed; 32], 1, 1, true));
        let (c, k) = (|| chain.clone(), || keys.clone());
        let graph = Arc::new(NetworkGraph::new(Network::Testnet, c()));
        let decay = ProbabilisticScoringDecayParameters::default();
        let scorer = Arc::new(RwLock::new(ProbabilisticScorer::new(decay, graph.clone(), c())));
        let fees = ProbabilisticScoringFeeParameters::default();
        let router = Arc::new(DefaultRouter::new(graph.clone(), c(), k(), scorer, fees));
        let messages = Arc::new(DefaultMessageRouter::new(graph, k()));
        let inbox = keys.get_peer_storage_key();
        // The last one: deferred.
        let monitors = ChainMonitor::new(None, c(), c(), c(), persister, k(), inbox, true);
        let monitors: Arc<Monitors> = Arc::new(monitors);
        let mut config = UserConfig::default();
        config.channel_handshake_config.minimum_depth = 1;
        config.channel_handshake_config.negotiate_anchors_zero_fee_htlc_tx = false;
        let m = monitors.clone();
        let read: Read = read_channel_monitors(&store, k(), k()).unwrap();
        let manager: Manager = match KVStoreSync::read(&store, "", "", "manager") {
            Ok(bytes) => {
                let of_monitors = read.iter().map(|(_, monitor)| monitor).collect();
                let args = ChannelManagerReadArgs::new(
                    k(),
                    k(),
                    k(),
                    c(),
                    m,
                    c(),
                    router,
                    messages,
                    c(),
                    config,
                    of_monitors,
                );
                <(BlockLocator, Manager)>::read(&mut &bytes[..], args).unwrap().1
            }
            Err(_) => {
                let network = Network::Testnet;
                let best_block = BlockLocator::from_network(network);
                let params = ChainParameters { network, best_block };
                ChannelManager::new(
                    c(),
                    m,
                    c(),
                    router,
                    messages,
                    c(),
                    k(),
                    k(),
                    k(),
                    config,
                    params,
                    1,
                )
            }
        };
        for (_, monitor) in read {
            monitors.load_existing_monitor(monitor.channel_id(), monitor).unwrap();
        }
        Self { chain, store, monitors, manager, told: Mutex::default() }
    }

    /// As LDK's documentation of the deferred mode wants it: what waits is counted, the manager is
    /// stored, and then that much is written.
    pub(crate) fn store(&self) {
        let waiting = self.monitors.pending_operation_count();
        if self.manager.get_and_clear_needs_persistence() || waiting > 0 {
            KVStoreSync::write(&self.store, "", "", "manager", self.manager.encode()).unwrap();
        }
        self.monitors.flush(waiting, &self.chain);
    }

    pub(crate) fn handle_events(&self) {
        let manager = &self.manager;
        manager.process_pending_events(&|event: Event| {
            match &event {
                Event::OpenChannelRequest {
                    temporary_channel_id, counterparty_node_id, ..
                } => {
                    manager
                        .accept_inbound_channel(temporary_channel_id, counterparty_node_id, 1, None)
                        .unwrap();
                }
                Event::FundingGenerationReady {
                    temporary_channel_id,
                    counterparty_node_id,
                    channel_value_satoshis,
                    output_script,
                    ..
                } => {
                    let funding = Transaction {
                        version: Version::TWO,
                        lock_time: LockTime::ZERO,
                        input: Vec::new(),
                        output: vec![TxOut {
                            value: Amount::from_sat(*channel_value_satoshis),
                            script_pubkey: output_script.clone(),
                        }],
                    };
                    let (id, peer) = (*temporary_channel_id, *counterparty_node_id);
                    manager.funding_transaction_generated(id, peer, funding).unwrap();
                }
                Event::PaymentClaimable { purpose, .. } => {
                    manager.claim_funds(purpose.preimage().unwrap());
                }
                _ => self.told.lock().unwrap().push(event),
            }
            Ok::<(), ReplayEvent>(())
        });
        manager.process_pending_htlc_forwards();
    }

    pub(crate) fn deliver(&self, to: &Self) -> bool {
        let (me, to) = (self.manager.get_our_node_id(), &to.manager);
        let messages = self.manager.get_and_clear_pending_msg_events();
        let any = !messages.is_empty();
        for message in messages {
            match message {
                MessageSendEvent::SendOpenChannel { msg, .. } => to.handle_open_channel(me, &msg),
                MessageSendEvent::SendAcceptChannel { msg, .. } => {
                    to.handle_accept_channel(me, &msg);
                }
                MessageSendEvent::SendFundingCreated { msg, .. } => {
                    to.handle_funding_created(me, &msg);
                }
                MessageSendEvent::SendFundingSigned { msg, .. } => {
                    to.handle_funding_signed(me, &msg);
                }
                MessageSendEvent::SendChannelReady { msg, .. } => to.handle_channel_ready(me, &msg),
                MessageSendEvent::SendChannelUpdate { msg, .. } => {
                    to.handle_channel_update(me, &msg);
                }
                MessageSendEvent::SendRevokeAndACK { msg, .. } => {
                    to.handle_revoke_and_ack(me, &msg);
                }
                MessageSendEvent::UpdateHTLCs { updates, .. } => {
                    for msg in &updates.update_add_htlcs {
                        to.handle_update_add_htlc(me, msg);
                    }
                    for msg in updates.update_fulfill_htlcs {
                        to.handle_update_fulfill_htlc(me, msg);
                    }
                    for msg in &updates.commitment_signed {
                        to.handle_commitment_signed(me, msg);
                    }
                }
                _ => {}
            }
        }
        any
    }

    pub(crate) fn pay(&self, to: &Self, msat: u64) {
        let to = &to.manager;
        let (hash, secret, _) = to.create_inbound_payment(Some(msat), 7200, None, None).unwrap();
        let cltv = u32::from(MIN_FINAL_CLTV_EXPIRY_DELTA);
        let payee = PaymentParameters::from_node_id(to.get_our_node_id(), cltv);
        let route = RouteParameters::from_payment_params_and_value(payee, msat);
        let onion = RecipientOnionFields::secret_only(secret, msat);
        let (id, retry) = (PaymentId(hash.0), Retry::Attempts(0));
        self.manager.send_payment(hash, onion, id, route, retry).unwrap();
    }

    pub(crate) fn paid(&self) -> usize {
        let told = self.told.lock().unwrap();
        told.iter().filter(|event| matches!(event, Event::PaymentSent { .. })).count()
    }
}

/// Until both have nothing to say; `complete` completes what is completed later, and tells whether there
/// was something.
pub(crate) fn settle(a: &Node, b: &Node, mut complete: impl FnMut() -> bool) {
    let mut idle = 0;
    while idle < 3 {
        let mut any = complete();
        for (node, other) in [(a, b), (b, a)] {
            node.handle_events();
            node.store();
            any |= node.deliver(other);
            node.store();
        }
        idle = if any { 0 } else { idle + 1 };
    }
}

/// Opens a channel from the first one to the second.
pub(crate) fn open_channel(a: &Node, b: &Node, mut complete: impl FnMut() -> bool) {
    let init = |features| Init { features, networks: None, remote_network_address: None };
    let (id_a, id_b) = (a.manager.get_our_node_id(), b.manager.get_our_node_id());
    a.manager.peer_connected(id_b, &init(b.manager.init_features()), false).unwrap();
    b.manager.peer_connected(id_a, &init(a.manager.init_features()), true).unwrap();
    a.manager.create_channel(id_b, 1_000_000, 400_000_000, 1, None, None).unwrap();
    settle(a, b, &mut complete);
    let funding = a.chain.0.lock().unwrap().pop().unwrap();
    let header = Header {
        version: block::Version::NO_SOFT_FORK_SIGNALLING,
        prev_blockhash: BlockHash::all_zeros(),
        merkle_root: TxMerkleNode::all_zeros(),
        time: 1,
        bits: CompactTarget::from_consensus(42),
        nonce: 42,
    };
    let listeners: [&dyn Confirm; 4] = [&*a.monitors, &a.manager, &*b.monitors, &b.manager];
    for listener in listeners {
        listener.transactions_confirmed(&header, &[(1, &funding)], 1);
        listener.best_block_updated(&header, 1);
    }
    settle(a, b, &mut complete);
    assert_eq!(a.manager.list_usable_channels().len(), 1);
}
