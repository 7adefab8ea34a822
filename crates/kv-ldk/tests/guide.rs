//! The node of the guide does what the guide says.

mod common;
#[expect(dead_code, reason = "its main is not called here")]
#[path = "../examples/node.rs"]
mod node;

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use cloud::MemCloud;
use common::small::{Parts, Small, carry, mine};
use kv_ldk::StrongroomStore;
use kv_mem::MemStore;
use lightning::{
    chain::{Confirm, channelmonitor::ANTI_REORG_DELAY},
    ln::{
        channelmanager::{MIN_FINAL_CLTV_EXPIRY_DELTA, PaymentId, Retry},
        msgs::{BaseMessageHandler, Init},
    },
    routing::router::{PaymentParameters, RouteParameters},
};
use node::{Chain, Node, start};
use wallet_persistence::{RootSecret, WalletPersistence};

#[tokio::test]
async fn the_node_of_the_guide_starts_again_as_itself() {
    node::live().await.unwrap();
}

/// Notes that it was woken, and wakes who waits outside.
struct Bell {
    rung: AtomicBool,
    outside: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::SeqCst);
        self.outside.wake_by_ref();
    }
}

/// Runs the guide's loops until it is so. Messages are carried when [`Node::run`] has done something,
/// and at no other time: what it does not hear of stands still.
async fn live_until(node: &Node, peer: &Small, so: impl Fn() -> bool) {
    let (mut run, mut pass_on) = (pin!(node.run()), pin!(node.pass_on()));
    let mut bell: Option<Arc<Bell>> = None;
    let living = poll_fn(|cx| {
        let new = || {
            let (rung, outside) = (AtomicBool::new(true), cx.waker().clone());
            Arc::new(Bell { rung, outside })
        };
        let bell = bell.get_or_insert_with(new);
        assert!(pass_on.as_mut().poll(cx).is_pending(), "the store has failed");
        while bell.rung.swap(false, Ordering::SeqCst) {
            let waker = Waker::from(bell.clone());
            assert!(run.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            exchange(node, peer);
        }
        if so() { Poll::Ready(()) } else { Poll::Pending }
    });
    // Far more than it takes, and less than the timers of the loop.
    let outcome = tokio::time::timeout(Duration::from_secs(20), living).await;
    outcome.expect("it stands still");
}

/// Carries what both have to say.
fn exchange(node: &Node, peer: &Small) {
    loop {
        let messages = node.manager.get_and_clear_pending_msg_events();
        let none = messages.is_empty();
        carry(node.manager.get_our_node_id(), messages, &peer.manager);
        peer.handle_events();
        let answers = peer.manager.get_and_clear_pending_msg_events();
        if none && answers.is_empty() {
            return;
        }
        carry(peer.manager.get_our_node_id(), answers, &*node.manager);
    }
}

#[tokio::test]
async fn a_payment_of_the_guides_node_goes_on_when_the_cloud_has_its_monitors() {
    let wallet = WalletPersistence::in_memory().cloud(Arc::new(MemCloud::new())).build();
    let session = wallet.create(&RootSecret::from_bytes([7; 32])).await.unwrap();
    let node = start(&session, &Arc::new(Chain)).await.unwrap();
    let peer = StrongroomStore::new(Arc::new(MemStore::new()));
    let peer = Small::new(Parts::new(&[2; 32]), Arc::new(peer));
    let (us, them) = (node.manager.get_our_node_id(), peer.manager.get_our_node_id());

    let init = |features| Init { features, networks: None, remote_network_address: None };
    let (for_us, for_them) =
        (init(peer.manager.init_features()), init(node.manager.init_features()));
    node.manager.peer_connected(them, &for_us, false).unwrap();
    peer.manager.peer_connected(us, &for_them, true).unwrap();
    // The peer funds it, and half of it is ours.
    peer.manager.create_channel(us, 1_000_000, 500_000_000, 1, None, None).unwrap();
    live_until(&node, &peer, || !peer.parts.sent.0.lock().unwrap().is_empty()).await;
    let funding = peer.parts.sent.0.lock().unwrap().pop().unwrap();
    let listeners: [&dyn Confirm; 4] =
        [&*node.monitors, &*node.manager, &*peer.monitors, &peer.manager];
    mine(1, &[funding], &listeners);
    for height in 2..=ANTI_REORG_DELAY {
        mine(height, &[], &listeners);
    }
    live_until(&node, &peer, || {
        [node.manager.list_usable_channels(), peer.manager.list_usable_channels()]
            .iter()
            .all(|channels| channels.len() == 1)
    })
    .await;

    for msat in [2_000_000, 3_000_000] {
        let (hash, onion) = common::ldk_0_2::offer(&peer.manager, msat);
        let delta = u32::from(MIN_FINAL_CLTV_EXPIRY_DELTA);
        let payee = PaymentParameters::from_node_id(them, delta);
        let route = RouteParameters::from_payment_params_and_value(payee, msat);
        let id = PaymentId(hash.0);
        node.manager.send_payment(hash, onion, id, route, Retry::Attempts(0)).unwrap();
        live_until(&node, &peer, || {
            // A payment that was settled is forgotten.
            node.manager.list_channels().iter().all(|channel| {
                channel.pending_outbound_htlcs.is_empty()
                    && channel.pending_inbound_htlcs.is_empty()
            }) && node.persister.waiting() == 0
        })
        .await;
    }
    // Half of the channel, less what was paid and a hundredth that stays in it.
    let channel = node.manager.list_channels().remove(0);
    assert_eq!(channel.outbound_capacity_msat, 500_000_000 - 5_000_000 - 10_000_000);
    session.lock().await.unwrap();
}
