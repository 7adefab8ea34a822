//! Passphrases over stores that fail, lose power and are full at each step.

use std::{io, sync::Arc};

use kv_core::{Key, KvStore, KvStoreExt, Namespace};
use kv_fs::{FsStore, Settings, disk::SimDisk};
use kv_mem::MemStore;

use super::*;

fn root() -> RootSecret {
    RootSecret::from_bytes([7; 32])
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text).unwrap()
}

fn open(inner: &Arc<dyn KvStore>, secret: impl Into<Secret>) -> Result<(), UnlockError> {
    SealedStore::open(inner.clone(), secret).map(|_| ())
}

/// What opens a wallet: the old passphrase, the new one, the root secret alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opens {
    Old,
    New,
    Root,
}

/// Which passphrase opens the wallet; the root secret must in every case.
fn what_opens(inner: &Arc<dyn KvStore>) -> Opens {
    open(inner, &root()).unwrap();
    let store = SealedStore::open(inner.clone(), &root()).unwrap();
    let value = store.read(&Namespace::new("a", "").unwrap(), &Key::number(1)).unwrap();
    assert_eq!(value.as_deref(), Some(&b"kept"[..]));
    let header = store.header();
    let by = |text| header.unlock(&Secret::Passphrase(passphrase(text)));
    match (by("the old one"), by("the new one")) {
        (Ok(_), Err(UnlockError::WrongPassphrase)) => Opens::Old,
        (Err(UnlockError::WrongPassphrase), Ok(_)) => Opens::New,
        (Err(UnlockError::NoPassphrase), Err(UnlockError::NoPassphrase)) => Opens::Root,
        other => panic!("neither old nor new: {other:?}"),
    }
}

fn wallet(inner: Arc<dyn KvStore>) -> Arc<SealedStore> {
    let store = SealedStore::create(inner, &root()).unwrap();
    store.write(&Namespace::new("a", "").unwrap(), &Key::number(1), b"kept").unwrap();
    store
}

/// Steps of a passphrase's life, each with what opened the wallet before and opens it after.
const STEPS: [(Opens, Opens); 3] =
    [(Opens::Root, Opens::Old), (Opens::Old, Opens::New), (Opens::New, Opens::Root)];

fn do_step(store: &SealedStore, after: Opens) -> Result<(), UnlockError> {
    match after {
        Opens::Old => {
            store.set_passphrase_at(&Secret::Root(root()), &passphrase("the old one"), Cost::FLOOR)
        }
        Opens::New => {
            let old = Secret::Passphrase(passphrase("the old one"));
            store.set_passphrase_at(&old, &passphrase("the new one"), Cost::FLOOR)
        }
        Opens::Root => store.remove_passphrase(&root()),
    }
}

#[test]
fn a_passphrase_is_set_changed_and_removed() {
    let inner: Arc<dyn KvStore> = Arc::new(MemStore::new());
    let store = wallet(inner.clone());
    assert_eq!(what_opens(&inner), Opens::Root);
    for (before, after) in STEPS {
        assert_eq!(what_opens(&inner), before);
        do_step(&store, after).unwrap();
        assert_eq!(what_opens(&inner), after);
        assert_eq!(store.has_passphrase(), after != Opens::Root);
    }
    store.remove_passphrase(&root()).unwrap();
    assert_eq!(what_opens(&inner), Opens::Root);
}

/// With the cost that everybody pays, from front to back.
#[test]
fn the_usual_cost_is_paid_and_opens_the_wallet() {
    let inner: Arc<dyn KvStore> = Arc::new(MemStore::new());
    let store = wallet(inner.clone());
    store.set_passphrase(&root(), &passphrase("the old one")).unwrap();
    assert_eq!(Cost::USUAL, Cost { memory: 65_536, passes: 3, lanes: 4 });
    assert_eq!(store.header().wrapped().unwrap().unwrap().stronger(), None);
    let before = store.header();
    let store = SealedStore::open(inner, &passphrase("the old one")).unwrap();
    assert_eq!(store.keys().unwrap().wallet_tag(), crate::Keys::derive(&root()).wallet_tag());
    assert_eq!(store.header(), before, "what is strong enough stays as it is");
}

