//! The name directory on disk: folding, merging, and agreement with the values in any crash.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests panic")]

mod common;

use std::{collections::BTreeSet, sync::Arc};

use common::{Bed, everything, key, ns, root};
use kv_core::{
    Batch, Capabilities, Commit, Durability, Error, Key, KvStore, KvStoreExt, Namespace, Result,
    Value,
    testing::{Landing, Random, Testbed},
};
use kv_mem::{Medium, MemStore};
use vault::SealedStore;

type Names = BTreeSet<(Namespace, Key)>;

fn name(n: u64) -> (Namespace, Key) {
    let spaces = [("", ""), ("a", ""), ("a", "b"), ("~records", "transactions")];
    let (primary, secondary) = spaces[(n % 4) as usize];
    // Long names, so that some pages are full and outlive many folds.
    (ns(primary, secondary), key(&format!("{n:0>100}")))
}

/// What the store shows, with every value read.
fn shown(store: &dyn KvStore) -> Names {
    let mut names = Names::new();
    for ns in store.namespaces().unwrap() {
        for key in store.list_all(&ns).unwrap() {
            assert!(store.read(&ns, &key).unwrap().is_some());
            names.insert((ns.clone(), key));
        }
    }
    names
}

fn assert_healthy(store: &dyn KvStore) {
    let verify = store.capabilities().verify.unwrap();
    let report = verify.verify(&mut |_| ()).unwrap();
    assert_eq!(report.findings, []);
}

/// How many small entries and pages there are, after checking their sizes.
fn parts(bed: &Bed) -> (usize, usize) {
    let raw = bed.raw();
    let all = everything(&raw);
    let count = |class: &str| {
        let parts = all.iter().filter(|(at, ..)| *at == ns("~vault", class));
        parts.inspect(|(_, _, value)| assert!(value.len() <= 64 * 1024)).count()
    };
    (count("names"), count("pages"))
}

/// Random additions and removals in batches of random size, against a set, with reopenings.
#[test]
fn the_directory_agrees_with_a_set() {
    for seed in 0..3 {
        let bed = Bed::default();
        let mut random = Random::seeded(seed);
        let mut store = bed.open().unwrap();
        let mut expected = Names::new();
        for round in 0..60 {
            let mut batch = Batch::new();
            // Phases of growth, of churn and of shrinking.
            let adding = [80, 50, 15][round / 20];
            for _ in 0..random.below(120) {
                let (ns, key) = name(random.below(1500));
                if random.below(100) < adding {
                    expected.insert((ns.clone(), key.clone()));
                    batch = batch.put(&ns, &key, b"x");
                } else {
                    expected.remove(&(ns.clone(), key.clone()));
                    batch = batch.remove(&ns, &key);
                }
            }
            store.submit(batch).wait().unwrap();
            if random.below(8) == 0 {
                store.close().unwrap();
                store = bed.open().unwrap();
                assert_eq!(shown(&*store), expected);
            }
        }
        assert_eq!(shown(&*store), expected);
        assert_healthy(&*store);
    }
}

#[test]
fn names_are_folded_into_few_pages_and_dead_ones_vanish() {
    let bed = Bed::default();
    let store = bed.open().unwrap();
    for n in 0..6000 {
        let (ns, key) = name(n);
        drop(store.submit(Batch::new().put(&ns, &key, b"x")));
    }
    store.close().unwrap();
    let (entries, pages) = parts(&bed);
    assert!(entries <= 500, "{entries} small entries");
    // 6000 names of 100 bytes, with a length and an index: ten pages, if they are filled.
    assert!((10..=21).contains(&pages), "{pages} pages");

    let store = bed.open().unwrap();
    for n in 0..6000 {
        let (ns, key) = name(n);
        drop(store.submit(Batch::new().remove(&ns, &key)));
    }
    assert!(store.namespaces().unwrap().is_empty());
    store.close().unwrap();
    let (entries, pages) = parts(&bed);
    assert!(entries <= 500, "{entries} small entries");
    assert!(pages <= 3, "{pages} pages of nothing");
    let left: usize = everything(&bed.raw()).iter().map(|(.., value)| value.len()).sum();
    assert!(left < 200_000, "{left} bytes hold nothing");
}

