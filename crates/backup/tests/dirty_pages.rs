//! The log over long times: what it costs, how it stays small, and that folding loses nothing.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

mod common;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use backup::{Recorder, RecorderSettings};
use common::{
    backed_up, budget, changes, clock, contents, key, ns, numbered, own, recorder_with, rules,
    stores::{Hook, Hooked, Slow},
};
use kv_core::{
    Batch, Capabilities, Change, Commit, Key, KvStore, KvStoreExt, Namespace, Result, Value,
    testing::Random,
};
use kv_mem::{Medium, MemStore};

/// Counts the bytes of the bookkeeping that are written: names and values of puts, names of removals.
#[derive(Debug, Default)]
struct Counting {
    inner: MemStore,
    written: AtomicU64,
}

impl KvStore for Counting {
    fn read(&self, ns: &Namespace, key: &Key) -> Result<Option<Value>> {
        self.inner.read(ns, key)
    }

    fn list(&self, ns: &Namespace, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.inner.list(ns, after, limit)
    }

    fn namespaces(&self) -> Result<Vec<Namespace>> {
        self.inner.namespaces()
    }

    fn submit(&self, batch: Batch) -> Commit {
        let own = batch.changes().filter(|(ns, ..)| ns.primary() == "~backup");
        let bytes: usize = own
            .map(|(ns, key, change)| {
                let name = ns.primary().len() + ns.secondary().len() + key.as_str().len();
                let value = if let Change::Put(value) = change { value.len() } else { 0 };
                name + value
            })
            .sum();
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
        self.inner.submit(batch)
    }

    fn capabilities(&self) -> Capabilities<'_> {
        self.inner.capabilities()
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }
}

fn upto(recorder: &Recorder, backed_up: u64) -> backup::BackupState {
    let mut state = recorder.state();
    state.backed_up = backed_up;
    state
}

/// Bytes of bookkeeping per change beside its name, over `writes` changes with a backup after
/// every `backup_after` of them.
fn cost(
    keys: u64,
    writes: u64,
    backup_after: u64,
    change: impl Fn(&Namespace, &Key, u64) -> Batch,
) {
    let store = Arc::new(Counting::default());
    let recorder = recorder_with(store.clone(), clock(), u64::MAX);
    let mut random = Random::seeded(keys);
    let places = [ns("s"), ns("m"), Namespace::new(&"n".repeat(120), &"n".repeat(120)).unwrap()];
    for place in &places {
        let before = store.written.load(Ordering::Relaxed);
        let mut names = 0;
        for i in 0..writes {
            let key = key(&format!("key-{:09}", if keys == 0 { i } else { random.below(keys) }));
            names += place.primary().len() + place.secondary().len() + key.as_str().len();
            recorder.submit(change(place, &key, i)).wait().unwrap();
            if i % backup_after == backup_after - 1
                && let Some(cut) = recorder.cut(0).unwrap()
            {
                recorder.acknowledge(upto(&recorder, cut.to)).unwrap();
            }
        }
        let written = store.written.load(Ordering::Relaxed) - before;
        let beside = (written as f64 - names as f64) / writes as f64;
        assert!(beside <= 160.0, "{beside} bytes for {keys} keys, backup after {backup_after}");
    }
}

#[test]
fn a_log_entry_costs_at_most_160_bytes_beside_the_name() {
    let put = |ns: &Namespace, key: &Key, _| Batch::new().put(ns, key, b"value");
    let both = |ns: &Namespace, key: &Key, i: u64| match i % 2 {
        0 => Batch::new().put(ns, key, vec![0; i as usize % 300]),
        _ => Batch::new().remove(ns, key),
    };
    // Trimming and folding included; never backed up, now and then, and all the time.
    for (keys, backup_after) in [(0, u64::MAX), (0, 1000), (0, 10), (10, u64::MAX), (10, 100)] {
        cost(keys, 5000, backup_after, put);
    }
    for (keys, backup_after) in [(1000, u64::MAX), (1000, 1000), (1000, 30)] {
        cost(keys, 5000, backup_after, put);
    }
    cost(1000, 5000, 300, both);
    // A removal of a mergeable key leaves a tombstone too, which is data.
    let single = |place: &Namespace, key: &Key, _| match place.primary() {
        "m" => Batch::new().remove(&ns("s"), key),
        _ => Batch::new().remove(place, key),
    };
    cost(1000, 5000, 300, single);
}

