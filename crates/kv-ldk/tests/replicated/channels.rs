//! Two channels at once: what waits in one of them, and what goes on in the other.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests panic")]

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::{Arc, Mutex, atomic::Ordering},
    task::{Context, Poll, Waker},
};

use backup::{Policies, Policy, Recorder, Replicated};
use kv_core::testing::Random;
use kv_ldk::StrongroomStore;
use kv_mem::MemStore;

use super::{
    ldk::{
        bitcoin::secp256k1::PublicKey,
        chain::{
            ChannelMonitorUpdateStatus, Confirm,
            chainmonitor::Persist,
            channelmonitor::{ChannelMonitor, ChannelMonitorUpdate},
        },
        ln::{
            msgs::{BaseMessageHandler, MessageSendEvent},
            types::ChannelId,
        },
        sign::InMemorySigner,
        util::persist::MonitorName,
    },
    ours::ReplicatedPersister,
    small::{Parts, Small, ask_for_channel, carry, mine, run},
};
use crate::common::{cloud_takes, cloud_takes_everything, recorder};

type Update = (ChannelId, u64);

/// Notes what LDK wants to be told of, with the sequence number that it has in the log.
struct Noting {
    persister: ReplicatedPersister,
    recorder: Arc<Recorder>,
    asked: Mutex<Vec<(Update, u64)>>,
}

impl Noting {
    fn note(&self, update: Option<Update>) -> ChannelMonitorUpdateStatus {
        let sequence = self.recorder.sequence();
        self.asked.lock().unwrap().extend(update.map(|update| (update, sequence)));
        ChannelMonitorUpdateStatus::InProgress
    }

    fn sequence_of(&self, update: Update) -> u64 {
        let asked = self.asked.lock().unwrap();
        asked.iter().find(|(asked, _)| *asked == update).unwrap().1
    }
}

impl Persist<InMemorySigner> for Noting {
    fn persist_new_channel(
        &self,
        name: MonitorName,
        monitor: &ChannelMonitor<InMemorySigner>,
    ) -> ChannelMonitorUpdateStatus {
        let answer = self.persister.persist_new_channel(name, monitor);
        assert_eq!(answer, self.note(Some((monitor.channel_id(), monitor.get_latest_update_id()))));
        answer
    }

    fn update_persisted_channel(
        &self,
        name: MonitorName,
        update: Option<&ChannelMonitorUpdate>,
        monitor: &ChannelMonitor<InMemorySigner>,
    ) -> ChannelMonitorUpdateStatus {
        let answer = self.persister.update_persisted_channel(name, update, monitor);
        assert_eq!(
            answer,
            self.note(update.map(|update| (monitor.channel_id(), update.update_id)))
        );
        answer
    }

    fn archive_persisted_channel(&self, name: MonitorName) {
        Persist::<InMemorySigner>::archive_persisted_channel(&self.persister, name);
    }
}

/// A node whose monitors are in a cloud.
struct Cloudy {
    node: Small,
    noting: Arc<Noting>,
    recorder: Arc<Recorder>,
    told: Mutex<Vec<Update>>,
}

impl Cloudy {
    fn new() -> Self {
        let recorder = recorder(Arc::new(MemStore::new()));
        let waits = Replicated::new(recorder.clone(), Policies::all(Policy::Replicated), 1000);
        let persister = ReplicatedPersister::open(waits).unwrap();
        let noting =
            Arc::new(Noting { persister, recorder: recorder.clone(), asked: Mutex::default() });
        let node = Small::new(Parts::new(&[1; 32]), noting.clone());
        Self { node, noting, recorder, told: Mutex::default() }
    }

    /// What the cloud has and LDK was not told.
    fn next(&self) -> Option<Update> {
        let next = pin!(self.noting.persister.next_completed());
        let Poll::Ready(update) = next.poll(&mut Context::from_waker(Waker::noop())) else {
            return None;
        };
        let update = update.unwrap();
        self.told.lock().unwrap().push(update);
        Some(update)
    }

    fn tell(&self, (channel, update): Update) {
        self.node.monitors.channel_monitor_updated(channel, update).unwrap();
    }

    /// Tells LDK what the cloud has; whether that was anything.
    fn pass_on(&self) -> bool {
        let mut any = false;
        while let Some(update) = self.next() {
            self.tell(update);
            any = true;
        }
        any
    }

