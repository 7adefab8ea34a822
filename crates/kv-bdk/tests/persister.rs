//! The persister on a store in memory: what it writes, what it refuses, what it says.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::{
    error::Error as _,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use backup::{Policies, Policy, Recorder, RecorderSettings, Replicated, Rules};
use bdk_wallet::{
    AsyncWalletPersister, ChangeSet, CreateWithPersistError, KeychainKind, Wallet, WalletPersister,
    bitcoin::Network,
};
use common::{Changes, states};
use kv_bdk::{BdkPersister, Error};
use kv_core::{
    Key, KvStore, KvStoreExt, Namespace,
    testing::{Fault, FaultyStore, Landing, ManualClock, block_on},
};
use kv_mem::MemStore;

fn persister(store: &Arc<MemStore>) -> BdkPersister {
    BdkPersister::new(store.clone(), "w").unwrap()
}

fn load(persister: &mut BdkPersister) -> Result<ChangeSet, Error> {
    WalletPersister::initialize(persister)
}

fn persist(persister: &mut BdkPersister, change: &ChangeSet) -> Result<(), Error> {
    WalletPersister::persist(persister, change)
}

fn entries() -> Namespace {
    Namespace::new("bdk", "w").unwrap()
}

fn keys(store: &MemStore) -> Vec<Key> {
    store.list_all(&entries()).unwrap()
}

#[test]
fn each_change_set_is_one_entry_and_loading_merges_them_in_order() {
    let store = Arc::new(MemStore::new());
    let changes: Vec<_> = Changes::seeded(1).take(40).collect();
    let states = states(&changes);
    let mut persister = persister(&store);
    assert_eq!(load(&mut persister).unwrap(), ChangeSet::default());
    for (n, change) in changes.iter().enumerate() {
        persist(&mut persister, change).unwrap();
        // At any time, and by anybody.
        assert_eq!(load(&mut persister).unwrap(), states[n + 1]);
        assert_eq!(load(&mut self::persister(&store)).unwrap(), states[n + 1]);
    }
    let expected: Vec<_> = (1..=40).map(Key::number).collect();
    assert_eq!(keys(&store), expected);
}

#[test]
fn persisting_needs_no_loading_before() {
    let store = Arc::new(MemStore::new());
    let changes: Vec<_> = Changes::seeded(2).take(6).collect();
    for change in &changes {
        persist(&mut persister(&store), change).unwrap();
    }
    assert_eq!(load(&mut persister(&store)).unwrap(), states(&changes)[6]);
}

#[test]
fn an_empty_change_set_writes_nothing() {
    let fault = Arc::new(Fault::default());
    let store = Arc::new(FaultyStore::new(Arc::new(MemStore::new()), fault.clone()));
    let mut persister = BdkPersister::new(store.clone(), "w").unwrap();
    persist(&mut persister, &ChangeSet::default()).unwrap();
    block_on(AsyncWalletPersister::persist(&mut persister, &ChangeSet::default())).unwrap();
    assert_eq!(fault.operations(), 0);
    assert_eq!(store.namespaces().unwrap(), []);
}

#[test]
fn after_256_entries_one_batch_replaces_them() {
    let store = Arc::new(MemStore::new());
    let changes: Vec<_> = Changes::seeded(3).take(600).collect();
    let states = states(&changes);
    let mut persister = persister(&store);
    for (n, change) in changes.iter().enumerate() {
        persist(&mut persister, change).unwrap();
        let n = n as u64 + 1;
        let first = match n {
            ..257 => 1,
            257..513 => 257,
            _ => 513,
        };
        let expected: Vec<_> = (first..=n).map(Key::number).collect();
        assert_eq!(keys(&store), expected);
        if expected.len() < 3 {
            assert_eq!(load(&mut self::persister(&store)).unwrap(), states[n as usize]);
        }
    }
    assert_eq!(load(&mut persister).unwrap(), states[600]);
}