#[test]
fn the_log_grows_with_the_keys_and_not_with_the_writes() {
    let store = Arc::new(MemStore::new());
    let recorder = recorder_with(store.clone(), clock(), 0);
    let mut random = Random::seeded(1);
    let mut sizes = Vec::new();
    for _ in 0..5 {
        for _ in 0..6000 {
            let (place, key) =
                (ns(["s", "m"][random.below(2) as usize]), numbered(random.below(1500)));
            // Keys come and go, which the log must know.
            let batch = Batch::new();
            let batch = if random.below(3) == 0 && place.primary() == "s" {
                batch.remove(&place, &key)
            } else {
                batch.put(&place, &key, random.bytes(3))
            };
            recorder.submit(batch).wait().unwrap();
        }
        let log: Vec<_> = ["log", "dirty"].iter().map(|name| own(name)).collect();
        let entries = contents(&*store).into_iter().filter(|((ns, _), _)| log.contains(ns));
        sizes.push(
            entries
                .map(|((ns, key), value)| {
                    ns.primary().len() + ns.secondary().len() + key.as_str().len() + value.len()
                })
                .sum::<usize>(),
        );
    }
    assert_eq!(recorder.lag().records, 3000);
    for size in &sizes {
        assert!(*size <= 3000 * 160, "{sizes:?} bytes for 3000 keys");
    }
}

type Changes = BTreeMap<(Namespace, Key), Option<Vec<u8>>>;

/// Crashes, cuts that never arrive, acknowledgements that get lost and those that come late, over
/// so many keys that the log is folded again and again.
#[test]
fn folding_loses_no_change_whatever_happens() {
    for seed in 0..24 {
        let mut random = Random::seeded(seed);
        let slow = Slow::default();
        let held = [0, 2000, u64::MAX][random.below(3) as usize];
        let open = || recorder_with(Arc::new(slow.clone()), clock(), held);
        let mut recorder = open();
        // What the last cut that was taken covers, and what changed after it.
        let mut pending = Changes::new();
        let mut cut_to = 0;
        let mut behind_cut = Changes::new();
        for _ in 0..120 {
            match random.below(10) {
                0 => {
                    recorder.flush().unwrap();
                    slow.crash();
                    recorder = open();
                    pending.append(&mut behind_cut);
                    cut_to = 0;
                }
                1 | 2 => {
                    pending.append(&mut behind_cut);
                    let cut = recorder.cut(recorder.state().backed_up).unwrap();
                    assert_eq!(
                        cut.as_ref().map(changes).unwrap_or_default(),
                        pending,
                        "seed {seed}"
                    );
                    cut_to = cut.map_or(0, |cut| cut.to);
                }
                3 | 4 if cut_to > 0 => {
                    recorder.acknowledge(upto(&recorder, cut_to)).unwrap();
                    pending.clear();
                    cut_to = 0;
                }
                _ => {
                    for _ in 0..random.below(120) {
                        let mut batch = Batch::new();
                        for _ in 0..=random.below(3) {
                            let space = ns(["m", "s"][random.below(2) as usize]);
                            let place = (space, numbered(random.below(700)));
                            let value = (random.below(4) > 0).then(|| random.bytes(5));
                            batch = match &value {
                                Some(value) => batch.put(&place.0, &place.1, value.as_slice()),
                                None => batch.remove(&place.0, &place.1),
                            };
                            behind_cut.insert(place, value);
                        }
                        drop(recorder.submit(batch));
                    }
                }
            }
        }
        pending.append(&mut behind_cut);
        let cut = recorder.cut(0).unwrap();
        assert_eq!(cut.as_ref().map(changes).unwrap_or_default(), pending, "seed {seed}");
    }
}

