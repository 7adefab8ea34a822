//! Details of the contract beside the laws: listing, sizes, names, closing, the model, histories.

use std::{collections::BTreeMap, sync::Arc, thread};

use super::{key, ns, numbered, open, read};
use crate::{
    Batch, Error, Key, KvStore, KvStoreExt, Namespace, ReadMany,
    testing::{Call, History, Random, Testbed, check_linearizable, check_model},
};

/// Within a batch the last change per key wins.
pub fn last_change_per_key_wins<B: Testbed>(make: &impl Fn() -> B) {
    let bed = make();
    let store = open(&bed);
    let (a, k, l) = (ns("a"), key("k"), key("l"));
    let batch = Batch::new().put(&a, &k, b"1").remove(&a, &k).put(&a, &k, b"2").put(&a, &l, b"3");
    store.submit(batch.remove(&a, &l)).wait().unwrap();
    assert_eq!(read(&store, &a, &k), Some(b"2".to_vec()));
    assert_eq!(store.list_all(&a).unwrap(), [k]);
}

/// Listings are ascending, paged by an exclusive start that need not exist, and apart per namespace.
pub fn listing_pages_in_order<B: Testbed>(make: &impl Fn() -> B) {
    let bed = make();
    let store = open(&bed);
    let a = ns("a");
    let mut random = Random::seeded(7);
    let mut numbers: Vec<usize> = (0..60).collect();
    for i in (1..numbers.len()).rev() {
        numbers.swap(i, random.below(i as u64 + 1) as usize);
    }
    let mut batch = Batch::new();
    for n in &numbers {
        batch = batch.put(&a, &numbered(*n), b"x");
    }
    store.submit(batch).wait().unwrap();
    for (primary, secondary) in [("", ""), ("a", "b"), ("A", ""), ("ab", "")] {
        let ns = Namespace::new(primary, secondary).unwrap();
        store.write(&ns, &key("elsewhere"), b"x").unwrap();
    }
    let mut pages: Vec<Key> = Vec::new();
    loop {
        let page = store.list(&a, pages.last(), 7).unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 7);
        pages.extend(page);
    }
    assert_eq!(pages, (0..60).map(numbered).collect::<Vec<_>>());
    assert_eq!(store.list(&a, Some(&key("key-00010a")), 1).unwrap(), [numbered(11)]);
    assert!(store.list(&a, None, 0).unwrap().is_empty());
    assert!(store.list(&ns("none"), None, 9).unwrap().is_empty());
    let names: Vec<Namespace> = [("", ""), ("A", ""), ("a", ""), ("a", "b"), ("ab", "")]
        .map(|(p, s)| Namespace::new(p, s).unwrap())
        .into();
    assert_eq!(store.namespaces().unwrap(), names);
}

/// Empty values, values of odd sizes and large ones come back as they were, also after a reopening.
pub fn values_of_all_sizes<B: Testbed>(make: &impl Fn() -> B) {
    let bed = make();
    let a = ns("a");
    let mut random = Random::seeded(3);
    let sizes = [0, 1, 63, 4095, 4096, 4097, 65_536, 300_000, 1_200_000];
    let values: Vec<Vec<u8>> = sizes.iter().map(|size| random.bytes(*size)).collect();
    let store = open(&bed);
    for (i, value) in values.iter().enumerate() {
        store.write(&a, &numbered(i), value.as_slice()).unwrap();
        assert!(read(&store, &a, &numbered(i)).as_ref() == Some(value));
    }
    store.close().unwrap();
    drop(store);
    let store = open(&bed);
    for (i, value) in values.iter().enumerate() {
        assert!(read(&store, &a, &numbered(i)).as_ref() == Some(value), "{} bytes", value.len());
    }
}

/// Several reads at once answer what single ones do, and stop once that is enough.
pub fn many_reads_answer_as_single_ones<B: Testbed>(make: &impl Fn() -> B) {
    let bed = make();
    let store = open(&bed);
    let ns = ns("many");
    let mut batch = Batch::new();
    for n in (0..50).step_by(2) {
        batch = batch.put(&ns, &numbered(n), vec![n as u8; 100 * (n + 1)]);
    }
    store.submit(batch).wait().unwrap();
    let Some(many) = store.capabilities().read_many else { return };
    // Present and absent, in no order, one of them twice.
    let keys: Vec<Key> = (0..50).rev().chain([7, 8]).map(numbered).collect();
    let values = shown(many, &ns, &keys, usize::MAX);
    let single: Vec<_> = keys.iter().map(|key| read(&store, &ns, key)).collect();
    assert_eq!(values, single);
    for (enough, expected) in [(0, 1), (1, 2), (4900, 2), (4901, 4), (9600, 4), (9601, 6)] {
        let some = shown(many, &ns, &keys, enough);
        assert!(some.len() <= expected, "{} values for {enough} bytes", some.len());
        let bytes: usize = some.iter().flatten().map(|value| value.len()).sum();
        assert!(bytes >= enough.min(1) || some.len() == keys.len());
        assert!(!some.is_empty() && single.starts_with(&some));
    }
    let nowhere = Namespace::new("nowhere", "").unwrap();
    assert_eq!(shown(many, &nowhere, &[numbered(1), numbered(2)], 10), [None, None]);
    assert_eq!(shown(many, &ns, &[], 10), []);
    // Whoever is shown them may have seen enough.
    let mut seen = 0;
    let refused = many.read_many(&ns, &keys, usize::MAX, &mut |_, _| {
        seen += 1;
        Err(Error::Full { store: "test" })
    });
    assert!(matches!(refused, Err(Error::Full { store: "test" })) && seen == 1, "{refused:?}");
    // What the numbers are is the store's own affair.
    for (ns, keys) in [(&ns, &*keys), (&ns, &[]), (&nowhere, &keys)] {
        assert_eq!(many.places(ns, keys).unwrap().len(), keys.len());
    }
}