    fn settle(&self) -> bool {
        cloud_takes_everything(&self.recorder);
        self.pass_on()
    }

    /// The updates that are under way, of each channel.
    fn under_way(&self) -> BTreeMap<[u8; 32], Vec<u64>> {
        let pending = self.node.monitors.list_pending_monitor_updates().into_iter();
        let pending = pending.filter(|(_, updates)| !updates.is_empty());
        pending.map(|(channel, updates)| (channel.0, updates)).collect()
    }
}

fn peer(seed: u8) -> Small {
    let local = StrongroomStore::new(Arc::new(MemStore::new()));
    Small::new(Parts::new(&[seed; 32]), Arc::new(local))
}

#[test]
fn updates_of_two_channels_that_interleave_are_each_told_once_and_in_order() {
    let mut together = 0;
    for seed in 0..4 {
        let (cloudy, peer, mut random) = (Cloudy::new(), peer(2), Random::seeded(seed));
        let node = &cloudy.node;
        for _ in 0..2 {
            ask_for_channel(node, &peer);
            run(node, &peer, || cloudy.settle());
        }
        let fundings = std::mem::take(&mut *node.parts.sent.0.lock().unwrap());
        let all: [&dyn Confirm; 4] =
            [&*node.monitors, &node.manager, &*peer.monitors, &peer.manager];
        mine(1, &fundings, &all);
        run(node, &peer, || cloudy.settle());
        assert_eq!(node.manager.list_usable_channels().len(), 2);

        let mut cloud = cloudy.recorder.sequence();
        for _ in 0..300 {
            // So much that the next one takes the other channel.
            let msat = 50_000_000 + random.below(100_000_000);
            match random.below(7) {
                0 => _ = node.try_to_pay(&peer, msat),
                1 => _ = peer.try_to_pay(node, msat),
                2 => _ = node.deliver(&peer, |_| ()),
                3 => _ = peer.deliver(node, |_| ()),
                4 => [node, &peer].into_iter().for_each(Small::handle_events),
                5 => {
                    // Anywhere, also between the updates of one moment.
                    cloud += random.below(cloudy.recorder.sequence() - cloud + 1);
                    cloud_takes(&cloudy.recorder, cloud);
                }
                _ => {
                    if let Some(update) = cloudy.next() {
                        let has = cloudy.noting.sequence_of(update);
                        assert!(has <= cloud, "{has} is told, the cloud has {cloud}");
                        cloudy.tell(update);
                    }
                }
            }
            together += usize::from(cloudy.under_way().len() == 2);
        }
        run(node, &peer, || cloudy.settle());
        assert!(node.paid() > 0 && peer.paid() > 0);
        assert!(cloudy.under_way().is_empty());
        let asked = cloudy.noting.asked.lock().unwrap();
        let asked: Vec<_> = asked.iter().map(|(update, _)| *update).collect();
        let told = cloudy.told.lock().unwrap();
        assert!(*told == asked, "each once, in the order of the calls:\n{told:?}\n{asked:?}");
        for channel in node.manager.list_channels() {
            let of = told.iter().filter(|(of, _)| *of == channel.channel_id);
            let ids: Vec<_> = of.map(|(_, id)| *id).collect();
            assert!(ids.iter().copied().eq(0..ids.len() as u64), "{ids:?}");
        }
        let names: BTreeSet<_> = told.iter().map(|(channel, _)| channel.0).collect();
        assert_eq!(names.len(), 2);
    }
    assert!(together > 50, "both channels had updates under way {together} times");
}

/// Who is to get it.
fn addressee(event: &MessageSendEvent) -> Option<PublicKey> {
    match event {
        MessageSendEvent::SendOpenChannel { node_id, .. }
        | MessageSendEvent::SendFundingCreated { node_id, .. }
        | MessageSendEvent::SendChannelReady { node_id, .. }
        | MessageSendEvent::SendRevokeAndACK { node_id, .. }
        | MessageSendEvent::UpdateHTLCs { node_id, .. } => Some(*node_id),
        _ => None,
    }
}

/// A node with a channel to each of two peers.
struct Three {
    cloudy: Cloudy,
    peers: [Small; 2],
    /// What the peers have not been given yet.
    kept: Mutex<[Vec<MessageSendEvent>; 2]>,
}

