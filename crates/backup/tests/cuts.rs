//! Cuts: complete, of one moment, and of numbers that are never used again.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests panic")]

mod common;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use backup::{BackupState, Recorder};
use common::{
    Contents, FRAME, apply, backed_up, changes, clock, key, ns, numbered, recorder, recorder_with,
    stores::{self, Hook, Hooked, Slow},
};
use kv_core::{Batch, Key, KvStore, KvStoreExt, Namespace, Timestamp, testing::Random};
use kv_mem::{Medium, MemStore};

type Changes = BTreeMap<(Namespace, Key), Option<Vec<u8>>>;

fn upto(recorder: &Recorder, backed_up: u64) -> BackupState {
    let mut state = recorder.state();
    state.backed_up = backed_up;
    state
}

#[test]
fn every_acknowledged_change_is_in_the_next_cut() {
    for (seed, budget) in [(1, 0), (2, 300), (3, u64::MAX), (4, 0), (5, 300), (6, u64::MAX)] {
        let mut random = Random::seeded(seed);
        let slow = Slow::default();
        let open = || recorder_with(Arc::new(slow.clone()), clock(), budget);
        let mut recorder = open();
        let mut pending = Changes::new();
        for _ in 0..400 {
            match random.below(20) {
                0 => {
                    recorder.flush().unwrap();
                    slow.crash();
                    recorder = open();
                }
                1 | 2 => {
                    let cut = recorder.cut(recorder.state().backed_up).unwrap();
                    let found = cut.as_ref().map(changes).unwrap_or_default();
                    assert_eq!(found, pending, "seed {seed}");
                    if let Some(cut) = cut
                        && random.below(2) == 0
                    {
                        recorder.acknowledge(upto(&recorder, cut.to)).unwrap();
                        pending.clear();
                    }
                }
                _ => {
                    let mut batch = Batch::new();
                    for _ in 0..random.below(4) {
                        let place = (
                            ns(["m", "m2", "s", "other", ""][random.below(5) as usize]),
                            numbered(random.below(12)),
                        );
                        if random.below(4) == 0 {
                            batch = batch.remove(&place.0, &place.1);
                            pending.insert(place, None);
                        } else {
                            let len = random.below(60) as usize;
                            let value = random.bytes(len);
                            batch = batch.put(&place.0, &place.1, value.as_slice());
                            pending.insert(place, Some(value));
                        }
                    }
                    batch = batch.put(&ns("local"), &key("k"), random.bytes(3));
                    let batch = if random.below(3) == 0 { batch.lazy() } else { batch };
                    recorder.submit(batch).wait().unwrap();
                }
            }
        }
    }
}

/// Three writers; each keeps two keys of its own equal, and all together keep a sum over four accounts.
fn write_until(stop: &AtomicBool, recorder: &Recorder, accounts: &Mutex<[u64; 4]>, writer: u64) {
    let mut random = Random::seeded(writer);
    for round in 0u64.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let (left, right) = (key(&format!("left-{writer}")), key(&format!("right-{writer}")));
        let mut batch = Batch::new();
        if round % 5 == 4 {
            batch = batch.remove(&ns("m"), &left).remove(&ns("s"), &right);
        } else {
            let value = round.to_le_bytes();
            batch = batch.put(&ns("m"), &left, &value).put(&ns("s"), &right, &value);
        }
        let (from, to) = (random.below(4) as usize, random.below(4) as usize);
        let mut accounts = accounts.lock().unwrap();
        let amount = random.below(10).min(accounts[from]);
        accounts[from] -= amount;
        accounts[to] += amount;
        for i in [from, to] {
            batch = batch.put(&ns("m2"), &numbered(i as u64), &accounts[i].to_le_bytes());
        }
        // The order of submits is the order of effects; what comes back is waited for elsewhere.
        drop(recorder.submit(batch));
        drop(accounts);
        thread::yield_now();
    }
}

/// Stops the writers, also when a check fails: a test that fails must not hang.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn assert_one_moment(contents: &Contents) {
    for writer in 0..3 {
        let left = contents.get(&(ns("m"), key(&format!("left-{writer}"))));
        let right = contents.get(&(ns("s"), key(&format!("right-{writer}"))));
        assert_eq!(left, right, "two keys of one batch are of two moments");
    }
    let accounts = contents.iter().filter(|((space, _), _)| *space == ns("m2"));
    let sum: u64 =
        accounts.map(|(_, value)| u64::from_le_bytes(value.as_slice().try_into().unwrap())).sum();
    assert_eq!(sum, 400, "accounts are of two moments");
}

