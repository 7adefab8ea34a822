//! Laws 4 to 6: awaitable and waitable, reads see what is durable, errors.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{key, ns, numbered, open, read};
use crate::{
    Batch, Error, KvStore, KvStoreExt,
    testing::{Testbed, block_on},
};

/// Law 4: many commits in flight on one thread, awaited, waited for or dropped; lazy ones land by themselves.
pub fn law_4_awaitable_and_waitable<B: Testbed>(make: &impl Fn() -> B) {
    let bed = make();
    let store = open(&bed);
    let a = ns("a");
    let commits: Vec<_> =
        (0..100).map(|i| store.submit(Batch::new().put(&a, &numbered(i), b"awaited"))).collect();
    for commit in commits {
        block_on(commit).unwrap();
    }
    for i in 100..110 {
        // Dropping a commit cancels nothing.
        drop(store.submit(Batch::new().put(&a, &numbered(i), b"dropped")));
    }
    block_on(store.submit(Batch::new())).unwrap();
    assert_eq!(store.list_all(&a).unwrap().len(), 110, "a dropped commit was lost");

    // A dropped and a lazy batch land without anybody asking.
    drop(store.submit(Batch::new().put(&a, &key("alone"), b"1")));
    let lazy = store.submit(Batch::new().put(&a, &key("lazy"), b"1").lazy());
    let receipt = lazy.receipt();
    block_on(lazy).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while receipt.outcome().is_none() {
        assert!(Instant::now() < deadline, "a lazy batch did not land by itself");
        thread::sleep(Duration::from_millis(5));
    }
    receipt.outcome().unwrap().unwrap();
    assert!(read(&store, &a, &key("alone")).is_some());
    assert!(read(&store, &a, &key("lazy")).is_some());
}

/// Law 5: what a read, a listing or the namespaces showed survives a crash; what was acknowledged shows.
pub fn law_5_reads_see_what_is_durable<B: Testbed>(make: &impl Fn() -> B) {
    for round in 0..12 {
        let bed = make();
        let store = open(&bed);
        let a = ns("a");
        store.write(&a, &key("k"), b"old").unwrap();
        assert_eq!(read(&store, &a, &key("k")), Some(b"old".to_vec()), "acknowledged, not shown");
        let batch = Batch::new().put(&a, &key("k"), b"new").put(&a, &key("k2"), b"new").put(
            &ns("fresh"),
            &key("k"),
            b"new",
        );
        drop(store.submit(if round % 3 == 0 { batch.lazy() } else { batch }));
        if round % 2 == 0 {
            thread::sleep(Duration::from_micros(200 * round));
        }
        let new = |store: &dyn KvStore| {
            [
                read(store, &a, &key("k")) == Some(b"new".to_vec()),
                store.list(&a, None, 10).unwrap().contains(&key("k2")),
                store.namespaces().unwrap().contains(&ns("fresh")),
            ]
        };
        let seen = new(&store);
        // Effects become visible in one step: what was not there at the first look may be at the later.
        assert!(seen.is_sorted(), "a batch became visible in parts: {seen:?}");
        bed.crash();
        drop(store);
        let store = open(&bed);
        let survived = new(&store);
        for (seen, survived) in seen.into_iter().zip(survived) {
            assert!(survived || !seen, "a read showed what was not durable");
        }
        store.write(&a, &key("k3"), b"").unwrap();
        assert!(store.list_all(&a).unwrap().contains(&key("k3")));
        store.remove(&ns("fresh"), &key("k")).unwrap();
        assert_eq!(
            store.namespaces().unwrap(),
            std::slice::from_ref(&a),
            "an empty namespace is shown"
        );
    }
}

/// Law 6: a failed batch is there or absent, everything queued behind it fails, reads go on, reopening heals.
pub fn law_6_an_error_means_unknown_until_reopened<B: Testbed>(make: &impl Fn() -> B) {
    let mut failures = 0;
    for nth in 1..10_000 {
        let bed = make();
        let store = open(&bed);
        let a = ns("a");
        store.write(&a, &key("k"), b"old").unwrap();
        bed.fail_nth(nth);
        let commits: Vec<_> =
            (0..4).map(|i| store.submit(Batch::new().put(&a, &numbered(i), b"x"))).collect();
        let outcomes: Vec<bool> = commits.into_iter().map(|c| c.wait().is_ok()).collect();
        let fired = bed.fired();
        bed.fail_nth(0);
        assert!(
            outcomes.is_sorted_by(|a, b| a >= b),
            "a batch behind a failed one succeeded: {outcomes:?}"
        );
        assert_eq!(read(&store, &a, &key("k")), Some(b"old".to_vec()), "reads must go on");
        if outcomes.contains(&false) {
            failures += 1;
            let refused = store.write(&a, &key("k"), b"newer");
            assert!(matches!(refused, Err(Error::Poisoned { .. })), "not poisoned: {refused:?}");
        }
        bed.crash();
        drop(store);
        let store = open(&bed);
        for (i, ok) in outcomes.iter().enumerate() {
            assert!(!ok || read(&store, &a, &numbered(i)).is_some(), "acknowledged, but lost");
        }
        assert_eq!(read(&store, &a, &key("k")), Some(b"old".to_vec()), "a refused write landed");
        store.write(&a, &key("k"), b"newest").unwrap();
        assert_eq!(read(&store, &a, &key("k")), Some(b"newest".to_vec()));
        if !fired {
            assert!(outcomes.iter().all(|ok| *ok));
            assert!(failures > 0, "no injected failure ever failed a batch");
            return;
        }
    }
    panic!("the injected failure never stopped firing");
}

/// Law 6, the exception: a refusal is known when `submit` returns, changes nothing, and the store goes on.
pub fn law_6_refusals_are_decided_at_submit<B: Testbed>(make: &impl Fn() -> B) {
    let bed = make();
    let store = open(&bed);
    let a = ns("a");
    store.write(&a, &key("k"), b"old").unwrap();
    let commit =
        store.submit(Batch::new().require_absent(&a, &key("k")).put(&a, &key("k"), b"new").put(
            &a,
            &key("other"),
            b"x",
        ));
    let decided = commit.receipt().outcome();
    assert!(matches!(decided, Some(Err(Error::Precondition { .. }))), "{decided:?}");
    assert!(commit.wait().is_err_and(|e| e.is_refusal()));
    store.write(&a, &key("after"), b"x").unwrap();
    assert_eq!(read(&store, &a, &key("k")), Some(b"old".to_vec()));
    assert_eq!(
        store.list_all(&a).unwrap(),
        [key("after"), key("k")],
        "a refused batch left a trace"
    );
}
