//! The log: what it costs, what it tells, and what it hides.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests panic")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use backup::{Content, Lag, Stamp, WriterId};
use common::{
    backed_up, clock, contents, key, ns, numbered, own, recorder, recorder_with, stores::Slow,
};
use kv_core::{
    Batch, Error, Key, KvStore, KvStoreExt, Namespace, Timestamp,
    testing::{ManualClock, Random},
};
use kv_mem::{Medium, MemStore};

/// What a generation of changes holds: by key, the length of its value; and the first change's time.
type Changed = (BTreeMap<String, u64>, Option<u64>);

#[test]
fn lag_is_exact() {
    let (medium, clock) = (Medium::default(), clock());
    let open = |medium: &Medium| {
        recorder_with(Arc::new(MemStore::open(medium.clone()).unwrap()), clock.clone(), 100)
    };
    let mut recorder = open(&medium);
    let mut random = Random::seeded(1);
    // What changed before the last cut, and what after it.
    let (mut cut, mut later) = (Changed::default(), Changed::default());
    let mut cut_at = 0;
    let merge = |cut: &mut Changed, later: &mut Changed| {
        cut.0.append(&mut later.0);
        cut.1 = cut.1.or(later.1.take());
    };
    for _ in 0..2000 {
        clock.advance(random.below(3));
        let now = kv_core::Clock::now(&*clock).0;
        let mut changed: Vec<(String, u64)> = Vec::new();
        match random.below(12) {
            0 => {
                recorder.flush().unwrap();
                medium.crash();
                recorder = open(&medium);
                merge(&mut cut, &mut later);
                std::mem::swap(&mut cut, &mut later);
            }
            1 => {
                if let Some(taken) = recorder.cut(0).unwrap() {
                    cut_at = taken.to;
                    merge(&mut cut, &mut later);
                }
            }
            2 if cut_at > recorder.state().backed_up && !cut.0.is_empty() => {
                let mut state = recorder.state();
                state.backed_up = cut_at;
                recorder.acknowledge(state).unwrap();
                cut = Changed::default();
            }
            3 => {
                let taken = Batch::new().put(&ns("s"), &key("taken"), b"x");
                recorder.submit(taken.clone()).wait().unwrap();
                changed.push(("s/taken".into(), 1));
                let refused = taken.require_absent(&ns("s"), &key("taken"));
                assert!(recorder.submit(refused).wait().is_err());
            }
            4 => recorder.write(&ns("local"), &key("k"), b"not backed up").unwrap(),
            5 => {
                recorder.remove(&ns("s"), &numbered(random.below(3))).unwrap();
                recorder.remove(&ns("m"), &key("gone")).unwrap();
                // Which of them it was does not matter here: see below.
                changed.push(("m/gone".into(), 0));
                for i in 0..3 {
                    recorder.remove(&ns("s"), &numbered(i)).unwrap();
                    changed.push((format!("s/k{i}"), 0));
                }
            }
            _ => {
                let (single, framed) = (random.below(5), random.below(5));
                let batch = Batch::new()
                    .put(&ns("s"), &numbered(single), vec![0; 7 * single as usize])
                    .put(&ns("m"), &numbered(framed), vec![0; 9 * framed as usize]);
                recorder.submit(batch).wait().unwrap();
                changed.push((format!("s/k{single}"), 7 * single));
                changed.push((format!("m/k{framed}"), 9 * framed + common::FRAME as u64));
            }
        }
        if !changed.is_empty() {
            later.1 = later.1.or(Some(now));
            later.0.extend(changed);
        }
        let expected = Lag {
            records: (cut.0.len() + later.0.len()) as u64,
            bytes: cut.0.values().chain(later.0.values()).sum(),
            oldest: cut.1.or(later.1),
            dump_needed: false,
        };
        assert_eq!(recorder.lag(), expected);
        assert_eq!(recorder.not_yet_replicated().map(|left| left.lag.records), {
            (expected.records > 0).then_some(expected.records)
        });
    }
    let to = recorder.cut(0).unwrap().map_or(0, |cut| cut.to);
    let mut state = recorder.state();
    state.backed_up = to;
    recorder.acknowledge(state).unwrap();
    assert_eq!(recorder.lag(), Lag::default());
}

