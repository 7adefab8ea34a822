//! Laws 7 to 9: damage, ownership, preconditions.

use std::{sync::Barrier, thread};

use super::{key, ns, open, read};
use crate::{
    Batch, Error, KvStoreExt,
    testing::{Damage, Testbed},
};

/// Law 7: missing, damaged, wrong key, newer format and in use are five different errors; damage is never a value.
pub fn law_7_loud_about_damage<B: Testbed>(make: &impl Fn() -> B) {
    let (a, k) = (ns("a"), key("k"));
    let fresh = || {
        let bed = make();
        let store = open(&bed);
        assert!(matches!(store.read_required(&a, &k), Err(Error::NotFound { .. })));
        store.write(&a, &k, b"a value of some length").unwrap();
        store.close().unwrap();
        bed
    };

    let bed = fresh();
    if bed.damage(Damage::Value, &a, &k) {
        let outcome = bed.open().and_then(|store| {
            let report = store.capabilities().verify.map(|v| v.verify(&mut |_| ()));
            if let Some(report) = report {
                assert!(report.unwrap().is_damaged(), "verify did not see the damage");
            }
            store.read(&a, &k)
        });
        assert!(
            matches!(outcome, Err(Error::Corrupt { .. })),
            "damage was answered with {outcome:?}"
        );
    }
    let bed = fresh();
    if bed.damage(Damage::NewerFormat, &a, &k) {
        let outcome = bed.open().map(drop);
        assert!(
            matches!(outcome, Err(Error::TooNew { .. })),
            "a newer format was answered with {outcome:?}"
        );
    }
    let bed = fresh();
    if bed.damage(Damage::WrongKey, &a, &k) {
        let outcome = bed.open().map(drop);
        assert!(
            matches!(outcome, Err(Error::WrongKey { .. })),
            "a wrong key was answered with {outcome:?}"
        );
    }
    let bed = fresh();
    let _held = open(&bed);
    assert!(matches!(bed.open(), Err(Error::InUse { .. })));
}

/// Law 8: a second open is refused; close, drop and crash free the store.
pub fn law_8_one_owner<B: Testbed>(make: &impl Fn() -> B) {
    let bed = make();
    let (a, k) = (ns("a"), key("k"));
    let store = open(&bed);
    store.write(&a, &k, b"1").unwrap();
    for _ in 0..3 {
        assert!(matches!(bed.open(), Err(Error::InUse { .. })), "a second owner was let in");
    }
    store.write(&a, &k, b"2").unwrap();
    store.close().unwrap();
    let second = open(&bed);
    assert!(matches!(store.write(&a, &k, b"3"), Err(Error::Closed { .. })), "a closed store wrote");
    drop(store);
    assert_eq!(read(&second, &a, &k), Some(b"2".to_vec()));
    drop(second);
    let third = open(&bed);
    bed.crash();
    let fourth = open(&bed);
    drop(third);
    assert!(
        matches!(bed.open(), Err(Error::InUse { .. })),
        "a dead handle freed a living one's lock"
    );
    assert_eq!(read(&fourth, &a, &k), Some(b"2".to_vec()));
}

/// Law 9: of sixteen threads that write one key if absent, exactly one wins; the order of submits decides.
pub fn law_9_preconditions_hold<B: Testbed>(make: &impl Fn() -> B) {
    let bed = make();
    let store = open(&bed);
    let a = ns("a");
    for round in 0..5 {
        let k = key(&format!("k{round}"));
        let barrier = Barrier::new(16);
        let won: Vec<u8> = thread::scope(|scope| {
            let race = |i: u8| {
                let (store, barrier, a, k) = (&store, &barrier, &a, &k);
                scope.spawn(move || {
                    barrier.wait();
                    match store.write_if_absent(a, k, &[i]) {
                        Ok(()) => Some(i),
                        Err(Error::Precondition { .. }) => None,
                        Err(e) => panic!("{e:?}"),
                    }
                })
            };
            let threads: Vec<_> = (0..16).map(race).collect();
            threads.into_iter().filter_map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(won.len(), 1, "winners: {won:?}");
        assert_eq!(read(&store, &a, &k), Some(won));
    }

    // Queued, not yet durable changes count: the place in the order decides, not the time.
    let k = key("queued");
    let first = store.submit(Batch::new().require_absent(&a, &k).put(&a, &k, b"1"));
    let second = store.submit(Batch::new().require_absent(&a, &k).put(&a, &k, b"2"));
    let removal = store.submit(Batch::new().remove(&a, &k));
    let third = store.submit(Batch::new().require_absent(&a, &k).put(&a, &k, b"3"));
    assert!(matches!(second.wait(), Err(Error::Precondition { .. })));
    first.wait().unwrap();
    removal.wait().unwrap();
    third.wait().unwrap();
    assert_eq!(read(&store, &a, &k), Some(b"3".to_vec()));
}
