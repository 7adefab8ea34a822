//! Entries that do not add up, do not fit together, or are never backed up.

mod common;

use std::sync::Arc;

use backup::{Content, Entry, EntryDigest, EntryName, Error, Restorer, Stamp, WriterId};
use common::{ns, numbered, rules, sealer};
use kv_mem::MemStore;

fn entry(n: u64, content: Content) -> Entry {
    Entry { name: EntryName::new(&ns("s"), &numbered(n)), content }
}

fn value(n: u64) -> Entry {
    entry(n, Content::Value(n.to_le_bytes().into()))
}

fn piece(offset: u64, total: u64, len: usize) -> Entry {
    entry(1, Content::Piece { offset, total, bytes: vec![7; len] })
}

#[test]
fn a_digest_tells_sets_apart_and_not_orders() {
    let digest = |entries: &[Entry]| {
        let mut digest = EntryDigest::new(&sealer()).unwrap();
        entries.iter().for_each(|entry| digest.add(entry));
        digest.finish()
    };
    let set = [value(1), value(2), entry(3, Content::Removed(None))];
    let turned = [set[2].clone(), set[0].clone(), set[1].clone()];
    assert_eq!(digest(&set), digest(&turned));
    assert_eq!((digest(&set).1, digest(&set).2), (2, 16));
    for other in [
        &set[..2],
        &[set[0].clone(), set[1].clone(), entry(4, Content::Removed(None))],
        &[set[0].clone(), set[2].clone(), entry(2, Content::Value(vec![0; 8]))],
        &[set[0].clone(), set[0].clone(), set[1].clone(), set[2].clone()],
    ] {
        assert_ne!(digest(&set).0, digest(other).0);
    }
    let mut keyed = EntryDigest::new(&common::sealer_of(8)).unwrap();
    set.iter().for_each(|entry| keyed.add(entry));
    assert_ne!(keyed.finish().0, digest(&set).0, "another wallet, another digest");
}

#[test]
fn pieces_that_do_not_fit_are_found() {
    let restorer = || Restorer::new(Arc::new(MemStore::new()), rules()).unwrap();
    let good = vec![piece(0, 9, 4), piece(4, 9, 4), piece(8, 9, 1), value(2)];
    let mut fits = restorer();
    fits.apply(good.clone()).unwrap();
    assert_eq!(fits.finish(Vec::new()).unwrap().bytes, 9 + 8);
    let mut other_key = good.clone();
    other_key[1].name = value(2).name;
    for bad in [
        vec![piece(4, 9, 5)],
        vec![piece(0, 9, 4), piece(5, 9, 4)],
        vec![piece(0, 9, 4), piece(0, 9, 4)],
        vec![piece(0, 9, 4), piece(4, 9, 6)],
        vec![piece(0, 9, 10)],
        vec![piece(0, 9, 4), value(2)],
        vec![piece(0, 9, 4), entry(1, Content::Removed(None))],
        vec![piece(u64::MAX, u64::MAX, 4)],
        vec![piece(0, u64::MAX, 4), piece(u64::MAX, u64::MAX, 4)],
        other_key,
    ] {
        // The digest must not stumble over them either.
        let mut digest = EntryDigest::new(&sealer()).unwrap();
        bad.iter().for_each(|entry| digest.add(entry));
        assert!(matches!(restorer().apply(bad), Err(Error::BrokenChain { .. })));
    }
    let mut unfinished = restorer();
    unfinished.apply(good[..2].to_vec()).unwrap();
    assert!(matches!(unfinished.finish(Vec::new()), Err(Error::BrokenChain { .. })));
}

#[test]
fn entries_that_are_never_backed_up_are_refused() {
    let named = |primary: &str, secondary: &str, key: &str| EntryName {
        primary: primary.into(),
        secondary: secondary.into(),
        key: key.into(),
    };
    let long = "k".repeat(121);
    for name in [
        named("~backup", "state", "00000000000000000000"),
        named("~backup", "log", "00000000000000000001"),
        named("s", "", ""),
        named("", "secondary", "k"),
        named("s/..", "", "k"),
        named("s", "", &long),
        named("s", "", "é"),
    ] {
        for content in [Content::Value(b"x".to_vec()), Content::Removed(None)] {
            let mut restorer = Restorer::new(Arc::new(MemStore::new()), rules()).unwrap();
            let applied = restorer.apply(vec![Entry { name: name.clone(), content }]);
            assert!(matches!(applied, Err(Error::BrokenChain { .. })), "{name:?}");
        }
    }
    // A mergeable value must have its frame.
    let name = EntryName::new(&ns("m"), &numbered(1));
    let stamp = Stamp { time: u64::MAX, counter: u32::MAX, writer: WriterId::from_bytes([5; 16]) };
    for (content, good) in [
        (Content::Value(vec![1; 28]), false),
        (Content::Value(vec![2; 40]), false),
        (Content::Value(vec![1; 29]), true),
        (Content::Removed(Some(stamp)), true),
    ] {
        let mut restorer = Restorer::new(Arc::new(MemStore::new()), rules()).unwrap();
        assert_eq!(restorer.apply(vec![Entry { name: name.clone(), content }]).is_ok(), good);
    }
}