#[test]
fn a_cut_is_one_moment_while_others_write() {
    for (budget, reopened) in [(u64::MAX, false), (0, false), (u64::MAX, true), (0, true)] {
        let medium = Medium::default();
        let hook = Hook::default();
        // Between two reads the others get their turn.
        *hook.lock().unwrap() = Some(Arc::new(|_: &Namespace, _: &Key| thread::yield_now()));
        let open = || {
            let store = Arc::new(MemStore::open(medium.clone()).unwrap());
            recorder_with(Arc::new(Hooked::new(store, hook.clone())), clock(), budget)
        };
        let mut recorder = open();
        let accounts = Mutex::new([100; 4]);
        for i in 0..4 {
            recorder.write(&ns("m2"), &numbered(i), &100u64.to_le_bytes()).unwrap();
        }
        if reopened {
            let stop = AtomicBool::new(false);
            thread::scope(|scope| {
                let _stop_at_end = StopAtEnd(&stop);
                scope.spawn(|| write_until(&stop, &recorder, &accounts, 0));
                while recorder.sequence() < 50 {
                    thread::yield_now();
                }
            });
            medium.crash();
            recorder = open();
        }
        let mut model = Contents::new();
        let mut from = 0;
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let _stop_at_end = StopAtEnd(&stop);
            for writer in 0..3 {
                let (recorder, stop, accounts) = (&recorder, &stop, &accounts);
                scope.spawn(move || write_until(stop, recorder, accounts, writer));
            }
            for _ in 0..60 {
                let before = recorder.sequence();
                while recorder.sequence() < before + 5 {
                    thread::yield_now();
                }
                if let Some(cut) = recorder.cut(from).unwrap() {
                    assert_eq!(cut.from, from + 1);
                    from = cut.to;
                    apply(&cut, &mut model);
                    assert_one_moment(&model);
                }
            }
        });
        if let Some(cut) = recorder.cut(from).unwrap() {
            apply(&cut, &mut model);
        }
        assert_eq!(model, backed_up(&recorder));
    }
}

#[test]
fn a_cut_moves_over_what_changes_while_it_reads_and_comes_to_an_end() {
    let (store, hook) = (Arc::new(MemStore::new()), Hook::default());
    let recorder = recorder_with(Arc::new(Hooked::new(store, hook.clone())), clock(), 0);
    let place = (ns("s"), key("restless"));
    recorder.write(&place.0, &place.1, b"0").unwrap();
    recorder.write(&ns("s"), &key("calm"), b"calm").unwrap();
    // At every look the key changes again, together with a second one.
    let looks = Arc::new(AtomicU64::new(0));
    let (weak, counted) = (Arc::downgrade(&recorder), looks.clone());
    *hook.lock().unwrap() = Some(Arc::new(move |_: &Namespace, looked: &Key| {
        if looked.as_str() == "restless" && counted.fetch_add(1, Ordering::Relaxed) < 100 {
            let n = counted.load(Ordering::Relaxed).to_string();
            let batch = Batch::new().put(&ns("s"), looked, n.as_str());
            let batch = batch.put(&ns("m"), &key("companion"), n.as_str());
            weak.upgrade().unwrap().submit(batch).wait().unwrap();
        }
    }));
    let cut = recorder.cut(0).unwrap().unwrap();
    assert!(looks.load(Ordering::Relaxed) < 5, "what changed during a cut must stay in memory");
    assert_eq!(cut.to, 3, "the cut ends at the change it met");
    let expected = [
        ((ns("m"), key("companion")), Some(b"1".to_vec())),
        ((ns("s"), key("calm")), Some(b"calm".to_vec())),
        ((ns("s"), key("restless")), Some(b"1".to_vec())),
    ];
    assert_eq!(changes(&cut), Changes::from(expected));
}