#[test]
fn wrong_secrets_change_nothing() {
    let inner: Arc<dyn KvStore> = Arc::new(MemStore::new());
    let store = wallet(inner.clone());
    let new = passphrase("the new one");
    let none = store.set_passphrase(&passphrase("the old one"), &new);
    assert!(matches!(none, Err(UnlockError::NoPassphrase)));
    do_step(&store, Opens::Old).unwrap();
    let wrong = store.set_passphrase(&passphrase("the odd one"), &new);
    assert!(matches!(wrong, Err(UnlockError::WrongPassphrase)));
    let other = RootSecret::from_bytes([8; 32]);
    let others = store.set_passphrase(&other, &new);
    assert!(matches!(others, Err(UnlockError::OtherWallet)));
    assert!(matches!(store.remove_passphrase(&other), Err(UnlockError::OtherWallet)));
    assert_eq!(what_opens(&inner), Opens::Old);
    store.lock();
    let locked = store.set_passphrase(&root(), &new);
    assert!(matches!(locked, Err(UnlockError::Store(Error::Locked { .. }))));
    let locked = store.remove_passphrase(&root());
    assert!(matches!(locked, Err(UnlockError::Store(Error::Locked { .. }))));
    assert_eq!(what_opens(&inner), Opens::Old);
}

/// Both copies change together, and each opens the wallet when the other is damaged.
#[test]
fn either_copy_opens_with_the_passphrase() {
    let place = Namespace::reserved("~vault", "header").unwrap();
    for bad in 0..2 {
        let inner: Arc<dyn KvStore> = Arc::new(MemStore::new());
        let store = wallet(inner.clone());
        do_step(&store, Opens::Old).unwrap();
        let copies = [0, 1].map(|n| inner.read_required(&place, &Key::number(n)).unwrap());
        assert_eq!(copies[0], copies[1]);
        for at in 0..copies[0].len() {
            let mut bytes = copies[0].to_vec();
            bytes[at] ^= 0x10;
            inner.write(&place, &Key::number(bad), bytes).unwrap();
            let (header, healed) = Header::read(&*inner).unwrap();
            assert!(healed.is_some());
            assert_eq!(header, store.header(), "byte {at} of copy {bad}");
        }
        assert_eq!(what_opens(&inner), Opens::Old);
    }
}

#[test]
fn a_weak_wrap_is_made_stronger_at_unlock() {
    let inner: Arc<dyn KvStore> = Arc::new(MemStore::new());
    let store = wallet(inner.clone());
    do_step(&store, Opens::Old).unwrap();
    let weak = store.header();
    assert_eq!(weak.wrapped().unwrap().unwrap().stronger(), Some(Cost::USUAL));
    // Those who have the root secret leave it alone: they do not know the passphrase.
    open(&inner, &root()).unwrap();
    assert_eq!(Header::read(&*inner).unwrap().0, weak);
    open(&inner, &passphrase("the old one")).unwrap();
    let strong = Header::read(&*inner).unwrap().0;
    assert_eq!(strong.wrapped().unwrap().unwrap().stronger(), None);
    assert_ne!(strong, weak);
    assert_eq!(what_opens(&inner), Opens::Old);
}

fn on_disk(disk: &SimDisk) -> Arc<dyn KvStore> {
    let mut settings = Settings::default();
    settings.segment_size = 8 << 10;
    Arc::new(FsStore::open_alone(disk.mount(), settings).unwrap())
}