#[test]
fn a_wallet_is_created_persisted_and_loaded() {
    let store = Arc::new(MemStore::new());
    let (external, internal) = common::descriptors();
    let mut persister = persister(&store);
    assert!(Wallet::load().load_wallet(&mut persister).unwrap().is_none());
    let params = || Wallet::create(external, internal).network(Network::Testnet);
    let mut wallet = params().create_wallet(&mut persister).unwrap();
    let addresses: Vec<_> = (0..300)
        .map(|_| {
            let address = wallet.reveal_next_address(KeychainKind::External);
            assert!(wallet.persist(&mut persister).unwrap());
            address
        })
        .collect();
    assert!(!wallet.persist(&mut persister).unwrap(), "nothing is staged");
    assert_eq!(keys(&store).len(), 301 - 256);
    let again = Wallet::load()
        .descriptor(KeychainKind::External, Some(external))
        .descriptor(KeychainKind::Internal, Some(internal))
        .check_network(Network::Testnet)
        .load_wallet(&mut self::persister(&store))
        .unwrap()
        .unwrap();
    assert_eq!(again.derivation_index(KeychainKind::External), Some(299));
    assert_eq!(again.peek_address(KeychainKind::External, 299), addresses[299]);
    let twice = params().create_wallet(&mut persister);
    assert!(matches!(twice, Err(CreateWithPersistError::DataAlreadyExists(_))));
}

#[test]
fn the_asynchronous_persister_writes_the_same() {
    let (one, two) = (Arc::new(MemStore::new()), Arc::new(MemStore::new()));
    let changes: Vec<_> = Changes::seeded(4).take(260).collect();
    let (mut sync, mut other) = (persister(&one), persister(&two));
    for change in &changes {
        persist(&mut sync, change).unwrap();
        block_on(AsyncWalletPersister::persist(&mut other, change)).unwrap();
    }
    assert_eq!(keys(&one), keys(&two));
    for key in keys(&one) {
        let values = [&one, &two].map(|store| store.read_required(&entries(), &key).unwrap());
        assert_eq!(values[0], values[1]);
    }
    let loaded = block_on(AsyncWalletPersister::initialize(&mut other)).unwrap();
    assert_eq!(loaded, states(&changes)[260]);
    let (external, internal) = common::descriptors();
    let create = Wallet::create(external, internal).network(Network::Testnet);
    let outcome = block_on(create.create_wallet_async(&mut other));
    assert!(matches!(outcome, Err(CreateWithPersistError::DataAlreadyExists(_))));
}

#[test]
fn of_two_that_create_one_wallet_one_wins() {
    let store = Arc::new(MemStore::new());
    let change = Changes::seeded(5).next().unwrap();
    let (mut one, mut two) = (persister(&store), persister(&store));
    for persister in [&mut one, &mut two] {
        assert_eq!(load(persister).unwrap(), ChangeSet::default());
    }
    persist(&mut two, &change).unwrap();
    let outcome = persist(&mut one, &change);
    assert!(matches!(outcome, Err(Error::WrittenElsewhere)), "{outcome:?}");
    assert_eq!(keys(&store).len(), 1);
}

#[test]
fn of_many_threads_that_create_one_wallet_one_wins() {
    let change = Changes::seeded(5).next().unwrap();
    for _ in 0..20 {
        let store = Arc::new(MemStore::new());
        let start = std::sync::Barrier::new(8);
        let won = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let mut persister = persister(&store);
                        assert_eq!(load(&mut persister).unwrap(), ChangeSet::default());
                        start.wait();
                        match persist(&mut persister, &change) {
                            Ok(()) => 1,
                            Err(Error::WrittenElsewhere) => {
                                // Not only once: what it knows is not what is there.
                                let again = persist(&mut persister, &change);
                                assert!(matches!(again, Err(Error::WrittenElsewhere)), "{again:?}");
                                0
                            }
                            Err(error) => panic!("{error:?}"),
                        }
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>()
        });
        assert_eq!((won, keys(&store).len()), (1, 1));
    }
}