#[test]
fn a_refused_batch_leaves_no_number_and_no_entry() {
    let store = Arc::new(MemStore::new());
    let recorder = recorder(store.clone());
    recorder.write(&ns("m"), &key("k"), b"1").unwrap();
    let before = contents(&store);
    let refused = Batch::new()
        .require_absent(&ns("m"), &key("k"))
        .put(&ns("m"), &key("k"), b"2")
        .remove(&ns("m"), &key("other"));
    assert!(matches!(recorder.submit(refused).wait(), Err(Error::Precondition { .. })));
    assert_eq!(contents(&store), before);
    assert_eq!((recorder.sequence(), recorder.lag().records), (1, 1));
    recorder.write(&ns("m"), &key("k"), b"3").unwrap();
    assert_eq!(recorder.sequence(), 2);
    assert_eq!(store.list_all(&own("log")).unwrap(), [Key::number(0), Key::number(1)]);
}

#[test]
fn a_lazy_batch_stays_lazy() {
    let slow = Slow::default();
    let recorder = recorder_with(Arc::new(slow.clone()), clock(), 0);
    let (batch, k) = (Batch::new().put(&ns("m"), &key("k"), b"later"), key("k"));
    recorder.submit(batch.lazy()).wait().unwrap();
    assert_eq!(recorder.read(&ns("m"), &k).unwrap(), None, "nobody asked for a flush");
    assert_eq!(recorder.lag().records, 1);
    recorder.flush().unwrap();
    assert!(recorder.read(&ns("m"), &k).unwrap().is_some());
    // An acknowledgement is lazy too: backing up costs no flush of its own.
    let mut state = recorder.state();
    state.backed_up = 1;
    recorder.acknowledge(state).unwrap();
    slow.crash();
    assert_eq!(recorder_with(Arc::new(slow), clock(), 0).state().backed_up, 0, "flushed");
}

#[test]
fn local_only_data_never_leaves() {
    let recorder = recorder(MemStore::new());
    let (local, secret) = (ns("local"), Namespace::new("local", "deeper").unwrap());
    let batch = Batch::new().put(&local, &key("k"), b"here").put(&ns("m"), &key("k"), b"there");
    recorder.submit(batch).wait().unwrap();
    recorder.write(&secret, &key("k"), b"here").unwrap();
    recorder.remove(&local, &key("gone")).unwrap();
    assert_eq!(recorder.sequence(), 1, "a batch of local data alone takes no number");
    assert_eq!(recorder.read_required(&local, &key("k")).unwrap().as_ref(), b"here");
    let cut = recorder.cut(0).unwrap().unwrap();
    let mut dump = recorder.dump().unwrap();
    let mut dumped = Vec::new();
    while let Some(page) = dump.next_page().unwrap() {
        dumped.extend(page);
    }
    for entry in cut.mergeable.iter().chain(&cut.single_writer).chain(&dumped) {
        assert_ne!(entry.name.primary, "local");
    }
    assert_eq!((cut.mergeable.len() + cut.single_writer.len(), dumped.len()), (1, 1));
}

#[test]
fn the_bookkeeping_is_hidden() {
    let store = Arc::new(MemStore::new());
    let recorder = recorder(store.clone());
    recorder.write(&ns("m"), &key("k"), b"1").unwrap();
    recorder.remove(&ns("m"), &key("gone")).unwrap();
    assert_eq!(store.namespaces().unwrap().len(), 4, "state, log, tombstones and the user's");
    assert_eq!(recorder.namespaces().unwrap(), [ns("m")]);
    let newest = recorder.capabilities().creation_order.unwrap();
    for name in ["state", "log", "tombstones"] {
        let ns = own(name);
        assert!(recorder.list_all(&ns).unwrap().is_empty());
        assert!(newest.list_newest_first(&ns, None, 9).unwrap().keys.is_empty());
        for n in 0..3 {
            assert_eq!(recorder.read(&ns, &Key::number(n)).unwrap(), None);
        }
        for batch in [
            Batch::new().put(&ns, &Key::number(1), b"x"),
            Batch::new().remove(&ns, &Key::number(1)),
            Batch::new().require_absent(&ns, &Key::number(9)).put(&self::ns("m"), &key("k"), b"x"),
        ] {
            let refused = recorder.submit(batch).wait();
            assert!(matches!(refused, Err(Error::InvalidName { .. })), "{refused:?}");
        }
    }
    assert_eq!(recorder.sequence(), 2);
}

