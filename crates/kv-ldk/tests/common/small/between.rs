//! What happens between two nodes: a line, blocks, a channel.

use std::sync::atomic::Ordering;

use super::{
    super::ldk::{
        bitcoin::{
            BlockHash, CompactTarget, Transaction, TxMerkleNode,
            block::{self, Header},
            hashes::Hash,
            secp256k1::PublicKey,
        },
        chain::{Confirm, Watch},
        ln::msgs::{
            BaseMessageHandler, ChannelMessageHandler, ErrorAction, Init, MessageSendEvent,
        },
        sign::InMemorySigner,
    },
    Small,
};

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
    let header = Header {
        version: block::Version::NO_SOFT_FORK_SIGNALLING,
        prev_blockhash: BlockHash::all_zeros(),
        merkle_root: TxMerkleNode::all_zeros(),
        time: height,
        bits: CompactTarget::from_consensus(42),
        nonce: 42,
    };
    let txs: Vec<_> = txs.iter().enumerate().map(|(n, tx)| (n + 1, tx)).collect();
    for listener in listeners {
        listener.transactions_confirmed(&header, &txs, height);
        listener.best_block_updated(&header, height);
    }
}

/// Gives the messages of one node to another one.
pub fn carry(from: PublicKey, messages: Vec<MessageSendEvent>, to: &impl ChannelMessageHandler) {
    for message in messages {
        match message {
            MessageSendEvent::SendOpenChannel { msg, .. } => to.handle_open_channel(from, &msg),
            MessageSendEvent::SendAcceptChannel { msg, .. } => {
                to.handle_accept_channel(from, &msg);
            }
            MessageSendEvent::SendFundingCreated { msg, .. } => {
                to.handle_funding_created(from, &msg);
            }
            MessageSendEvent::SendFundingSigned { msg, .. } => {
                to.handle_funding_signed(from, &msg);
            }
            MessageSendEvent::SendChannelReady { msg, .. } => to.handle_channel_ready(from, &msg),
            MessageSendEvent::SendChannelUpdate { msg, .. } => {
                to.handle_channel_update(from, &msg);
            }
            MessageSendEvent::SendChannelReestablish { msg, .. } => {
                to.handle_channel_reestablish(from, &msg);
            }
            MessageSendEvent::SendRevokeAndACK { msg, .. } => {
                to.handle_revoke_and_ack(from, &msg);
            }
            MessageSendEvent::UpdateHTLCs { updates, .. } => {
                for msg in &updates.update_add_htlcs {
                    to.handle_update_add_htlc(from, msg);
                }
                for msg in updates.update_fulfill_htlcs {
                    to.handle_update_fulfill_htlc(from, msg);
                }
                for msg in &updates.update_fail_htlcs {
                    to.handle_update_fail_htlc(from, msg);
                }
                for msg in &updates.update_fail_malformed_htlcs {
                    to.handle_update_fail_malformed_htlc(from, msg);
                }
                if let Some(msg) = &updates.update_fee {
                    to.handle_update_fee(from, msg);
                }
                for msg in &updates.commitment_signed {
                    to.handle_commitment_signed(from, msg);
                }
            }
            MessageSendEvent::HandleError {
                action:
                    ErrorAction::SendErrorMessage { msg }
                    | ErrorAction::DisconnectPeer { msg: Some(msg) },
                ..
            } => to.handle_error(from, &msg),
            // Gossip, and what only announced channels need.
            _ => {}
        }
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

/// The funding that the first one has sent is in a block; it.
pub fn mine_funding<M, N>(a: &Small<M>, b: &Small<N>) -> Transaction
where
    M: Watch<InMemorySigner> + Confirm,
    N: Watch<InMemorySigner> + Confirm,
{
    let funding = a.parts.sent.0.lock().unwrap().pop().unwrap();
    let listeners: [&dyn Confirm; 4] = [&*a.monitors, &a.manager, &*b.monitors, &b.manager];
    mine(1, std::slice::from_ref(&funding), &listeners);
    funding
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