#[test]
fn a_persister_that_was_overtaken_is_told_until_it_loads_again() {
    // Also where the other has replaced all entries meanwhile, so that the next number is free.
    for overtaken_by in [1, 253, 254] {
        let store = Arc::new(MemStore::new());
        let changes: Vec<_> = Changes::seeded(6).take(300).collect();
        let (mut one, mut two) = (persister(&store), persister(&store));
        for change in &changes[..3] {
            persist(&mut one, change).unwrap();
        }
        for change in &changes[3..3 + overtaken_by] {
            persist(&mut two, change).unwrap();
        }
        let before = keys(&store);
        for _ in 0..2 {
            let outcome = persist(&mut one, &changes[299]);
            assert!(matches!(outcome, Err(Error::WrittenElsewhere)), "{outcome:?}");
        }
        assert_eq!(keys(&store), before);
        let states = states(&changes[..3 + overtaken_by]);
        assert_eq!(load(&mut one).unwrap(), states[3 + overtaken_by]);
        persist(&mut one, &changes[299]).unwrap();
    }
}

#[test]
fn wallets_are_kept_apart_by_name() {
    let store = Arc::new(MemStore::new());
    let mut one = BdkPersister::new(store.clone(), "one").unwrap();
    let mut two = BdkPersister::new(store.clone(), "").unwrap();
    let changes: Vec<_> = Changes::seeded(7).take(2).collect();
    persist(&mut one, &changes[0]).unwrap();
    assert_eq!(load(&mut two).unwrap(), ChangeSet::default());
    persist(&mut two, &changes[1]).unwrap();
    assert_eq!(load(&mut one).unwrap(), states(&changes)[1]);
    assert!(BdkPersister::new(store, "a/b").is_err());
}

#[test]
fn another_wallet_under_the_name_is_refused() {
    let store = Arc::new(MemStore::new());
    let changes: Vec<_> = Changes::seeded(8).take(300).collect();
    let mut persister = persister(&store);
    for change in &changes[..256] {
        persist(&mut persister, change).unwrap();
    }
    let same = ChangeSet { network: Some(Network::Testnet), ..changes[256].clone() };
    let network = ChangeSet { network: Some(Network::Bitcoin), ..changes[256].clone() };
    let descriptor =
        ChangeSet { descriptor: changes[0].change_descriptor.clone(), ..changes[256].clone() };
    let change =
        ChangeSet { change_descriptor: changes[0].descriptor.clone(), ..changes[256].clone() };
    // Another script for an index is found when entries are merged, before anything is written.
    let mut script = changes[256].clone();
    let (id, scripts) = states(&changes)[256].indexer.spk_cache.clone().pop_first().unwrap();
    let index = *scripts.first_key_value().unwrap().0;
    script.indexer.spk_cache.entry(id).or_default().insert(index, Default::default());
    for other in [&network, &descriptor, &change, &script] {
        let before = keys(&store);
        let outcome = persist(&mut persister, other);
        assert!(matches!(outcome, Err(Error::OtherWallet)), "{outcome:?}");
        assert_eq!(keys(&store), before);
    }
    persist(&mut persister, &same).unwrap();
    assert_eq!(keys(&store).len(), 1);
}

/// Such entries are not written here; whatever has, what the wallet began with counts, as in bdk.
#[test]
fn of_two_identities_in_the_entries_the_first_stays() {
    let first = Changes::seeded(8).next().unwrap();
    let other = ChangeSet {
        descriptor: first.change_descriptor.clone(),
        change_descriptor: first.descriptor.clone(),
        network: Some(Network::Bitcoin),
        ..ChangeSet::default()
    };
    let store = Arc::new(MemStore::new());
    for (number, change) in [(1, &first), (2, &other)] {
        let alone = Arc::new(MemStore::new());
        persist(&mut persister(&alone), change).unwrap();
        let bytes = alone.read_required(&entries(), &Key::number(1)).unwrap();
        store.write(&entries(), &Key::number(number), bytes).unwrap();
    }
    assert_eq!(load(&mut persister(&store)).unwrap(), states(&[first])[1]);
}