/// What changes behind it is noted nowhere, so nothing would tell that a value is of a later moment.
#[test]
fn a_log_that_is_dropped_while_a_cut_is_under_way_leaves_no_cut() {
    for while_flushing in [false, true] {
        let hook = Hook::default();
        let store = Arc::new(Hooked::new(Arc::new(MemStore::new()), hook.clone()));
        let mut settings = common::budget(0);
        settings.max_lag_bytes = 1000;
        let recorder = Recorder::open(store, common::rules(), clock(), settings).unwrap();
        let both = |value: &[u8]| {
            Batch::new().put(&ns("s"), &key("a"), value).put(&ns("s"), &key("b"), value)
        };
        recorder.submit(both(b"before")).wait().unwrap();
        let (weak, done) = (Arc::downgrade(&recorder), AtomicBool::new(false));
        *hook.lock().unwrap() = Some(Arc::new(move |_: &Namespace, looked: &Key| {
            let is_time =
                if while_flushing { looked.as_number().is_some() } else { looked.as_str() == "b" };
            if is_time && !done.swap(true, Ordering::Relaxed) {
                weak.upgrade().unwrap().submit(both(&[7; 1000])).wait().unwrap();
            }
        }));
        assert_eq!(recorder.cut(0).unwrap(), None, "two moments in one");
        assert!(!recorder.is_noting() && recorder.lag().dump_needed);
    }
}

#[test]
fn what_leaves_is_durable_first_and_its_number_is_never_used_again() {
    // A power cut after: 0 a submit, 1 a cut, 2 an acknowledgement, 3 another flush.
    for seed in 0..200 {
        let mut random = Random::seeded(seed);
        let slow = Slow::default();
        let mut gone_up: BTreeMap<u64, Contents> = BTreeMap::new();
        let mut model = Contents::new();
        for life in 0..12u64 {
            let recorder = recorder_with(Arc::new(slow.clone()), clock(), random.below(2) * 1000);
            let newest = gone_up.last_key_value().map_or(0, |(to, _)| *to);
            assert!(recorder.sequence() >= newest, "seed {seed}: a number would be used again");
            if let Some(up) = gone_up.get(&recorder.sequence()) {
                assert_eq!(backed_up(&recorder), *up, "what went up was not durable");
            }
            model.clear();
            model.extend(backed_up(&recorder));
            let step = random.below(4);
            for i in 0..random.below(5) {
                let space = ["m", "s"][random.below(2) as usize];
                let (place, value) = ((ns(space), numbered(i)), format!("{life}-{i}"));
                let batch = Batch::new().put(&place.0, &place.1, value.as_str());
                drop(recorder.submit(if random.below(2) == 0 { batch.lazy() } else { batch }));
                model.insert(place, value.into_bytes());
            }
            if step >= 1
                && let Some(cut) = recorder.cut(recorder.state().backed_up).unwrap()
            {
                let before = gone_up.insert(cut.to, model.clone());
                assert!(
                    before.is_none_or(|up| up == model),
                    "seed {seed}: a number of two moments"
                );
                if step >= 2 {
                    recorder.acknowledge(upto(&recorder, cut.to)).unwrap();
                }
                if step >= 3 {
                    recorder.flush().unwrap();
                }
            }
            slow.crash();
        }
        assert!(!gone_up.is_empty());
    }
}

#[test]
fn a_lost_acknowledgement_only_repeats() {
    let slow = Slow::default();
    let open = || recorder_with(Arc::new(slow.clone()), clock(), u64::MAX);
    let first = open();
    let writer = first.state().writer;
    first.write(&ns("m"), &key("a"), b"1").unwrap();
    first.remove(&ns("m"), &key("b")).unwrap();
    first.write(&ns("s"), &key("c"), b"3").unwrap();
    let cut = first.cut(0).unwrap().unwrap();
    first.acknowledge(upto(&first, cut.to)).unwrap();
    assert_eq!(first.lag().records, 0);
    slow.crash();
    let second = open();
    assert_eq!(second.state().writer, writer);
    assert_eq!(second.cut(0).unwrap().unwrap(), cut, "the same again, to the byte");
    second.acknowledge(upto(&second, cut.to)).unwrap();
    second.flush().unwrap();
    slow.crash();
    assert_eq!(open().cut(0).unwrap(), None);
}

#[test]
fn a_cut_never_claims_what_the_log_no_longer_holds() {
    let recorder = recorder(MemStore::new());
    for i in 0..3 {
        recorder.write(&ns("s"), &numbered(i), b"x").unwrap();
    }
    recorder.acknowledge(upto(&recorder, 2)).unwrap();
    let cut = recorder.cut(0).unwrap().unwrap();
    assert_eq!((cut.from, cut.to), (3, 3));
    // What does not exist yet cannot have been backed up, and what was stays so.
    recorder.acknowledge(upto(&recorder, 1000)).unwrap();
    recorder.acknowledge(upto(&recorder, 1)).unwrap();
    assert_eq!(recorder.state().backed_up, 3);
    recorder.write(&ns("s"), &key("later"), b"x").unwrap();
    assert_eq!(recorder.cut(3).unwrap().unwrap().to, 4);
    assert_eq!(recorder.cut(u64::MAX).unwrap(), None);
}

