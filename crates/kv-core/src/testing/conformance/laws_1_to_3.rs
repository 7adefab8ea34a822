//! Laws 1 to 3: atomic, ordered, durable once resolved.

use super::{key, ns, numbered, open, read};
use crate::{Batch, KvStoreExt, testing::Testbed};

/// Law 1: a batch is wholly there or wholly absent, also after a crash at any point.
pub fn law_1_atomic<B: Testbed>(make: &impl Fn() -> B) {
    // Count up the failing operation until the workload runs through without meeting it.
    for nth in 1..10_000 {
        let bed = make();
        let store = open(&bed);
        let (a, b) = (ns("a"), ns("b"));
        store.write(&a, &key("old"), b"old").unwrap();
        bed.fail_nth(nth);
        let batch = Batch::new()
            .put(&a, &key("one"), vec![1; 3000])
            .put(&b, &key("two"), b"2")
            .put(&b, &key("three"), b"")
            .remove(&a, &key("old"));
        let outcome = store.submit(batch).wait();
        bed.crash();
        drop(store);
        let fired = bed.fired();
        bed.fail_nth(0);

        let store = open(&bed);
        let found = [
            read(&store, &a, &key("one")).is_some(),
            read(&store, &b, &key("two")).is_some(),
            read(&store, &b, &key("three")).is_some(),
            read(&store, &a, &key("old")).is_none(),
        ];
        assert!(
            found == [true; 4] || found == [false; 4],
            "operation {nth} failed and half a batch is there: {found:?}"
        );
        if outcome.is_ok() {
            assert_eq!(found, [true; 4], "operation {nth}: acknowledged, but absent");
        }
        if !fired {
            assert_eq!(found, [true; 4], "nothing failed, but the batch is absent");
            return;
        }
    }
    panic!("the injected failure never stopped firing");
}

/// Law 2: the order of submits is the order of effects, across crashes, dropped commits and lazy batches.
pub fn law_2_ordered<B: Testbed>(make: &impl Fn() -> B) {
    // Last submit wins, however the commits are waited for.
    let bed = make();
    let store = open(&bed);
    let a = ns("a");
    let mut commits: Vec<_> =
        (0u8..100).map(|i| store.submit(Batch::new().put(&a, &key("k"), vec![i]))).collect();
    commits.reverse();
    for commit in commits {
        commit.wait().unwrap();
    }
    assert_eq!(read(&store, &a, &key("k")), Some(vec![99]));

    // A crash leaves a prefix.
    for round in 0..8u64 {
        let bed = make();
        let store = open(&bed);
        if round % 2 == 1 {
            bed.fail_nth(round * 2);
        }
        for i in 0..40 {
            let batch =
                Batch::new().put(&a, &numbered(i), b"x").put(&a, &key("last"), vec![i as u8]);
            let commit = store.submit(if i % 5 == 4 { batch.lazy() } else { batch });
            if i as u64 == round * 4 {
                // Only to get some of it to the disk: under an injected failure it may fail.
                let _ = commit.wait();
            }
        }
        bed.crash();
        drop(store);
        bed.fail_nth(0);
        let store = open(&bed);
        let there: Vec<bool> = (0..40).map(|i| read(&store, &a, &numbered(i)).is_some()).collect();
        let prefix = there.iter().take_while(|t| **t).count();
        assert!(
            there.iter().skip(prefix).all(|t| !t),
            "a later batch without an earlier: {there:?}"
        );
        let last = prefix.checked_sub(1).map(|i| vec![i as u8]);
        assert_eq!(read(&store, &a, &key("last")), last, "effects out of order");
    }
}

/// Law 3: what was acknowledged survives a power cut; a lazy batch survives the next flush or close.
pub fn law_3_durable_once_resolved<B: Testbed>(make: &impl Fn() -> B) {
    let bed = make();
    let (a, gone) = (ns("a"), key("gone"));
    let store = open(&bed);
    store.write(&a, &gone, b"x").unwrap();
    for i in 0..20 {
        store.write(&a, &numbered(i), vec![i as u8; i * 100]).unwrap();
    }
    store.remove(&a, &gone).unwrap();
    bed.crash();
    drop(store);

    let store = open(&bed);
    for i in 0..20 {
        assert_eq!(
            read(&store, &a, &numbered(i)),
            Some(vec![i as u8; i * 100]),
            "lost at a power cut"
        );
    }
    assert_eq!(read(&store, &a, &gone), None, "an acknowledged removal came back");

    store.submit(Batch::new().put(&a, &key("lazy"), b"1").lazy()).wait().unwrap();
    store.flush().unwrap();
    bed.crash();
    drop(store);
    let store = open(&bed);
    assert_eq!(read(&store, &a, &key("lazy")), Some(b"1".to_vec()), "lazy and flushed, but lost");

    store.remove_lazy(&a, &key("lazy")).unwrap();
    store.close().unwrap();
    bed.crash();
    drop(store);
    let store = open(&bed);
    assert_eq!(read(&store, &a, &key("lazy")), None, "lazy and closed, but lost");
}
