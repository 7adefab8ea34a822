//! A small node of LDK 0.2 with nothing of the test kit in it: what is not stored is lost with it.

#![allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper of tests panics")]

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use lightning::{
    bitcoin::{
        Amount, BlockHash, Network, Transaction, TxOut, absolute::LockTime, hashes::Hash,
        secp256k1::PublicKey, transaction::Version,
    },
    chain::{
        BestBlock, ChannelMonitorUpdateStatus, Confirm, Filter, Watch,
        chaininterface::{BroadcasterInterface, ConfirmationTarget, FeeEstimator},
        chainmonitor::{ChainMonitor, Persist},
        channelmonitor::ChannelMonitor,
    },
    events::{Event, EventsProvider, ReplayEvent},
    ln::{
        channelmanager::{
            ChainParameters, ChannelManager, ChannelManagerReadArgs, MIN_FINAL_CLTV_EXPIRY_DELTA,
            PaymentId, RecipientOnionFields, Retry, RetryableSendFailure,
        },
        functional_test_utils::create_dummy_header,
        msgs::{
            BaseMessageHandler, ChannelMessageHandler, DecodeError, ErrorAction, Init,
            MessageSendEvent,
        },
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
        ser::ReadableArgs,
    },
};

/// The transactions that were sent.
#[derive(Debug, Default)]
pub struct Sent(pub Mutex<Vec<Transaction>>);

impl BroadcasterInterface for Sent {
    fn broadcast_transactions(&self, txs: &[&Transaction]) {
        self.0.lock().unwrap().extend(txs.iter().map(|tx| (*tx).clone()));
    }
}

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
    pub router: Arc<Router>,
    pub message_router: Arc<MessageRouter>,
    pub config: UserConfig,
}

impl Parts {
    pub fn new(seed: &[u8; 32]) -> Self {
        // As a clock does: the random bytes of a node depend on when it started.
        static STARTS: AtomicU32 = AtomicU32::new(0);
        let start = STARTS.fetch_add(1, Ordering::SeqCst);
        let keys = Arc::new(KeysManager::new(seed, 1, start, true));
        let quiet = Arc::new(Quiet);
        let graph = Arc::new(NetworkGraph::new(Network::Testnet, quiet.clone()));
        let decay = ProbabilisticScoringDecayParameters::default();
        let scorer = ProbabilisticScorer::new(decay, graph.clone(), quiet.clone());
        let router = DefaultRouter::new(
            graph.clone(),
            quiet.clone(),
            keys.clone(),
            Arc::new(RwLock::new(scorer)),
            ProbabilisticScoringFeeParameters::default(),
        );
        let mut config = UserConfig::default();
        config.channel_handshake_config.minimum_depth = 1;
        config.channel_handshake_config.max_inbound_htlc_value_in_flight_percent_of_channel = 100;
        Self {
            sent: Arc::default(),
            fees: Arc::new(Fees),
            router: Arc::new(router),
            message_router: Arc::new(DefaultMessageRouter::new(graph, keys.clone())),
            keys,
            quiet,
            config,
        }
    }

    pub fn monitors(&self, persister: Arc<Persister>) -> Arc<Monitors> {
        Arc::new(ChainMonitor::new(
            None,
            self.sent.clone(),
            self.quiet.clone(),
            self.fees.clone(),
            persister,
            self.keys.clone(),
            self.keys.get_peer_storage_key(),
        ))
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
                best_block: BestBlock::from_network(Network::Testnet),
            },
            1,
        )
    }

    /// The manager that was stored.
    pub fn read_manager<M: Watch<InMemorySigner>>(
        &self,
        bytes: &[u8],
        monitors: Arc<M>,
        read: &[(BlockHash, ChannelMonitor<InMemorySigner>)],
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
        let (_, manager) = <(BlockHash, Manager<M>)>::read(&mut &bytes[..], args)?;
        Ok(manager)
    }
}

/// A node that runs.
pub struct Small<M: Watch<InMemorySigner> = Monitors> {
    pub parts: Parts,
    pub monitors: Arc<M>,
    pub manager: Manager<M>,
    /// What LDK told and the node did not act upon.
    pub told: Mutex<Vec<Event>>,
    /// Whether it has a line to its peer, as far as it knows.
    pub online: AtomicBool,
}