#[test]
fn what_is_no_change_set_is_damage_and_is_not_shown() {
    let changes: Vec<_> = Changes::seeded(9).take(3).collect();
    let good = {
        let store = Arc::new(MemStore::new());
        persist(&mut persister(&store), &changes[0]).unwrap();
        store.read_required(&entries(), &Key::number(1)).unwrap().to_vec()
    };
    let text = String::from_utf8(good.clone()).unwrap();
    let cut = good[..good.len() / 2].to_vec();
    let wrong = text.replace("testnet", "secretnet").into_bytes();
    for bad in [cut, wrong, b"".to_vec(), b"secret".to_vec()] {
        let store = Arc::new(MemStore::new());
        let mut persister = persister(&store);
        for change in &changes {
            persist(&mut persister, change).unwrap();
        }
        store.write(&entries(), &Key::number(2), bad).unwrap();
        let error = load(&mut persister).unwrap_err();
        assert!(matches!(error, Error::Store(kv_core::Error::Corrupt { .. })), "{error:?}");
        let source = error.source().unwrap().to_string();
        assert!(source.starts_with("entry 2: "), "{source}");
        let shown = format!("{error} {error:?} {source}");
        assert!(!shown.contains("secret") && !shown.contains("tpub"), "{shown}");
    }
    let store = Arc::new(MemStore::new());
    store.write(&entries(), &Key::new("notes").unwrap(), good).unwrap();
    let outcome = load(&mut persister(&store));
    assert!(matches!(outcome, Err(Error::Store(kv_core::Error::Corrupt { .. }))), "{outcome:?}");
}

#[test]
fn debug_shows_no_descriptor() {
    let store = Arc::new(MemStore::new());
    let mut persister = persister(&store);
    persist(&mut persister, &Changes::seeded(10).next().unwrap()).unwrap();
    assert_eq!(format!("{persister:?}"), "BdkPersister { entries: Some(1), .. }");
}

#[test]
fn a_refusal_leaves_the_changes_staged() {
    let medium = kv_mem::Medium::default();
    let store = Arc::new(MemStore::open(medium.clone()).unwrap());
    let (external, internal) = common::descriptors();
    let mut persister = persister(&store);
    let create = Wallet::create(external, internal).network(Network::Testnet);
    let mut wallet = create.create_wallet(&mut persister).unwrap();
    wallet.reveal_next_address(KeychainKind::External);
    store.close().unwrap();
    let outcome = wallet.persist(&mut persister);
    assert!(matches!(outcome, Err(Error::Store(kv_core::Error::Closed { .. }))), "{outcome:?}");
    let store = Arc::new(MemStore::open(medium).unwrap());
    let mut persister = self::persister(&store);
    assert!(wallet.persist(&mut persister).unwrap());
    let again = Wallet::load().load_wallet(&mut persister).unwrap().unwrap();
    assert_eq!(again.derivation_index(KeychainKind::External), Some(0));
}