impl Three {
    fn open() -> Self {
        let three =
            Self { cloudy: Cloudy::new(), peers: [peer(2), peer(3)], kept: Mutex::default() };
        let node = &three.cloudy.node;
        for (n, peer) in three.peers.iter().enumerate() {
            // The line to the first one stays.
            node.online.store(false, Ordering::SeqCst);
            ask_for_channel(node, peer);
            three.live(&[n], || three.cloudy.settle());
            let funding = std::mem::take(&mut *node.parts.sent.0.lock().unwrap());
            let all: [&dyn Confirm; 4] =
                [&*node.monitors, &node.manager, &*peer.monitors, &peer.manager];
            mine(1 + n as u32, &funding, &all);
            three.live(&[n], || three.cloudy.settle());
        }
        assert_eq!(node.manager.list_usable_channels().len(), 2);
        three
    }

    fn channel(&self, peer: usize) -> ChannelId {
        self.peers[peer].manager.list_channels()[0].channel_id
    }

    /// What the node has to say to a peer by now.
    fn said(&self, peer: usize) -> usize {
        let mut kept = self.kept.lock().unwrap();
        for event in self.cloudy.node.manager.get_and_clear_pending_msg_events() {
            let to = addressee(&event);
            let at = self.peers.iter().position(|peer| Some(peer.manager.get_our_node_id()) == to);
            if let Some(at) = at {
                kept[at].push(event);
            }
        }
        kept[peer].len()
    }

    /// Until nobody has anything to say; what is for others than these peers is kept.
    fn live(&self, with: &[usize], mut settle: impl FnMut() -> bool) {
        let node = &self.cloudy.node;
        let mut idle = 0;
        while idle < 2 {
            node.handle_events();
            let mut any = settle();
            for n in with {
                let peer = &self.peers[*n];
                peer.handle_events();
                any |= self.said(*n) > 0;
                let messages = std::mem::take(&mut self.kept.lock().unwrap()[*n]);
                carry(node.manager.get_our_node_id(), messages, &peer.manager);
                any |= peer.deliver(node, |_| ());
            }
            idle = if any { 0 } else { idle + 1 };
        }
    }
}

#[test]
fn a_channel_that_waits_holds_up_no_other() {
    let three = Three::open();
    let (cloudy, [fast, slow]) = (&three.cloudy, [0, 1]);
    let node = &cloudy.node;
    let waits = |peer: usize| cloudy.under_way().contains_key(&three.channel(peer).0);

    // Both under way together, and the cloud has the first of them alone.
    node.pay(&three.peers[fast], 10_000_000);
    let first = cloudy.recorder.sequence();
    node.pay(&three.peers[slow], 20_000_000);
    assert!(waits(fast) && waits(slow));
    cloud_takes(&cloudy.recorder, first);
    assert!(cloudy.pass_on());
    assert!(!waits(fast) && waits(slow));
    node.handle_events();
    assert_eq!((three.said(fast), three.said(slow)), (1, 0));

    // The cloud has the other one, too, and nobody tells LDK; the first goes on to its end, and further.
    let not_told = three.channel(slow);
    let mut kept_back = Vec::new();
    let mut settle = || {
        cloud_takes_everything(&cloudy.recorder);
        let mut any = false;
        while let Some(update) = cloudy.next() {
            if update.0 == not_told {
                kept_back.push(update);
            } else {
                cloudy.tell(update);
                any = true;
            }
        }
        any
    };
    three.live(&[fast], &mut settle);
    node.pay(&three.peers[fast], 10_000_000);
    three.live(&[fast], &mut settle);
    three.peers[fast].pay(node, 5_000_000);
    three.live(&[fast], &mut settle);
    assert_eq!((node.paid(), three.peers[fast].paid()), (2, 1));
    assert!(waits(slow) && !waits(fast));
    assert_eq!(three.said(slow), 0, "nothing leaves the channel that waits");
    assert_eq!(kept_back.len(), 1, "each is told once");

    // LDK is told, and the peer does not answer.
    kept_back.into_iter().for_each(|update| cloudy.tell(update));
    node.handle_events();
    assert_eq!(three.said(slow), 1);
    node.pay(&three.peers[fast], 10_000_000);
    three.live(&[fast], || cloudy.settle());
    assert_eq!(node.paid(), 3);
    three.live(&[fast, slow], || cloudy.settle());
    assert_eq!(node.paid(), 4);
    let asked = cloudy.noting.asked.lock().unwrap();
    assert!(asked.iter().map(|(update, _)| update).eq(cloudy.told.lock().unwrap().iter()));
}
