//! LDK's background processor for a small node: on a thread of its own, and as a future that the test
//! polls, with a clock that the test moves.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

use std::{
    future::ready,
    ops::Deref,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use kv_core::testing::block_on;
use kv_ldk::StrongroomStore;
use wallet_persistence::{Clock as _, SystemClock};

use super::{
    background::{
        BackgroundProcessor, GossipSync, NO_LIQUIDITY_MANAGER, NO_LIQUIDITY_MANAGER_SYNC,
        NO_ONION_MESSENGER, process_events_async,
    },
    ldk::{
        bitcoin::ScriptBuf,
        chain::Filter,
        events::{Event, ReplayEvent},
        io,
        ln::peer_handler::{
            ErroringMessageHandler, IgnoringMessageHandler, MessageHandler, PeerManager,
            SocketDescriptor,
        },
        routing::{gossip::P2PGossipSync, utxo::UtxoLookup},
        sign::{ChangeDestinationSourceSync, KeysManager},
        util::sweep::{OutputSweeper, OutputSweeperSync},
    },
    small::{Fees, Graph, Manager, Monitors, Parts, Quiet, Sent, Small},
};

type Filtering = Arc<dyn Filter + Send + Sync>;
type Utxos = Arc<dyn UtxoLookup + Send + Sync>;
type Gossip = P2PGossipSync<Arc<Graph>, Utxos, Arc<Quiet>>;
type Ignoring = IgnoringMessageHandler;
type Peers = PeerManager<
    NoSocket,
    ErroringMessageHandler,
    Ignoring,
    Ignoring,
    Arc<Quiet>,
    Ignoring,
    Arc<KeysManager>,
    Ignoring,
>;
type Sweeper = OutputSweeper<
    Arc<Sent>,
    Arc<Nowhere>,
    Arc<Fees>,
    Filtering,
    Arc<StrongroomStore>,
    Arc<Quiet>,
    Arc<KeysManager>,
>;
type WaitingSweeper = OutputSweeperSync<
    Arc<Sent>,
    Arc<Nowhere>,
    Arc<Fees>,
    Filtering,
    Arc<StrongroomStore>,
    Arc<Quiet>,
    Arc<KeysManager>,
>;

/// There are no lines of LDK's: the tests carry the messages.
#[derive(Clone, PartialEq, Eq, Hash)]
struct NoSocket;

impl SocketDescriptor for NoSocket {
    fn send_data(&mut self, data: &[u8], _: bool) -> usize {
        data.len()
    }

    fn disconnect_socket(&mut self) {}
}

/// Nothing is swept here.
pub(super) struct Nowhere;

impl ChangeDestinationSourceSync for Nowhere {
    fn get_change_destination_script(&self) -> Result<ScriptBuf, ()> {
        Err(())
    }
}

/// The manager of a node, as LDK wants to hold it.
struct Managed(Arc<Small>);

impl Deref for Managed {
    type Target = Manager<Monitors>;

    fn deref(&self) -> &Self::Target {
        &self.0.manager
    }
}

fn gossip(parts: &Parts) -> Arc<Gossip> {
    Arc::new(P2PGossipSync::new(parts.graph.clone(), None, parts.quiet.clone()))
}

fn peers(parts: &Parts) -> Arc<Peers> {
    let handlers = MessageHandler {
        chan_handler: ErroringMessageHandler::new(),
        route_handler: Ignoring {},
        onion_message_handler: Ignoring {},
        custom_message_handler: Ignoring {},
        send_only_message_handler: Ignoring {},
    };
    Arc::new(PeerManager::new(handlers, 1, &[3; 32], parts.quiet.clone(), parts.keys.clone()))
}

/// What the waiting traits serve.
pub(super) fn on_a_thread(node: &Arc<Small>, store: &Arc<StrongroomStore>) -> BackgroundProcessor {
    let (parts, acts) = (node.parts.clone(), node.clone());
    BackgroundProcessor::start(
        store.clone(),
        move |event: Event| {
            acts.act(event);
            Ok::<(), ReplayEvent>(())
        },
        node.monitors.clone(),
        Managed(node.clone()),
        NO_ONION_MESSENGER,
        GossipSync::p2p(gossip(&parts)),
        peers(&parts),
        NO_LIQUIDITY_MANAGER_SYNC,
        None::<Arc<WaitingSweeper>>,
        parts.quiet.clone(),
        Some(parts.scorer.clone()),
    )
}

struct Clock {
    now: Mutex<Duration>,
    stopped: AtomicBool,
}

struct Sleep {
    clock: Arc<Clock>,
    until: Duration,
}

impl Future for Sleep {
    type Output = bool;

    // Who polls does it after each change of the clock, so nobody has to be woken.
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<bool> {
        let stopped = self.clock.stopped.load(Ordering::SeqCst);
        let over = *self.clock.now.lock().unwrap() >= self.until;
        if stopped || over { Poll::Ready(stopped) } else { Poll::Pending }
    }
}

/// What the awaited traits serve.
pub(super) struct Awaited {
    clock: Arc<Clock>,
    future: Pin<Box<dyn Future<Output = io::Result<()>>>>,
}

impl Awaited {
    pub(super) fn start(node: &Arc<Small>, store: &Arc<StrongroomStore>) -> Self {
        let now = Mutex::new(Duration::from_millis(SystemClock.now().0));
        let clock = Arc::new(Clock { now, stopped: AtomicBool::new(false) });
        let (parts, acts) = (node.parts.clone(), node.clone());
        let (sleeps, tells) = (clock.clone(), clock.clone());
        let future = process_events_async(
            store.clone(),
            move |event: Event| {
                acts.act(event);
                ready(Ok::<(), ReplayEvent>(()))
            },
            node.monitors.clone(),
            Managed(node.clone()),
            NO_ONION_MESSENGER,
            GossipSync::p2p(gossip(&parts)),
            peers(&parts),
            NO_LIQUIDITY_MANAGER,
            None::<Arc<Sweeper>>,
            parts.quiet.clone(),
            Some(parts.scorer.clone()),
            move |time| {
                let until = *sleeps.now.lock().unwrap() + time;
                Sleep { clock: sleeps.clone(), until }
            },
            false,
            move || Some(*tells.now.lock().unwrap()),
        );
        Self { clock, future: Box::pin(future) }
    }

    /// So much time passes, and what is to be done then is done, unless the store is waited for.
    pub(super) fn pass(&mut self, time: Duration) -> Poll<io::Result<()>> {
        *self.clock.now.lock().unwrap() += time;
        self.future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    pub(super) fn stop(self) -> io::Result<()> {
        self.clock.stopped.store(true, Ordering::SeqCst);
        block_on(self.future)
    }
}

/// Carries the messages of two nodes until it is so; `meanwhile` is called each time.
pub(super) fn until(a: &Small, b: &Small, mut meanwhile: impl FnMut(), so: impl Fn() -> bool) {
    // A few seconds at most, unless it never will be so.
    for _ in 0..10_000_000 {
        meanwhile();
        a.deliver(b, |_| ());
        b.deliver(a, |_| ());
        if so() {
            return;
        }
        std::thread::yield_now();
    }
    panic!("it does not go on");
}