/// A power cut after every single operation of the store below, with what was not flushed lost.
#[test]
fn a_crash_between_any_two_operations_loses_nothing() {
    for stop in 0.. {
        let slow = Slow::default();
        let mut left = stop;
        let mut random = Random::seeded(7);
        // What was written since the last acknowledgement.
        let mut written: BTreeMap<(Namespace, Key), Vec<Vec<u8>>> = BTreeMap::new();
        let recorder = recorder_with(Arc::new(slow.clone()), clock(), 0);
        let mut ended = true;
        for round in 0..600u64 {
            if left == 0 {
                ended = false;
                break;
            }
            left -= 1;
            match round % 150 {
                147 => {
                    recorder.cut(0).unwrap();
                }
                149 => {
                    if let Some(cut) = recorder.cut(0).unwrap() {
                        recorder.acknowledge(upto(&recorder, cut.to)).unwrap();
                        written.clear();
                    }
                }
                _ => {
                    let place = (ns("s"), numbered(random.below(400)));
                    let value = round.to_le_bytes();
                    let commit = recorder.submit(Batch::new().put(&place.0, &place.1, &value));
                    if random.below(8) == 0 {
                        commit.wait().unwrap();
                    }
                    written.entry(place).or_default().push(value.to_vec());
                }
            }
        }
        slow.crash();
        drop(recorder);
        let recorder = recorder_with(Arc::new(slow.clone()), clock(), 0);
        // Everything that is in the store is in the cloud or in the next cut.
        let found = recorder.cut(0).unwrap().as_ref().map(changes).unwrap_or_default();
        for (place, value) in &backed_up(&recorder) {
            if written.get(place).is_some_and(|values| values.contains(value)) {
                assert_eq!(found.get(place), Some(&Some(value.clone())), "stopped after {stop}");
            }
        }
        if ended {
            break;
        }
    }
}

#[test]
fn a_cloud_that_lags_too_far_is_dropped_from_the_log_and_catches_up_from_a_dump() {
    let medium = Medium::default();
    let mut settings: RecorderSettings = budget(u64::MAX);
    settings.max_lag_records = 1000;
    let open = || {
        let store = Arc::new(MemStore::open(medium.clone()).unwrap());
        (store.clone(), Recorder::open(store, rules(), clock(), settings).unwrap())
    };
    let (store, mut recorder) = open();
    let mut state = recorder.state();
    state.dump = Some(backup::ObjectRef {
        id: backup::ObjectId {
            class: backup::Class::DumpIndex,
            writer: state.writer,
            epoch: 0,
            from: 0,
            to: 0,
            part: 0,
        },
        hash: backup::ObjectHash::of(b"a dump"),
    });
    let dump = state.dump;
    recorder.acknowledge(state).unwrap();
    for i in 0..1001 {
        assert!(!recorder.lag().dump_needed);
        recorder.write(&ns("s"), &numbered(i), b"x").unwrap();
    }
    let lag = recorder.lag();
    assert_eq!((lag.records, lag.bytes, lag.dump_needed), (1001, 1001, true));
    assert!(recorder.cut(0).unwrap().is_none(), "a cut would not hold everything");
    assert!(recorder.state().dump.is_none(), "no dump, so that the next backup makes one");
    assert!(store.list_all(&own("dirty")).unwrap().is_empty());
    let bookkeeping = || contents(&*store).iter().filter(|((ns, _), _)| *ns == own("log")).count();
    let slots = bookkeeping();
    for i in 0..3000 {
        recorder.write(&ns("s"), &numbered(i), b"xy").unwrap();
    }
    assert_eq!(bookkeeping(), slots, "what is not noted costs nothing");
    assert_eq!(recorder.lag().records, 4001, "every change counts");

    // A backup that had begun before does not bring the old dump back.
    let mut old = recorder.state();
    old.dump = dump;
    recorder.acknowledge(old.clone()).unwrap();
    assert!(recorder.state().dump.is_none());

    recorder.close().unwrap();
    drop(recorder);
    drop(store);
    let (_, reopened) = open();
    recorder = reopened;
    assert!(recorder.lag().dump_needed && recorder.cut(0).unwrap().is_none());
    assert!(recorder.lag().records >= 1001);

    // The dump holds all before it; what comes after is noted again.
    let reader = recorder.dump().unwrap();
    let from = reader.from();
    recorder.write(&ns("s"), &key("meanwhile"), b"1").unwrap();
    // A backup from before, with its dump, that ends only now: it lacks what was not noted.
    recorder.acknowledge(old).unwrap();
    assert!(recorder.lag().dump_needed && recorder.state().dump.is_none());
    let mut state = recorder.state();
    let dump = dump.map(|mut dump| {
        dump.id.from = from;
        dump
    });
    state.dump = dump;
    recorder.acknowledge(state).unwrap();
    assert_eq!((recorder.lag().records, recorder.state().backed_up), (1, from));
    let cut = recorder.cut(0).unwrap().unwrap();
    assert_eq!((cut.from, changes(&cut).len()), (from + 1, 1));
    assert!(recorder.state().dump == dump && !recorder.lag().dump_needed);
}