/// A page that holds tombs of an older page is merged while that one stays.
#[test]
fn tombs_outlive_the_page_they_lie_in() {
    let bed = Bed::default();
    let store = bed.open().unwrap();
    let mut expected = Names::new();
    let mut change = |put: std::ops::Range<u64>, removed: std::ops::Range<u64>| {
        let mut batch = Batch::new();
        for (ns, key) in put.map(name) {
            batch = batch.put(&ns, &key, b"x");
            expected.insert((ns, key));
        }
        for (ns, key) in removed.map(name) {
            batch = batch.remove(&ns, &key);
            expected.remove(&(ns, key));
        }
        store.submit(batch).wait().unwrap();
    };
    change(0..500, 0..0);
    // Folds these into the first page; a fifth of it dies.
    change(500..900, 0..100);
    // Folds these into the second page, which holds a hundred tombs of the first; most of it dies.
    change(900..1100, 500..800);
    // The third page takes in what is left of the second.
    change(1100..1101, 0..0);
    store.close().unwrap();
    assert_eq!(parts(&bed), (1, 2));
    assert_eq!(shown(&*bed.open().unwrap()), expected);
}

/// The longest names, each in a namespace of its own: pages are cut in time.
#[test]
fn pages_stay_below_their_limit_with_the_longest_names() {
    let bed = Bed::default();
    let store = bed.open().unwrap();
    let long = |n: u64, c: &str| format!("{n:04}{}", c.repeat(116));
    let mut expected = Names::new();
    for n in 0..700 {
        let name = (ns(&long(n, "p"), &long(n, "s")), key(&long(n, "k")));
        drop(store.submit(Batch::new().put(&name.0, &name.1, b"x")));
        expected.insert(name);
    }
    drop(store.submit(Batch::new().put(&name(0).0, &name(0).1, b"x")));
    expected.insert(name(0));
    store.close().unwrap();
    let (_, pages) = parts(&bed);
    assert!(pages >= 2, "500 long names do not fit into one page");
    assert_eq!(shown(&*bed.open().unwrap()), expected);
}

/// One batch with more names than a page holds.
#[test]
fn a_batch_of_very_many_names() {
    let bed = Bed::default();
    let store = bed.open().unwrap();
    let mut batch = Batch::new();
    for n in 0..5000 {
        let (ns, key) = name(n);
        batch = batch.put(&ns, &key, b"x");
    }
    store.submit(batch).wait().unwrap();
    store.write(&ns("a", ""), &key("fold"), b"x").unwrap();
    store.close().unwrap();
    assert_eq!(parts(&bed).0, 1);
    assert_eq!(shown(&*bed.open().unwrap()).len(), 5001);
}

/// What a large batch adds lies in pages at once, also behind names that are not folded yet and
/// behind pages with tombs.
#[test]
fn names_of_a_large_batch_go_into_pages_at_once() {
    let bed = Bed::default();
    let store = bed.open().unwrap();
    let mut expected = Names::new();
    let mut change = |put: std::ops::Range<u64>, removed: std::ops::Range<u64>| {
        let mut batch = Batch::new();
        for (ns, key) in put.map(name) {
            batch = batch.put(&ns, &key, b"x");
            expected.insert((ns, key));
        }
        for (ns, key) in removed.map(name) {
            batch = batch.remove(&ns, &key);
            expected.remove(&(ns, key));
        }
        store.submit(batch).wait().unwrap();
        expected.clone()
    };
    change(0..600, 0..0);
    // In a small entry, with tombs.
    change(600..610, 0..20);
    // Folds that first.
    change(1000..2000, 0..0);
    // Some of them were there already.
    change(1500..2600, 0..0);
    let expected = change(0..0, 1990..2010);
    assert_eq!(shown(&*store), expected);
    assert_healthy(&*store);
    store.close().unwrap();
    assert_eq!(parts(&bed).0, 1, "only the last removals are in a small entry");
    let store = bed.open().unwrap();
    assert_eq!(shown(&*store), expected);
    assert_healthy(&*store);
    // Pages that were written at once die and are merged as all others.
    for n in 0..2600 {
        let (ns, key) = name(n);
        drop(store.submit(Batch::new().remove(&ns, &key)));
    }
    store.close().unwrap();
    let (entries, pages) = parts(&bed);
    assert!(entries <= 500 && pages <= 3, "{entries} small entries, {pages} pages of nothing");
    assert!(bed.open().unwrap().namespaces().unwrap().is_empty());
}