/// The process is killed, or the power is cut, before every call to the disk while a passphrase is
/// set, changed and removed and the store is closed; what was not synced is lost or kept in every
/// way. The header is then the old one or the new one, whole, and the new one once that was
/// acknowledged.
#[test]
fn a_passphrase_stopped_at_every_step_leaves_the_old_or_the_new() {
    let disk = SimDisk::new();
    wallet(on_disk(&disk)).close().unwrap();
    let mut tried = 0;
    for (before, after) in STEPS {
        let inner = on_disk(&disk);
        assert_eq!(what_opens(&inner), before);
        let store = SealedStore::open(inner.clone(), &root()).unwrap();
        let old = store.header();
        disk.set_progress(0);
        disk.record();
        do_step(&store, after).unwrap();
        disk.set_progress(1);
        assert_eq!(what_opens(&inner), after);
        let new = store.header();
        store.close().unwrap();
        for (number, point) in (0..).zip(disk.recorded()) {
            let mut fates = point.disk().choices(number);
            fates.push(Vec::new());
            for fates in fates {
                let disk = point.disk();
                disk.crash_keeping(&fates);
                check(&disk, &old, &new, point.progress);
                tried += 1;
            }
            let killed = point.disk();
            killed.kill();
            check(&killed, &old, &new, point.progress);
            tried += 1;
        }
    }
    println!("{tried} states");
    assert!(tried > 100, "only {tried}");
}

fn check(disk: &SimDisk, old: &Header, new: &Header, progress: u64) {
    let (found, _) = Header::read(&*on_disk(disk)).unwrap();
    assert!(found == *new || (found == *old && progress == 0), "neither the old nor the new");
}

/// Every call to the disk fails once, in every step: opened anew, the wallet opens with the old or
/// the new, and with the new if that was acknowledged.
#[test]
fn a_failure_at_every_step_leaves_the_old_or_the_new() {
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::Other] {
        let begin = SimDisk::new();
        wallet(on_disk(&begin)).close().unwrap();
        for (before, after) in STEPS {
            let mut failed = 0;
            for call in 1.. {
                let disk = begin.copy();
                let inner = on_disk(&disk);
                let store = SealedStore::open(inner.clone(), &root()).unwrap();
                let old = store.header();
                disk.fail_nth(call, kind);
                let done = do_step(&store, after);
                let closed = store.close();
                let fired = disk.fired();
                disk.fail(None);
                let new = store.header();
                drop((inner, store));
                disk.kill();
                let (found, _) = Header::read(&*on_disk(&disk)).unwrap();
                match done {
                    Ok(()) => assert_eq!((found != old, &found), (true, &new)),
                    Err(_) => assert!(found == old || found.generation == old.generation + 1),
                }
                failed += u32::from(fired);
                if !fired {
                    closed.unwrap();
                    assert_eq!(what_opens(&on_disk(&disk)), after);
                    break;
                }
            }
            assert!(failed > 2, "{before:?}: only {failed}");
            let inner = on_disk(&begin);
            do_step(&SealedStore::open(inner.clone(), &root()).unwrap(), after).unwrap();
            inner.close().unwrap();
        }
    }
}

/// A full store refuses; the wallet still opens, also where its key would be wrapped anew.
#[test]
fn a_full_store_keeps_the_old_and_opens() {
    let disk = SimDisk::new();
    wallet(on_disk(&disk)).close().unwrap();
    {
        let inner = on_disk(&disk);
        do_step(&SealedStore::open(inner.clone(), &root()).unwrap(), Opens::Old).unwrap();
        inner.close().unwrap();
    }
    let inner = on_disk(&disk);
    let store = SealedStore::open(inner.clone(), &root()).unwrap();
    disk.set_quota(Some(disk.used()));
    let ns = Namespace::new("filler", "").unwrap();
    let mut numbers = 0..;
    for len in [3000, 100, 0] {
        let full = numbers.find_map(|n| store.write(&ns, &Key::number(n), vec![0; len]).err());
        assert!(matches!(full, Some(Error::Full { .. })), "{full:?}");
    }
    let before = store.header();
    let changed = do_step(&store, Opens::New);
    assert!(matches!(changed, Err(UnlockError::Store(Error::Full { .. }))), "{changed:?}");
    assert_eq!(store.header(), before);
    drop(store);
    open(&inner, &passphrase("the old one")).unwrap();
    assert_eq!(Header::read(&*inner).unwrap().0, before);
}