/// A second dump may begin before the first one is acknowledged: that one still catches up.
#[test]
fn of_two_dumps_after_a_drop_the_first_may_be_the_one_that_counts() {
    let mut settings: RecorderSettings = budget(u64::MAX);
    settings.max_lag_records = 10;
    let recorder = Recorder::open(Arc::new(MemStore::new()), rules(), clock(), settings).unwrap();
    let dump = |from: u64| backup::ObjectRef {
        id: backup::ObjectId {
            class: backup::Class::DumpIndex,
            writer: recorder.state().writer,
            epoch: 0,
            from,
            to: from,
            part: 0,
        },
        hash: backup::ObjectHash::of(b"a dump"),
    };
    let mut state = recorder.state();
    state.dump = Some(dump(0));
    recorder.acknowledge(state).unwrap();
    for i in 0..11 {
        recorder.write(&ns("s"), &numbered(i), b"x").unwrap();
    }
    assert!(recorder.lag().dump_needed);
    let first = recorder.dump().unwrap().from();
    recorder.write(&ns("s"), &key("between"), b"1").unwrap();
    let second = recorder.dump().unwrap().from();
    assert!(first < second);
    let mut state = recorder.state();
    state.dump = Some(dump(first));
    recorder.acknowledge(state).unwrap();
    assert!(!recorder.lag().dump_needed);
    assert_eq!((recorder.lag().records, recorder.state().backed_up), (1, first));
    let cut = recorder.cut(0).unwrap().unwrap();
    assert_eq!((cut.from, changes(&cut).len()), (first + 1, 1));
}

/// Once the log is dropped nothing says what changed since the chain: then a difference is no damage,
/// also where a dump lets changes be noted again before the comparison ends.
#[test]
fn what_changed_while_the_log_was_dropped_is_not_taken_for_damage() {
    for resumes in [false, true] {
        let mut settings: RecorderSettings = budget(u64::MAX);
        settings.max_lag_records = 2;
        let hook = Hook::default();
        let store = Hooked::new(Arc::new(MemStore::new()), hook.clone());
        let recorder = Recorder::open(Arc::new(store), rules(), clock(), settings).unwrap();
        recorder.write(&ns("s"), &key("k"), b"old").unwrap();
        let entries = recorder.cut(0).unwrap().unwrap().single_writer;
        assert!(recorder.differing(&entries, 1).unwrap().is_empty());
        recorder.acknowledge(upto(&recorder, 1)).unwrap();

        let dropping = recorder.clone();
        let once = AtomicU64::new(0);
        *hook.lock().unwrap() = Some(Arc::new(move |_: &Namespace, _: &Key| {
            if once.fetch_add(1, Ordering::SeqCst) > 0 {
                return;
            }
            dropping.write(&ns("s"), &key("k"), b"new").unwrap();
            for i in 0..3 {
                dropping.write(&ns("s"), &numbered(i), b"x").unwrap();
            }
            assert!(dropping.lag().dump_needed);
            if resumes {
                dropping.dump().unwrap();
            }
        }));
        assert_eq!(recorder.differing(&entries, 1).unwrap(), [], "resumes: {resumes}");
        *hook.lock().unwrap() = None;
    }
}

