//! Failures of SQLite at every change, once, then a reopening or a crash.

mod common;

use common::{Bed, Contents, key, ns, verify};
use kv_core::{
    Batch, Error, KvStore, KvStoreExt,
    testing::{Random, Testbed},
};

fn batch(n: u64) -> Batch {
    let mut random = Random::seeded(n);
    let name = |n: u64| key(&format!("key-{}", n % 9));
    let len = if n % 6 == 5 { 20_000 } else { 400 };
    let batch = Batch::new().put(&ns("a"), &name(n), random.bytes(len)).put(
        &ns("b"),
        &key("last"),
        n.to_le_bytes().as_slice(),
    );
    if n % 4 == 3 { batch.remove(&ns("a"), &name(n + 2)) } else { batch }
}

/// Whatever fails, what was acknowledged is there after it, and nothing else but a prefix of what
/// was submitted.
#[test]
fn a_failure_at_every_change_loses_nothing_and_a_reopening_heals() {
    let mut states = vec![Contents::default()];
    for n in 0..24 {
        let mut next = states[n as usize].clone();
        next.apply(&batch(n));
        states.push(next);
    }
    // Each failure once, and the two ways to go on in turns.
    for nth in 1.. {
        let bed = Bed::default();
        let store = bed.store().unwrap();
        bed.fail_nth(nth);
        let mut acknowledged = 0;
        let mut failed = false;
        for n in 0..24 {
            match store.submit(batch(n)).wait() {
                Ok(()) => {
                    assert!(!failed, "change {nth}: a later batch was taken");
                    acknowledged = n as usize + 1;
                }
                Err(error) => {
                    assert!(!failed || matches!(error, Error::Poisoned { .. }), "{error:?}");
                    assert!(failed || !error.is_refusal(), "{error:?}");
                    failed = true;
                }
            }
        }
        let fired = bed.fired();
        bed.fail_nth(0);
        if nth % 2 == 0 {
            bed.crash();
        } else {
            // A close after a failure says so, and changes nothing.
            assert_eq!(store.close().is_err(), failed, "change {nth}");
        }
        drop(store);
        let store = bed.store().unwrap();
        let found = Contents::of(&store).unwrap();
        let at = states.iter().position(|state| *state == found);
        let at = at.unwrap_or_else(|| panic!("change {nth}: no prefix"));
        assert!((acknowledged..=acknowledged + 1).contains(&at), "{acknowledged}, but {at}");
        assert!(!verify(&store).is_damaged());
        store.write(&ns("a"), &key("again"), b"x").unwrap();
        store.close().unwrap();
        if !fired {
            assert_eq!(at, 24);
            assert!(nth > 60, "only {nth} changes");
            return;
        }
    }
}

/// A log that cannot be moved is kept, and moved later.
#[test]
fn a_failed_checkpoint_keeps_the_log() {
    let mut survived = 0;
    for nth in 1..10 {
        let bed = Bed::default();
        let store = bed.store().unwrap();
        // The second batch fills the log, and moves it.
        store.write(&ns("a"), &key("key-1"), vec![1; 25_000]).unwrap();
        bed.fail_nth(nth);
        let outcome = store.write(&ns("a"), &key("key-2"), vec![2; 35_000]);
        let fired = bed.fired();
        bed.fail_nth(0);
        if fired && outcome.is_ok() {
            survived += 1;
            store.write(&ns("a"), &key("key-3"), vec![3; 25_000]).unwrap();
            bed.crash();
            drop(store);
            assert_eq!(bed.store().unwrap().list_all(&ns("a")).unwrap().len(), 3);
        }
    }
    assert!(survived > 0, "no checkpoint failed");
}

#[test]
fn after_a_failure_reads_go_on() {
    let bed = Bed::default();
    let store = bed.store().unwrap();
    store.write(&ns("a"), &key("k"), b"old").unwrap();
    bed.fail_nth(2);
    assert!(store.write(&ns("a"), &key("l"), b"new").is_err());
    assert!(matches!(store.write(&ns("a"), &key("l"), b"x"), Err(Error::Poisoned { .. })));
    assert_eq!(&*store.read_required(&ns("a"), &key("k")).unwrap(), b"old");
    assert_eq!(store.list_all(&ns("a")).unwrap(), [key("k")]);
}

/// What a failed flush may have left in the database is not shown: a caller who was told of a failure
/// must not find half of a batch, nor a value that the next opening may not have.
#[test]
fn what_a_failed_flush_has_written_is_not_shown() {
    let mut done = 0;
    for nth in 1..20 {
        // Of the failures every second one happens after the work was done.
        for earlier in 0..2 {
            let bed = Bed::default();
            for _ in 0..earlier {
                let store = bed.store().unwrap();
                bed.fail_nth(1);
                store.write(&ns("a"), &key("first"), b"x").unwrap_err();
            }
            let store = bed.store().unwrap();
            let old =
                Batch::new().put(&ns("a"), &key("k"), b"old").put(&ns("a"), &key("l"), b"old");
            store.submit(old).wait().unwrap();
            bed.fail_nth(nth);
            let new = Batch::new()
                .put(&ns("a"), &key("k"), b"new")
                .remove(&ns("a"), &key("l"))
                .put(&ns("a"), &key("m"), b"new");
            let outcome = store.submit(new).wait();
            let fired = bed.fired();
            bed.fail_nth(0);
            let found = ["k", "l", "m"].map(|name| store.read(&ns("a"), &key(name)));
            // Reading together shows no more than reading alone.
            for (name, alone) in ["k", "l", "m"].iter().zip(&found) {
                let many = store.capabilities().read_many.unwrap();
                let mut shown = None;
                let read = many.read_many(&ns("a"), &[key(name)], usize::MAX, &mut |_, value| {
                    shown = value.map(<[u8]>::to_vec);
                    Ok(())
                });
                assert_eq!(read.is_err(), alone.is_err(), "{nth}: {read:?}, {alone:?}");
                let alone = alone.as_ref().ok().and_then(|value| value.as_deref());
                assert_eq!(shown.as_deref(), alone, "{nth}");
            }
            match outcome {
                Ok(()) => assert_eq!(&*found[0].as_ref().unwrap().clone().unwrap(), b"new"),
                Err(_) => {
                    let is_old = |value: &kv_core::Result<Option<kv_core::Value>>| match value {
                        Ok(value) => value.as_deref() == Some(b"old"),
                        Err(_) => true,
                    };
                    assert!(is_old(&found[0]) && is_old(&found[1]), "{nth}: {found:?}");
                    assert!(!matches!(&found[2], Ok(Some(_))), "{nth}: {found:?}");
                    assert_eq!(store.list_all(&ns("a")).unwrap(), [key("k"), key("l")]);
                    done += usize::from(found[0].is_err());
                }
            }
            assert!(fired || nth > 4, "{nth}");
        }
    }
    assert!(done > 0, "no failure came after the transaction was committed");
}
