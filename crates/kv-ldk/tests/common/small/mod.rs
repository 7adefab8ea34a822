//! A small node with nothing of LDK's test kit in it: what is not stored is lost with it. It is one text
//! for both versions of LDK; the module around it says what differs.

#![allow(dead_code, unused_imports, unreachable_pub, reason = "each user takes its part")]
#![allow(clippy::allow_attributes, reason = "it is not the same for each user")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper of tests panics")]

mod between;
mod parts;
mod updating;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use super::{
    Locator, Retry, RetryableSendFailure,
    ldk::{
        bitcoin::{
            Amount, Transaction, TxOut, absolute::LockTime, secp256k1::PublicKey,
            transaction::Version,
        },
        chain::{ChannelMonitorUpdateStatus, Watch, channelmonitor::ChannelMonitor},
        events::{Event, EventsProvider, ReplayEvent},
        ln::{
            channelmanager::{MIN_FINAL_CLTV_EXPIRY_DELTA, PaymentId},
            msgs::{BaseMessageHandler, DecodeError, MessageSendEvent},
        },
        routing::router::{PaymentParameters, RouteParameters},
        sign::InMemorySigner,
    },
    offer,
};

pub use self::{
    between::{
        ask_for_channel, carry, connect, hidden_number, mine, mine_funding, open_channel, run,
    },
    parts::{Fees, Graph, Manager, Monitors, Parts, Persister, Quiet, STARTS, Scorer, Sent},
    updating::{AsyncMonitors, AsyncUpdating, Updating, async_updating, updating},
};

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
        read: Vec<(Locator, ChannelMonitor<InMemorySigner>)>,
    ) -> Result<Self, DecodeError> {
        let monitors = parts.monitors(persister);
        Self::load_over(parts, monitors, manager, read)
    }

    /// The same with monitors of another kind.
    pub fn load_over(
        parts: Parts,
        monitors: Arc<Monitors>,
        manager: &[u8],
        read: Vec<(Locator, ChannelMonitor<InMemorySigner>)>,
    ) -> Result<Self, DecodeError> {
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

    /// Acts upon what LDK tells.
    pub fn handle_events(&self) {
        self.manager.process_pending_events(&|event: Event| {
            self.act(event);
            Ok::<(), ReplayEvent>(())
        });
        self.manager.process_pending_htlc_forwards();
    }

    /// Accepts and funds channels, claims payments.
    pub fn act(&self, event: Event) {
        let manager = &self.manager;
        match &event {
            Event::OpenChannelRequest { temporary_channel_id, counterparty_node_id, .. } => {
                let (id, peer) = (temporary_channel_id, counterparty_node_id);
                manager.accept_inbound_channel(id, peer, 1, None).unwrap();
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
    }

    /// Gives the messages for the other node to it; `see` sees each. Whether there were any.
    pub fn deliver<N: Watch<InMemorySigner>>(
        &self,
        to: &Small<N>,
        mut see: impl FnMut(&MessageSendEvent),
    ) -> bool {
        let messages = self.manager.get_and_clear_pending_msg_events();
        let any = !messages.is_empty();
        messages.iter().for_each(&mut see);
        carry(self.manager.get_our_node_id(), messages, &to.manager);
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
        let (hash, onion) = offer(&to.manager, msat);
        let payee = PaymentParameters::from_node_id(
            to.manager.get_our_node_id(),
            u32::from(MIN_FINAL_CLTV_EXPIRY_DELTA),
        );
        let route = RouteParameters::from_payment_params_and_value(payee, msat);
        self.manager.send_payment(hash, onion, PaymentId(hash.0), route, Retry::Attempts(0))
    }

    /// The payments of ours that have arrived.
    pub fn paid(&self) -> usize {
        let told = self.told.lock().unwrap();
        told.iter().filter(|event| matches!(event, Event::PaymentSent { .. })).count()
    }
}
