//! What goes through LDK has a single writer, whatever a wallet merges beside it.

use kv_core::{Key, KvStoreExt, Namespace};
use kv_ldk::{OpenError, ReplicatedPersister, StrongroomStore};
use lightning::util::persist::KVStoreSync;
use wallet_persistence::{KvClass, Policies, Policy, RootSecret, Settings, WalletPersistence};

#[tokio::test]
async fn a_store_that_merges_is_refused() {
    let mut settings = Settings::default();
    settings.replicate_every = None;
    let builder = WalletPersistence::in_memory().settings(settings);
    let root = RootSecret::from_bytes([5; 32]);
    let session = builder.build().create(&root).await.unwrap();
    let (ns, key) = (Namespace::new("monitors", "").unwrap(), Key::new("m").unwrap());
    // A namespace of this name merges, with an entry of this name.
    session.put_kv(&ns, &key, &b"merges"[..], Some(KvClass::Mergeable)).await.unwrap();
    let merges = session.kv_mergeable().unwrap();
    let wrong = StrongroomStore::new(merges.clone());
    let refused = KVStoreSync::write(&wrong, "monitors", "", "m", vec![1]).unwrap_err();
    assert!(refused.to_string().contains("merges what several devices write"), "{refused}");
    KVStoreSync::remove(&wrong, "monitors", "", "m", true).unwrap_err();
    let opened = ReplicatedPersister::open(merges.clone());
    assert!(matches!(opened, Err(OpenError::Merges)), "{opened:?}");
    assert_eq!(merges.read_required(&ns, &key).unwrap(), "merges".into());

    let right = StrongroomStore::new(session.kv().unwrap());
    KVStoreSync::read(&right, "monitors", "", "m").unwrap_err();
    KVStoreSync::write(&right, "monitors", "", "m", vec![1]).unwrap();
    assert_eq!(KVStoreSync::read(&right, "monitors", "", "m").unwrap(), [1]);
    assert_eq!(merges.read_required(&ns, &key).unwrap(), "merges".into(), "it lies elsewhere");
}

/// Also where every commit waits for a cloud.
#[tokio::test]
async fn waiting_for_a_cloud_does_not_make_it_a_single_writer() {
    let mut settings = Settings::default();
    settings.policies = Policies::all(Policy::Replicated);
    let builder = WalletPersistence::in_memory().settings(settings);
    let session = builder.build().create(&RootSecret::from_bytes([5; 32])).await.unwrap();
    let opened = ReplicatedPersister::open(session.kv_mergeable().unwrap());
    assert!(matches!(opened, Err(OpenError::Merges)), "{opened:?}");
}
