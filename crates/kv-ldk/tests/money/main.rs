//! Money: a node pays while its cloud fails, its process is killed and its disk is lost.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests panic")]

#[path = "../common/mod.rs"]
mod common;
mod device;
mod world;

use std::{
    env,
    str::FromStr,
    sync::{Arc, Mutex},
};

use common::small::{Quiet, Small, mine};
use device::{Device, next};
use kv_core::Error;
use lightning::{
    bitcoin::Transaction,
    chain::Confirm,
    events::{Event, EventsProvider, ReplayEvent},
};
use wallet_persistence::{Refusal, SingleWriter};
use world::{Keeps, Outcome, World};

/// A number from the environment: `cargo xtask money` asks for more than the tests do.
fn setting<T: FromStr>(name: &str, usual: T) -> T {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[tokio::test]
async fn no_revoked_state_is_ever_the_newest_restored_one() {
    let runs = setting("STRONGROOM_MONEY_RUNS", 20);
    let payments = setting("STRONGROOM_MONEY_PAYMENTS", 20);
    let first = setting("STRONGROOM_MONEY_SEED", 0);
    let mut all = Outcome::default();
    for seed in first..first + runs {
        let outcome = World::new(seed, Keeps::InTheCloud).live(payments).await;
        println!("seed {seed}: {outcome:?}");
        assert!(outcome.paid > 0 || payments < 20, "seed {seed} has paid nothing: {outcome:?}");
        all += outcome;
    }
    println!("{runs} runs: {all:?}");
    // It has been through all of it. One seed alone is somebody who looks for something.
    if runs >= 20 {
        assert!(all.paid > 0 && all.killed > 0 && all.lost > 0 && all.waited > 0, "{all:?}");
    }
}

/// The test above would notice: without replication it happens at once.
#[tokio::test]
async fn without_replication_a_revoked_state_comes_back() {
    let mut world = World::new(1, Keeps::OnTheDevice);
    let mut device = world.first_device().await;
    device.session.post_backup().await.unwrap();
    for _ in 0..3 {
        device.node.pay(&world.peer, 1_000_000);
        world.settle(&mut device).await;
    }
    assert_eq!(device.node.paid(), 3);
    drop(device);
    let restored = world.restored().await;
    let newest = world.newest_state(&restored.read_monitors());
    assert!(newest < world.revoked(), "{newest} of {}", world.revoked());
}

#[tokio::test]
async fn a_second_device_stops_the_first_before_an_update_of_its_own_counts() {
    let mut world = World::new(2, Keeps::InTheCloud);
    let first = world.first_device().await;
    first.session.post_backup().await.unwrap();
    let second = world.restored_without_takeover().await;

    // Before it has taken over, nothing it writes is accepted.
    let second = Device::start(second, Keeps::InTheCloud).await;
    world.reconnect(&second);
    second.node.pay(&world.peer, 1_000_000);
    let error = next(&second.persister).unwrap().unwrap_err();
    assert_eq!(Refusal::behind(&error), Some(Refusal::TakeOverFirst), "{error:?}");
    assert!(!second.node.deliver(&world.peer, |_| ()), "it says nothing to the peer");

    let taken = second.session.take_over().await.unwrap();
    assert_eq!(taken.epoch, 2);
    // The first one's next update is written there, and counts nowhere.
    world.reconnect(&first);
    first.node.pay(&world.peer, 1_000_000);
    let report = first.session.post_backup().await.unwrap();
    assert_eq!(report.single_writer, Some(SingleWriter::Stopped));
    let error = next(&first.persister).unwrap().unwrap_err();
    assert!(matches!(error, Error::NotReplicated { .. }), "{error:?}");
    assert!(matches!(Refusal::behind(&error), Some(Refusal::Fenced { epoch: 2, .. })));
    assert!(!first.node.deliver(&world.peer, |_| ()), "it says nothing to the peer");

    // The second one starts again, since its store had refused, and goes on.
    let session = second.session.clone();
    drop(second);
    let mut second = Device::start(session, Keeps::InTheCloud).await;
    world.reconnect(&second);
    second.node.pay(&world.peer, 1_000_000);
    world.settle(&mut second).await;
    assert_eq!(second.node.paid(), 1);
}

/// What a tutorial of LDK warns of: the peer publishes an old state, with a payment under way whose
/// preimage we have learned since.
#[tokio::test]
async fn restored_from_the_cloud_a_node_claims_every_output_of_a_revoked_state() {
    let mut world = World::new(3, Keeps::InTheCloud);
    let mut device = world.first_device().await;
    let mut states: Vec<Transaction> = Vec::new();
    world.peer.pay(&device.node, 20_000_000);
    let see = |peer: &Small| {
        let id = peer.manager.list_channels()[0].channel_id;
        let monitor = peer.monitors.get_monitor(id).unwrap();
        states.push(monitor.unsafe_get_latest_holder_commitment_txn(&Arc::new(Quiet)).remove(0));
    };
    world.settle_and(&mut device, see).await;
    device.node.pay(&world.peer, 1_000_000);
    world.settle(&mut device).await;
    assert_eq!((world.peer.paid(), device.node.paid()), (1, 1));
    let revoked = states.into_iter().max_by_key(|tx| tx.output.len()).unwrap();
    assert_eq!(revoked.output.len(), 3, "ours, theirs, and the payment");
    drop(device);

    let restored = world.restored().await;
    let node = Device::start(restored.session, Keeps::InTheCloud).await.node;
    let listeners: [&dyn Confirm; 2] = [&*node.monitors, &node.manager];
    mine(2, std::slice::from_ref(&revoked), &listeners);
    let penalties = std::mem::take(&mut *node.parts.sent.0.lock().unwrap());
    mine(3, &penalties, &listeners);
    mine(20, &[], &listeners);
    let spendable = Mutex::new(Vec::new());
    node.monitors.process_pending_events(&|event| {
        if let Event::SpendableOutputs { outputs, .. } = event {
            let outputs = outputs.iter().map(|output| output.spendable_outpoint());
            spendable.lock().unwrap().extend(outputs.map(|of| (of.txid, u32::from(of.index))));
        }
        Ok::<(), ReplayEvent>(())
    });
    let txid = revoked.compute_txid();
    let spent = penalties.iter().flat_map(|tx| &tx.input).map(|input| input.previous_output);
    let mut ours: Vec<_> = spent.map(|of| (of.txid, of.vout)).collect();
    ours.extend(spendable.into_inner().unwrap());
    ours.retain(|(of, _)| *of == txid);
    ours.sort_unstable();
    ours.dedup();
    assert_eq!(ours, [(txid, 0), (txid, 1), (txid, 2)]);
}