impl Small {
    /// A new node.
    pub fn new(parts: Parts, persister: Arc<Persister>) -> Self {
        let monitors = parts.monitors(persister);
        Self::over(parts, monitors)
    }

    /// A node from what was stored.
    pub fn load(
        parts: Parts,
        persister: Arc<Persister>,
        manager: &[u8],
        read: Vec<(BlockHash, ChannelMonitor<InMemorySigner>)>,
    ) -> Result<Self, DecodeError> {
        let monitors = parts.monitors(persister);
        let manager = parts.read_manager(manager, monitors.clone(), &read)?;
        for (_, monitor) in read {
            let loaded = monitors.load_existing_monitor(monitor.channel_id(), monitor);
            assert_eq!(loaded, Ok(ChannelMonitorUpdateStatus::Completed));
        }
        Ok(Self::with(parts, monitors, manager))
    }
}

impl<M: Watch<InMemorySigner>> Small<M> {
    /// A new node.
    pub fn over(parts: Parts, monitors: Arc<M>) -> Self {
        let manager = parts.manager(monitors.clone());
        Self::with(parts, monitors, manager)
    }

    /// A node of these.
    pub fn with(parts: Parts, monitors: Arc<M>, manager: Manager<M>) -> Self {
        let (told, online) = (Mutex::default(), AtomicBool::default());
        Self { parts, monitors, manager, told, online }
    }

    fn hang_up(&self, peer: PublicKey) {
        if self.online.swap(false, Ordering::SeqCst) {
            self.manager.peer_disconnected(peer);
        }
    }