#[test]
fn a_failure_of_unknown_outcome_is_settled_by_reopening() {
    for landing in [Landing::Absent, Landing::Landed] {
        let (inner, fault) = (Arc::new(MemStore::new()), Arc::new(Fault::default()));
        let faulty = Arc::new(FaultyStore::new(inner.clone(), fault.clone()));
        let (external, internal) = common::descriptors();
        let mut persister = BdkPersister::new(faulty, "w").unwrap();
        let create = Wallet::create(external, internal).network(Network::Testnet);
        let mut wallet = create.create_wallet(&mut persister).unwrap();
        wallet.reveal_next_address(KeychainKind::External);
        fault.fail_nth(2, landing);
        let outcome = wallet.persist(&mut persister);
        assert!(matches!(outcome, Err(Error::Store(kv_core::Error::Io { .. }))), "{outcome:?}");
        // It does not try again by itself.
        let outcome = wallet.persist(&mut persister);
        assert!(matches!(outcome, Err(Error::Store(kv_core::Error::Io { .. }))), "{outcome:?}");
        let loaded = Wallet::load().load_wallet(&mut persister);
        assert!(loaded.is_err(), "the store is to be opened again");
        // The same changes once more do no harm.
        let mut persister = self::persister(&inner);
        assert!(wallet.persist(&mut persister).unwrap());
        let again = Wallet::load().load_wallet(&mut persister).unwrap().unwrap();
        assert_eq!(again.derivation_index(KeychainKind::External), Some(0));
    }
}

/// Over a recorder whose cloud is away until told otherwise.
fn replicated() -> (Arc<Recorder>, Arc<Replicated>) {
    let (rules, clock) = (Rules::new([]), Arc::new(ManualClock::default()));
    let settings = RecorderSettings::default();
    let recorder = Recorder::open(Arc::new(MemStore::new()), rules, clock, settings).unwrap();
    let policies = Policies::all(Policy::Replicated);
    (recorder.clone(), Replicated::new(recorder, policies, 10))
}

/// What becomes ready without anything else happening.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

#[test]
fn a_wallet_is_loaded_while_the_cloud_is_away() {
    let (recorder, store) = replicated();
    let changes: Vec<_> = Changes::seeded(1).take(2).collect();
    let mut persister = BdkPersister::new(store.clone(), "w").unwrap();
    // Not in the cloud yet, and nobody waits for it any more.
    assert!(at_once(AsyncWalletPersister::persist(&mut persister, &changes[0])).is_none());
    assert!(recorder.lag().records > 0);
    for _ in 0..2 {
        let loaded = at_once(AsyncWalletPersister::initialize(&mut persister));
        assert_eq!(loaded.unwrap().unwrap(), states(&changes)[1]);
        // Another one, after a restart for instance.
        persister = BdkPersister::new(store.clone(), "w").unwrap();
    }
    // This waits for no cloud either, or it would not return.
    assert_eq!(load(&mut persister).unwrap(), states(&changes)[1]);
}

#[test]
fn after_an_unknown_outcome_nothing_is_written_before_the_wallet_is_loaded() {
    let (recorder, store) = replicated();
    let changes: Vec<_> = Changes::seeded(1).take(2).collect();
    let mut persister = BdkPersister::new(store.clone(), "w").unwrap();
    let first = async {
        let mut persisting = pin!(AsyncWalletPersister::persist(&mut persister, &changes[0]));
        assert!(at_once(persisting.as_mut()).is_none());
        // Another device has taken over: it is here, and never in the cloud.
        recorder.fence_stopped(0, Arc::new(std::io::Error::other("another device")));
        persisting.await
    };
    let outcome = block_on(first);
    let unknown = |outcome: &Result<(), Error>| {
        matches!(outcome, Err(Error::Store(kv_core::Error::NotReplicated { .. })))
    };
    assert!(unknown(&outcome), "{outcome:?}");
    let written = recorder.sequence();
    let outcome = persist(&mut persister, &changes[1]);
    assert!(unknown(&outcome), "{outcome:?}");
    assert_eq!(recorder.sequence(), written, "it writes nothing");
    assert_eq!(load(&mut persister).unwrap(), states(&changes)[1]);
    // Then it goes on.
    recorder.fence_passed(written);
    assert!(at_once(AsyncWalletPersister::persist(&mut persister, &changes[1])).is_none());
    assert!(recorder.sequence() > written);
    assert_eq!(load(&mut persister).unwrap(), states(&changes)[2]);
}