/// Most batches of a hot key have no log entry, yet their numbers leave the device.
#[test]
fn a_number_that_left_is_never_used_again_though_its_batch_has_no_entry() {
    let slow = Slow::default();
    let open = || recorder_with(Arc::new(slow.clone()), clock(), 0);
    let mut recorder = open();
    for life in 1..5 {
        for i in 0..10u64 {
            recorder.write(&ns("s"), &key("hot"), &i.to_le_bytes()).unwrap();
        }
        let to = match life % 2 {
            0 => recorder.cut(0).unwrap().unwrap().to,
            _ => recorder.dump().unwrap().end().unwrap(),
        };
        slow.crash();
        recorder = open();
        assert!(recorder.sequence() >= to, "{to} would be used again");
    }
}

/// A key that an earlier life noted may have left with the newest number: after that it needs an
/// entry when it changes, or the number would be taken again after a crash.
#[test]
fn a_number_that_left_is_never_taken_for_what_changed_in_a_later_life() {
    let slow = Slow::default();
    let open = || recorder_with(Arc::new(slow.clone()), clock(), 0);
    let mut left = BTreeMap::new();
    for life in 0..5u64 {
        let cut = {
            let recorder = open();
            recorder.write(&ns("s"), &key("hot"), &life.to_le_bytes()).unwrap();
            recorder.cut(0).unwrap().unwrap()
        };
        assert_eq!(left.insert(cut.to, changes(&cut)), None, "{} was used again", cut.to);
        slow.crash();
        open().write(&ns("s"), &key("hot"), b"between").unwrap();
        slow.crash();
        let cut = open().cut(0).unwrap().unwrap();
        assert_eq!(left.insert(cut.to, changes(&cut)), None, "{} was used again", cut.to);
        slow.crash();
    }
}

/// The same while the log is dropped, when nothing is noted and dumps take numbers along.
#[test]
fn a_number_that_left_with_a_dump_is_never_used_again_while_the_log_is_dropped() {
    let slow = Slow::default();
    let mut settings: RecorderSettings = budget(0);
    settings.max_lag_records = 2;
    let open = || Recorder::open(Arc::new(slow.clone()), rules(), clock(), settings).unwrap();
    let recorder = open();
    for i in 0..3 {
        recorder.write(&ns("s"), &numbered(i), b"x").unwrap();
    }
    assert!(recorder.lag().dump_needed);
    let left = recorder.dump().unwrap().end().unwrap();
    drop(recorder);
    slow.crash();
    open().write(&ns("s"), &numbered(0), b"later").unwrap();
    slow.crash();
    let recorder = open();
    assert!(recorder.lag().dump_needed);
    assert!(recorder.dump().unwrap().from() > left, "{left} would be of two moments");
}

/// An acknowledgement between two cuts forgets notes that later changes relied on.
#[test]
fn what_changed_again_after_an_acknowledgement_survives_a_crash() {
    for acknowledged in 1..=3 {
        let slow = Slow::default();
        let open = || recorder_with(Arc::new(slow.clone()), clock(), 0);
        let recorder = open();
        for value in [b"1", b"2", b"3", b"4"] {
            recorder.write(&ns("s"), &key("hot"), value).unwrap();
        }
        recorder.acknowledge(upto(&recorder, acknowledged)).unwrap();
        recorder.flush().unwrap();
        slow.crash();
        let cut = open().cut(0).unwrap().unwrap();
        let expected = Changes::from([((ns("s"), key("hot")), Some(b"4".to_vec()))]);
        assert_eq!(changes(&cut), expected, "acknowledged up to {acknowledged}");
    }
}