    /// Acts upon what LDK tells: funds channels, claims payments.
    pub fn handle_events(&self) {
        let manager = &self.manager;
        manager.process_pending_events(&|event: Event| {
            match &event {
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
                    manager
                        .funding_transaction_generated(
                            *temporary_channel_id,
                            *counterparty_node_id,
                            funding,
                        )
                        .unwrap();
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

    /// Gives the messages for the other node to it; `see` sees each. Whether there were any.
    pub fn deliver<N: Watch<InMemorySigner>>(
        &self,
        to: &Small<N>,
        mut see: impl FnMut(&MessageSendEvent),
    ) -> bool {
        let (me, to) = (self.manager.get_our_node_id(), &to.manager);
        let messages = VecDeque::from(self.manager.get_and_clear_pending_msg_events());
        let any = !messages.is_empty();
        for message in messages {
            see(&message);
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
                MessageSendEvent::SendChannelReestablish { msg, .. } => {
                    to.handle_channel_reestablish(me, &msg);
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
                    for msg in &updates.update_fail_htlcs {
                        to.handle_update_fail_htlc(me, msg);
                    }
                    for msg in &updates.update_fail_malformed_htlcs {
                        to.handle_update_fail_malformed_htlc(me, msg);
                    }
                    if let Some(msg) = &updates.update_fee {
                        to.handle_update_fee(me, msg);
                    }
                    to.handle_commitment_signed_batch_test(me, &updates.commitment_signed);
                }
                MessageSendEvent::HandleError {
                    action:
                        ErrorAction::SendErrorMessage { msg }
                        | ErrorAction::DisconnectPeer { msg: Some(msg) },
                    ..
                } => to.handle_error(me, &msg),
                // Gossip, and what only announced channels need.
                _ => {}
            }
        }
        any
    }

    /// Offers a payment.
    pub fn pay<N: Watch<InMemorySigner>>(&self, to: &Small<N>, msat: u64) {
        self.try_to_pay(to, msat).unwrap();
    }

    /// Offers a payment, which LDK may refuse while others are under way.
    pub fn try_to_pay<N: Watch<InMemorySigner>>(
        &self,
        to: &Small<N>,
        msat: u64,
    ) -> Result<(), RetryableSendFailure> {
        let to = &to.manager;
        let (hash, secret) = to.create_inbound_payment(Some(msat), 7200, None).unwrap();
        let payee = PaymentParameters::from_node_id(
            to.get_our_node_id(),
            u32::from(MIN_FINAL_CLTV_EXPIRY_DELTA),
        );
        let payee = payee.with_bolt11_features(to.bolt11_invoice_features()).unwrap();
        let route = RouteParameters::from_payment_params_and_value(payee, msat);
        let onion = RecipientOnionFields::secret_only(secret);
        self.manager.send_payment(hash, onion, PaymentId(hash.0), route, Retry::Attempts(0))
    }

    /// The payments of ours that have arrived.
    pub fn paid(&self) -> usize {
        let told = self.told.lock().unwrap();
        told.iter().filter(|event| matches!(event, Event::PaymentSent { .. })).count()
    }
}

/// The two have a line to each other, a new one if they had one before.
pub fn connect<M: Watch<InMemorySigner>, N: Watch<InMemorySigner>>(a: &Small<M>, b: &Small<N>) {
    a.hang_up(b.manager.get_our_node_id());
    b.hang_up(a.manager.get_our_node_id());
    let init = |features| Init { features, networks: None, remote_network_address: None };
    let (to_a, to_b) = (init(b.manager.init_features()), init(a.manager.init_features()));
    a.manager.peer_connected(b.manager.get_our_node_id(), &to_a, false).unwrap();
    b.manager.peer_connected(a.manager.get_our_node_id(), &to_b, true).unwrap();
    a.online.store(true, Ordering::SeqCst);
    b.online.store(true, Ordering::SeqCst);
}

/// A block with these transactions for everybody who listens.
pub fn mine(height: u32, txs: &[Transaction], listeners: &[&dyn Confirm]) {
    let header = create_dummy_header(BlockHash::all_zeros(), height);
    let txs: Vec<_> = txs.iter().enumerate().map(|(n, tx)| (n + 1, tx)).collect();
    for listener in listeners {
        listener.transactions_confirmed(&header, &txs, height);
        listener.best_block_updated(&header, height);
    }
}

/// Runs both until they have nothing to say; `settle` completes what is completed later, and tells
/// whether there was something.
pub fn run<M, N>(a: &Small<M>, b: &Small<N>, mut settle: impl FnMut() -> bool)
where
    M: Watch<InMemorySigner>,
    N: Watch<InMemorySigner>,
{
    let mut idle = 0;
    while idle < 2 {
        a.handle_events();
        b.handle_events();
        let mut any = settle();
        any |= a.deliver(b, |_| ());
        any |= b.deliver(a, |_| ());
        idle = if any { 0 } else { idle + 1 };
    }
}

/// The first one asks the second for a channel.
pub fn ask_for_channel<M: Watch<InMemorySigner>, N: Watch<InMemorySigner>>(
    a: &Small<M>,
    b: &Small<N>,
) {
    connect(a, b);
    let peer = b.manager.get_our_node_id();
    a.manager.create_channel(peer, 1_000_000, 400_000_000, 1, None, None).unwrap();
}

/// The funding that the first one has sent is in a block.
pub fn mine_funding<M, N>(a: &Small<M>, b: &Small<N>)
where
    M: Watch<InMemorySigner> + Confirm,
    N: Watch<InMemorySigner> + Confirm,
{
    let funding = a.parts.sent.0.lock().unwrap().pop().unwrap();
    mine(1, &[funding], &[&*a.monitors, &a.manager, &*b.monitors, &b.manager]);
}

/// Opens a channel from the first one to the second; afterwards it can be used.
pub fn open_channel<M, N>(a: &Small<M>, b: &Small<N>, mut settle: impl FnMut() -> bool)
where
    M: Watch<InMemorySigner> + Confirm,
    N: Watch<InMemorySigner> + Confirm,
{
    ask_for_channel(a, b);
    run(a, b, &mut settle);
    mine_funding(a, b);
    run(a, b, &mut settle);
    assert_eq!(a.manager.list_usable_channels().len(), 1);
    assert_eq!(b.manager.list_usable_channels().len(), 1);
}

/// The number of a commitment transaction, hidden as in BOLT 3: 24 bits in the lock time, 24 in the
/// sequence of its input.
pub fn hidden_number(tx: &Transaction) -> u64 {
    let upper = u64::from(tx.input[0].sequence.0 & 0xff_ffff);
    upper << 24 | u64::from(tx.lock_time.to_consensus_u32() & 0xff_ffff)
}