/// The values that are shown, by the places of their keys.
fn shown(many: &dyn ReadMany, ns: &Namespace, keys: &[Key], enough: usize) -> Vec<Option<Vec<u8>>> {
    let mut shown = BTreeMap::new();
    let read = many.read_many(ns, keys, enough, &mut |at, value| {
        assert!(shown.insert(at, value.map(<[u8]>::to_vec)).is_none(), "{at} is shown twice");
        Ok(())
    });
    assert!(shown.keys().copied().eq(0..read.unwrap()), "not those that were counted");
    shown.into_values().collect()
}

/// Names of the layers (a leading `~`) work as any other and are kept apart from a user's.
pub fn own_names_are_free<B: Testbed>(make: &impl Fn() -> B) {
    let bed = make();
    let store = open(&bed);
    let own = Namespace::reserved("~layer", "x").unwrap();
    store.write(&own, &Key::number(7), b"own").unwrap();
    store.write(&ns("layer"), &Key::number(7), b"user").unwrap();
    store.close().unwrap();
    drop(store);
    let store = open(&bed);
    assert_eq!(read(&store, &own, &Key::number(7)), Some(b"own".to_vec()));
    assert_eq!(store.namespaces().unwrap(), [ns("layer"), own.clone()]);
    // The longest names fit on the disk.
    let long = Namespace::new(&"n".repeat(120), &"S".repeat(120)).unwrap();
    store.write(&long, &key(&"k".repeat(120)), b"long").unwrap();
    assert_eq!(store.list_all(&long).unwrap().len(), 1);
}

/// Close twice, then everything answers `Closed`.
pub fn close_is_final_and_idempotent<B: Testbed>(make: &impl Fn() -> B) {
    let bed = make();
    let store = open(&bed);
    let (a, k) = (ns("a"), key("k"));
    store.write(&a, &k, b"x").unwrap();
    store.close().unwrap();
    store.close().unwrap();
    assert!(matches!(store.read(&a, &k), Err(Error::Closed { .. })));
    assert!(matches!(store.list(&a, None, 1), Err(Error::Closed { .. })));
    assert!(matches!(store.namespaces(), Err(Error::Closed { .. })));
    assert!(matches!(store.submit(Batch::new()).wait(), Err(Error::Closed { .. })));
    assert!(matches!(store.write(&a, &k, b"y"), Err(Error::Closed { .. })));
}

/// A store behind `Arc`, `Box` and a reference is the same store.
pub fn pointers_forward<B: Testbed>(make: &impl Fn() -> B) {
    let bed = make();
    let store: Box<Arc<dyn KvStore>> = Box::new(open(&bed));
    let (a, k) = (ns("a"), key("k"));
    KvStore::submit(&store, Batch::new().put(&a, &k, b"x")).wait().unwrap();
    assert!((&&store).read(&a, &k).unwrap().is_some());
    store.close().unwrap();
}

/// A healthy store has no damage to report, and the scrub reads every entry.
pub fn verify_is_clean_when_nothing_is_wrong<B: Testbed>(make: &impl Fn() -> B) {
    let bed = make();
    let store = open(&bed);
    for i in 0..10 {
        store.write(&ns("a"), &numbered(i), vec![1; i * 500]).unwrap();
    }
    let check = |store: &dyn KvStore| {
        let verify = store.capabilities().verify.expect("every store of this project can verify");
        let report = verify.verify(&mut |_| ()).unwrap();
        assert!(!report.is_damaged(), "{:?}", report.findings);
        assert!(report.entries >= 10, "only {} entries were read", report.entries);
    };
    check(&store);
    store.close().unwrap();
    drop(store);
    check(&open(&bed));
}

/// Concurrent calls of four threads have a sequential explanation.
pub fn history_is_linearizable<B: Testbed>(make: &impl Fn() -> B) {
    for seed in 0..4 {
        let bed = make();
        let store = open(&bed);
        let a = ns("a");
        let history = History::default();
        thread::scope(|scope| {
            for thread in 0..4u64 {
                let (store, history, a) = (&store, &history, &a);
                scope.spawn(move || {
                    let mut random = Random::seeded(seed * 100 + thread);
                    for i in 0..24u64 {
                        let (n, value) = (random.below(3) as u32, thread * 1000 + i);
                        let k = key(&format!("k{n}"));
                        history.record(n, || call(store, a, &k, value, random.below(5)));
                    }
                });
            }
        });
        check_linearizable(&history.into_events()).unwrap();
    }
}

fn call(store: &dyn KvStore, ns: &Namespace, key: &Key, value: u64, kind: u64) -> Call {
    match kind {
        0 => {
            store.remove(ns, key).unwrap();
            Call::Remove
        }
        1 => match store.write_if_absent(ns, key, &value.to_le_bytes()) {
            Ok(()) => Call::WriteIfAbsent(value, true),
            Err(Error::Precondition { .. }) => Call::WriteIfAbsent(value, false),
            Err(e) => panic!("{e:?}"),
        },
        2 => {
            store.write(ns, key, &value.to_le_bytes()).unwrap();
            Call::Write(value)
        }
        _ => {
            let found = read(store, ns, key);
            Call::Read(found.map(|v| u64::from_le_bytes(v.try_into().unwrap())))
        }
    }
}

/// Random programs with reopening and crashes agree with a `BTreeMap`.
pub fn model_agrees<B: Testbed>(make: &impl Fn() -> B) {
    check_model(make, 64);
}