#[test]
fn an_installation_has_one_writer_id_whatever_happens() {
    let slow = Slow::default();
    let open = || recorder_with(Arc::new(slow.clone()), clock(), 0);
    let writer = open().state().writer;
    slow.crash();
    let again = open();
    assert_eq!(again.state().writer, writer, "a crash before the first backup");
    again.write(&ns("m"), &key("k"), b"1").unwrap();
    assert!(again.cut(0).unwrap().is_some());
    slow.crash();
    assert_eq!(open().state().writer, writer, "objects under the first id may be in a cloud");
    assert_ne!(recorder(MemStore::new()).state().writer, writer);
}

/// The stamp in front of a mergeable value, as it lies below.
fn stamp(store: &MemStore, name: &Key) -> Stamp {
    let value = store.read_required(&ns("m"), name).unwrap();
    assert_eq!(value[0], 1);
    Stamp {
        time: u64::from_le_bytes(value[1..9].try_into().unwrap()),
        counter: u32::from_le_bytes(value[9..13].try_into().unwrap()),
        writer: WriterId::from_bytes(value[13..29].try_into().unwrap()),
    }
}

#[test]
fn stamps_grow_across_reopenings_and_a_clock_set_back() {
    let clock = Arc::new(ManualClock::at(Timestamp(5_000)));
    let medium = Medium::default();
    let mut last = None;
    for life in 0..12u64 {
        let store = Arc::new(MemStore::open(medium.clone()).unwrap());
        let recorder = recorder_with(store.clone(), clock.clone(), 0);
        for i in 0..3 {
            recorder.write(&ns("m"), &numbered(i), b"x").unwrap();
            let stamp = stamp(&store, &numbered(i));
            assert!(last < Some(stamp), "{last:?} then {stamp:?}");
            last = Some(stamp);
        }
        // A removal and single-writer data take stamps too: they must be remembered as well.
        recorder.remove(&ns("m"), &numbered(0)).unwrap();
        if life % 3 == 0 {
            let mut state = recorder.state();
            state.backed_up = recorder.sequence();
            recorder.acknowledge(state).unwrap();
        }
        let cut = recorder.cut(0).unwrap();
        for entry in cut.iter().flat_map(|cut| &cut.mergeable) {
            if let Content::Removed(Some(stamp)) = entry.content {
                last = last.max(Some(stamp));
            }
        }
        if life % 2 == 0 {
            clock.set(Timestamp(1_000 + life));
        } else {
            clock.advance(10_000);
        }
        medium.crash();
    }
}

#[test]
fn two_changes_within_one_millisecond_both_survive_in_their_order() {
    let store = Arc::new(MemStore::new());
    let recorder = recorder(store.clone());
    recorder.write(&ns("m"), &key("a"), b"1").unwrap();
    recorder.write(&ns("m"), &key("b"), b"2").unwrap();
    let (a, b) = (stamp(&store, &key("a")), stamp(&store, &key("b")));
    assert!(a < b && a.time == b.time);
    recorder.write(&ns("m"), &key("a"), b"3").unwrap();
    assert!(stamp(&store, &key("a")) > b);
    let cut = common::changes(&recorder.cut(0).unwrap().unwrap());
    assert_eq!(cut[&(ns("m"), key("a"))], Some(b"3".to_vec()));
    assert_eq!(cut[&(ns("m"), key("b"))], Some(b"2".to_vec()));
}

#[test]
fn keys_are_dumped_once_and_in_pages_that_fit_into_memory() {
    let recorder = recorder(MemStore::new());
    for i in 0..12 {
        recorder.write(&ns("s"), &numbered(i), vec![i as u8; 3 << 20]).unwrap();
    }
    for i in 0..1100 {
        recorder.write(&ns("other"), &numbered(i), b"small").unwrap();
    }
    let mut dump = recorder.dump().unwrap();
    let mut names = BTreeSet::new();
    while let Some(page) = dump.next_page().unwrap() {
        let mut bytes = 0;
        for entry in page {
            bytes += if let Content::Value(value) = &entry.content { value.len() } else { 0 };
            assert!(names.insert(entry.name), "twice");
        }
        assert!(bytes <= 7 << 20, "a page of {bytes} bytes");
    }
    assert_eq!(names.len(), 1112);
    assert_eq!(backed_up(&recorder).len(), 1112);
}