#[test]
fn an_acknowledgement_in_the_middle_of_a_cut_moves_its_beginning() {
    let hook = Hook::default();
    let store = Hooked::new(Arc::new(MemStore::new()), hook.clone());
    let recorder = recorder(store);
    for i in 0..3 {
        recorder.write(&ns("s"), &numbered(i), b"x").unwrap();
    }
    let weak = Arc::downgrade(&recorder);
    *hook.lock().unwrap() = Some(Arc::new(move |ns: &Namespace, _: &Key| {
        let recorder = weak.upgrade().unwrap();
        if *ns == stores::flush().0 {
            recorder.acknowledge(upto(&recorder, 2)).unwrap();
        }
    }));
    let cut = recorder.cut(0).unwrap().unwrap();
    assert_eq!((cut.from, cut.to, changes(&cut).len()), (3, 3, 1));
}

#[test]
fn what_was_submitted_behind_the_flush_waits_for_the_next_cut() {
    let (slow, hook) = (Slow::default(), Hook::default());
    let store = Hooked::new(Arc::new(slow.clone()), hook.clone());
    let recorder = recorder_with(Arc::new(store), clock(), u64::MAX);
    recorder.write(&ns("s"), &key("flushed"), b"x").unwrap();
    let weak = Arc::downgrade(&recorder);
    *hook.lock().unwrap() = Some(Arc::new(move |_: &Namespace, _: &Key| {
        let late = Batch::new().put(&ns("s"), &key("late"), b"x").lazy();
        weak.upgrade().unwrap().submit(late).wait().unwrap();
    }));
    let cut = recorder.cut(0).unwrap().unwrap();
    assert_eq!((recorder.sequence(), cut.to), (2, 1), "a number left that is not durable");
    slow.crash();
    let reopened = common::recorder(slow);
    assert_eq!(reopened.sequence(), 1);
}

/// Or an older moment would be given values from after it.
#[test]
fn the_time_of_a_cut_is_that_of_its_last_change_though_it_needed_no_note() {
    for (name, reopened_at, last) in
        [("s", None, 5000), ("m", None, 5000), ("s", Some(9000), 9000), ("m", Some(9000), 5000)]
    {
        let (medium, clock) = (Medium::default(), clock());
        let open = || {
            let store = Arc::new(MemStore::open(medium.clone()).unwrap());
            recorder_with(store, clock.clone(), u64::MAX)
        };
        let mut recorder = open();
        for time in [1000, 5000] {
            clock.set(Timestamp(time));
            recorder.write(&ns(name), &key("k"), time.to_string().as_bytes()).unwrap();
        }
        if let Some(time) = reopened_at {
            clock.set(Timestamp(time));
            medium.crash();
            recorder = open();
        }
        let cut = recorder.cut(0).unwrap().unwrap();
        assert_eq!(cut.time, (1000, last), "{name}, opened again at {reopened_at:?}");
        // What is noted later says when by itself.
        recorder.acknowledge(upto(&recorder, cut.to)).unwrap();
        clock.set(Timestamp(9500));
        recorder.write(&ns(name), &key("k"), b"later").unwrap();
        assert_eq!(recorder.cut(cut.to).unwrap().unwrap().time, (9500, 9500));
    }
}

#[test]
fn the_frame_goes_up_with_a_mergeable_value_only() {
    let recorder = recorder(MemStore::new());
    recorder.write(&ns("m"), &key("k"), b"merges").unwrap();
    recorder.write(&ns("s"), &key("k"), b"stays whole").unwrap();
    recorder.remove(&ns("m"), &key("gone")).unwrap();
    recorder.remove(&ns("s"), &key("gone")).unwrap();
    let cut = recorder.cut(0).unwrap().unwrap();
    let stamps = |entries: &[backup::Entry]| -> Vec<_> {
        let stamp = |entry: &backup::Entry| match &entry.content {
            backup::Content::Removed(stamp) => stamp.is_some(),
            backup::Content::Value(value) => value.len() == FRAME + 6,
            backup::Content::Piece { .. } => false,
        };
        entries.iter().map(stamp).collect()
    };
    assert_eq!(stamps(&cut.mergeable), [true, true]);
    assert_eq!(stamps(&cut.single_writer), [false, false]);
}