/// Every operation below fails once, with and without its effect: after reopening, a batch is
/// wholly there or wholly absent, and names and values agree.
#[test]
fn directory_and_values_agree_after_any_failure() {
    let batches: Vec<(Batch, Names)> = history();
    for landing in [Landing::Absent, Landing::Landed] {
        for nth in 1.. {
            let bed = Bed::default();
            let store = bed.open().unwrap();
            bed.fault.fail_nth(nth, landing);
            let mut acknowledged = 0;
            for (batch, _) in &batches {
                match store.submit(batch.clone()).wait() {
                    Ok(()) => acknowledged += 1,
                    Err(_) => break,
                }
            }
            let fired = bed.fault.fired();
            bed.fault.fail_nth(0, Landing::Absent);
            bed.crash();
            drop(store);
            let store = bed.open().unwrap();
            let found = shown(&*store);
            let state =
                |n: usize| n.checked_sub(1).map(|n| batches[n].1.clone()).unwrap_or_default();
            let next = (acknowledged + 1).min(batches.len());
            assert!(
                found == state(acknowledged) || found == state(next),
                "operation {nth}, {landing:?}: neither batch {acknowledged} nor the next"
            );
            assert_healthy(&*store);
            // It goes on from there.
            store.write(&ns("after", ""), &key("k"), b"x").unwrap();
            store.close().unwrap();
            assert_eq!(shown(&*bed.open().unwrap()).len(), found.len() + 1);
            if !fired {
                assert_eq!(acknowledged, batches.len());
                assert!(nth > batches.len() as u64, "folds were counted, too");
                break;
            }
        }
    }
}

/// A removal that took effect although it was answered with an error: unknown, but no damage.
#[test]
fn what_failed_below_does_not_count_as_missing() {
    let bed = Bed::default();
    let store = bed.open().unwrap();
    let (ns, key) = name(0);
    store.write(&ns, &key, b"x").unwrap();
    bed.fault.fail_nth(1, Landing::Landed);
    store.remove(&ns, &key).unwrap_err();
    assert!(store.read(&ns, &key).unwrap().is_none());
    bed.crash();
    assert_eq!(shown(&*bed.open().unwrap()), Names::new());
}

/// Batches that make the directory fold, bury names in pages, merge them, and fill them at once.
fn history() -> Vec<(Batch, Names)> {
    let mut random = Random::seeded(11);
    let mut names = Names::new();
    let mut batches = Vec::new();
    for round in 0..9 {
        let mut batch = Batch::new();
        if round == 5 {
            // So many that they go into pages at once.
            for (ns, key) in (800..1500).map(name) {
                batch = batch.put(&ns, &key, b"x");
                names.insert((ns, key));
            }
            batches.push((std::mem::take(&mut batch), names.clone()));
        }
        for n in 0..260 {
            let (ns, key) = name(if round < 3 { round * 260 + n } else { random.below(780) });
            if round < 3 || random.below(4) == 0 {
                batch = batch.put(&ns, &key, b"x");
                names.insert((ns, key));
            } else {
                batch = batch.remove(&ns, &key);
                names.remove(&(ns, key));
            }
        }
        batches.push((batch, names.clone()));
    }
    batches
}

/// A store that refuses lazy batches, as if it were full: only folds are lazy here.
#[derive(Debug)]
struct NoFolds(MemStore);

impl KvStore for NoFolds {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        self.0.read(ns, key)
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.0.list(ns, after, limit)
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        self.0.namespaces()
    }

    fn submit(&self, batch: Batch) -> Commit {
        match batch.durability() {
            Durability::Lazy => Commit::done(Err(Error::Full { store: "no-folds" })),
            Durability::Synced => self.0.submit(batch),
        }
    }

    fn capabilities(&self) -> Capabilities<'_> {
        self.0.capabilities()
    }

    fn close(&self) -> Result<()> {
        self.0.close()
    }
}

#[test]
fn a_refused_fold_is_put_off() {
    let medium = Medium::default();
    let below = Arc::new(NoFolds(MemStore::open(medium.clone()).unwrap()));
    let store = SealedStore::create(below, &root()).unwrap();
    for n in 0..1200 {
        let (ns, key) = name(n);
        store.write(&ns, &key, b"x").unwrap();
    }
    let (ns, key) = name(3);
    store.remove(&ns, &key).unwrap();
    let expected = shown(&*store);
    assert_eq!(expected.len(), 1199);
    store.close().unwrap();

    let below = Arc::new(MemStore::open(medium.clone()).unwrap());
    let store = SealedStore::open(below, &root()).unwrap();
    assert_eq!(shown(&*store), expected);
    store.write(&ns, &key, b"x").unwrap();
    store.close().unwrap();
    let raw = MemStore::open(medium).unwrap();
    let entries = raw.list_all(&common::ns("~vault", "names")).unwrap();
    assert_eq!(entries.len(), 1, "the fold was made up for");
}
