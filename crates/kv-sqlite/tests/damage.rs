//! Damage anywhere in the files is an error or a finding, never another value and never an absence.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

mod common;

use std::{fs, path::Path};

use common::{Bed, Contents, file_in, key, log_of, ns, small, verify};
use kv_core::{
    Batch, Error, KvStore, KvStoreExt,
    testing::{Random, Testbed},
};
use kv_sqlite::{Settings, SqliteStore};
use tempfile::TempDir;

/// Small rows, rows over several pages, updates and free pages, in two namespaces.
fn fill(store: &dyn KvStore) -> Contents {
    let mut contents = Contents::default();
    let mut random = Random::seeded(11);
    for n in 0..120_u64 {
        let len = [20, 300, 2000, 9000][random.below(4) as usize];
        let mut batch = Batch::new().put(&ns("a"), &key(&format!("key-{n:03}")), random.bytes(len));
        if n % 5 == 4 {
            batch = batch.remove(&ns("a"), &key(&format!("key-{:03}", n - 3)));
            batch = batch.put(&ns("other"), &key(&format!("key-{}", n % 7)), random.bytes(50));
        }
        store.submit(batch.clone()).wait().unwrap();
        contents.apply(&batch);
    }
    contents
}

/// Whatever is answered is an error or the truth.
fn nothing_false_is_answered(file: &Path, truth: &Contents, what: &str) -> bool {
    let store = match SqliteStore::open(file, small()) {
        Ok(store) => store,
        Err(Error::Corrupt { .. } | Error::TooNew { .. }) => return true,
        Err(other) => panic!("{what}: {other:?}"),
    };
    let mut noticed = verify(&store).is_damaged();
    let names: Vec<_> = store.namespaces().unwrap();
    for ns in &names {
        let order = store.capabilities().creation_order.unwrap();
        let newest = order.list_newest_first(ns, None, usize::MAX).unwrap().keys;
        assert_eq!(Some(&newest), truth.newest_first.get(ns), "{what}: other names");
    }
    assert_eq!(names.len(), truth.newest_first.len(), "{what}: other namespaces");
    for ((ns, key), value) in &truth.values {
        match store.read(ns, key) {
            Ok(found) => assert!(found.as_deref() == Some(value), "{what}: another value"),
            Err(Error::Corrupt { .. }) => {
                assert!(noticed, "{what}: the scrub did not see what a read sees");
            }
            Err(Error::Io { .. }) => noticed = true,
            Err(other) => panic!("{what}: {other:?}"),
        }
    }
    noticed
}

/// One flipped bit, and 64 bytes of zeros, everywhere in the database file.
#[test]
fn damage_of_any_page_is_an_error_and_never_a_value() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(&file_in(dir.path()), small()).unwrap();
    let truth = fill(&store);
    store.close().unwrap();
    drop(store);
    let good = fs::read(file_in(dir.path())).unwrap();
    let mut random = Random::seeded(12);
    let (mut noticed, mut tried) = (0, 0);
    // The header and the schema byte by byte, then a few places of each page.
    let header = (0..100).map(|at| (at, false));
    let pages = (0..good.len() / 4096).flat_map(|page| {
        let at = |n: u64| page * 4096 + n as usize;
        [
            (at(random.below(12)), false),
            (at(random.below(4096)), false),
            (at(random.below(4032)), true),
        ]
    });
    for (at, zeros) in header.chain(pages.collect::<Vec<_>>()) {
        let mut bytes = good.clone();
        if zeros {
            bytes[at..at + 64].fill(0);
        } else {
            bytes[at] ^= 1 << (at % 8);
        }
        if bytes == good {
            continue;
        }
        let dir = TempDir::new().unwrap();
        fs::write(file_in(dir.path()), bytes).unwrap();
        let what = format!("byte {at}, zeros: {zeros}");
        noticed += u32::from(nothing_false_is_answered(&file_in(dir.path()), &truth, &what));
        tried += 1;
    }
    assert!(noticed * 2 > tried, "only {noticed} of {tried} were noticed at all");
}

/// A log that a killed process has left: what is before its last transaction is damage, the last
/// one may be a torn end.
#[test]
fn damage_of_the_log_takes_nothing_back() {
    let bed = Bed::default();
    // Large enough that nothing of it is moved.
    let store = bed.faults.open(&bed.file(), Settings::default()).unwrap();
    let mut states = vec![Contents::default()];
    for n in 0..6 {
        let batch = Batch::new().put(&ns("a"), &key(&format!("key-{n}")), vec![n as u8; 3000]);
        store.submit(batch.clone()).wait().unwrap();
        let mut next = states[n].clone();
        next.apply(&batch);
        states.push(next);
    }
    bed.crash();
    drop(store);
    let (database, log) = (fs::read(bed.file()).unwrap(), fs::read(log_of(&bed.file())).unwrap());
    let used = log.iter().rposition(|byte| *byte != 0).unwrap();
    assert!(used > 12 * 4096, "the log is not where the changes are");
    let mut random = Random::seeded(13);
    let mut damaged = 0;
    for at in (0..used).step_by(211) {
        let dir = TempDir::new().unwrap();
        let file = file_in(dir.path());
        fs::write(&file, &database).unwrap();
        let mut bytes = log.clone();
        bytes[at] ^= 1 << random.below(8);
        fs::write(log_of(&file), bytes).unwrap();
        match SqliteStore::open(&file, small()) {
            Err(Error::Corrupt { .. }) => damaged += 1,
            Ok(store) => {
                let found = Contents::of(&store).unwrap();
                // Only the last flush cannot be told from one that was torn.
                assert!(found == states[6] || found == states[5], "byte {at} took back more");
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(damaged > used / 211 / 2, "{damaged} of {} were noticed", used / 211);
}

/// A log cut short anywhere by a power cut leaves a prefix.
#[test]
fn a_torn_log_leaves_a_prefix() {
    let bed = Bed::default();
    let store = bed.store().unwrap();
    for n in 0..6_u8 {
        store.write(&ns("a"), &key(&format!("key-{n}")), vec![n; 3000]).unwrap();
    }
    bed.crash();
    drop(store);
    let (database, log) = (fs::read(bed.file()).unwrap(), fs::read(log_of(&bed.file())).unwrap());
    let mut last = 0;
    for end in (1..log.len().min(30 * 4120)).step_by(1500) {
        let dir = TempDir::new().unwrap();
        let file = file_in(dir.path());
        fs::write(&file, &database).unwrap();
        fs::write(log_of(&file), &log[..end]).unwrap();
        let store = SqliteStore::open(&file, small()).unwrap();
        let keys = store.list_all(&ns("a")).unwrap();
        assert!((0..keys.len()).all(|n| keys[n] == key(&format!("key-{n}"))), "{keys:?}");
        assert!(keys.len() >= last, "a longer log holds less");
        last = keys.len();
        assert!(!verify(&store).is_damaged());
    }
    assert_eq!(last, 6);
}

#[test]
fn a_log_that_has_gone_is_damage() {
    let bed = Bed::default();
    let store = bed.store().unwrap();
    store.write(&ns("a"), &key("k"), b"acknowledged").unwrap();
    bed.crash();
    drop(store);
    fs::remove_file(log_of(&bed.file())).unwrap();
    for _ in 0..2 {
        let outcome = SqliteStore::open(&bed.file(), small());
        assert!(matches!(outcome, Err(Error::Corrupt { .. })), "{outcome:?}");
    }
}

/// SQLite moves the log into the database when the last connection is closed, and removes it. That
/// cannot be told from a log that was lost, so it has to be said.
#[test]
fn a_log_that_another_program_has_moved_is_damage_until_it_is_accepted() {
    let bed = Bed::default();
    let store = bed.store().unwrap();
    store.write(&ns("a"), &key("k"), b"acknowledged").unwrap();
    bed.crash();
    drop(store);
    let log = fs::read(log_of(&bed.file())).unwrap();
    let refused = SqliteStore::accept_copy(&bed.file());
    assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
    assert!(fs::read(log_of(&bed.file())).unwrap() == log, "its log was touched");

    let other = rusqlite::Connection::open(bed.file()).unwrap();
    other.query_row("SELECT count(*) FROM kv", [], |_| Ok(())).unwrap();
    other.close().unwrap();
    assert!(!log_of(&bed.file()).exists());
    let error = SqliteStore::open(&bed.file(), small()).unwrap_err();
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(why.contains("accepted"), "{why}");
    SqliteStore::accept_copy(&bed.file()).unwrap();
    let store = bed.store().unwrap();
    assert_eq!(&*store.read_required(&ns("a"), &key("k")).unwrap(), b"acknowledged");
    assert!(!verify(&store).is_damaged());
}

/// A database that has gone is no new store: the newest changes may be in the log beside it.
#[test]
fn a_database_that_has_gone_is_damage_and_its_log_is_kept() {
    for gone in [true, false] {
        let bed = Bed::default();
        let store = bed.store().unwrap();
        store.write(&ns("a"), &key("k"), b"acknowledged").unwrap();
        bed.crash();
        drop(store);
        let database = fs::read(bed.file()).unwrap();
        let log = fs::read(log_of(&bed.file())).unwrap();
        if gone {
            fs::remove_file(bed.file()).unwrap();
        } else {
            fs::write(bed.file(), b"").unwrap();
        }
        for _ in 0..2 {
            let outcome = SqliteStore::open(&bed.file(), small());
            assert!(matches!(outcome, Err(Error::Corrupt { .. })), "{outcome:?}");
        }
        assert!(fs::read(log_of(&bed.file())).unwrap() == log);
        fs::write(bed.file(), database).unwrap();
        let store = bed.store().unwrap();
        assert_eq!(&*store.read_required(&ns("a"), &key("k")).unwrap(), b"acknowledged");
    }
}

/// Nor is one that was cut to nothing after it was closed.
#[test]
fn a_store_that_was_cut_to_nothing_is_damage() {
    let dir = TempDir::new().unwrap();
    let file = file_in(dir.path());
    SqliteStore::open(&file, small()).unwrap().close().unwrap();
    fs::write(&file, b"").unwrap();
    for _ in 0..2 {
        let outcome = SqliteStore::open(&file, small());
        assert!(matches!(outcome, Err(Error::Corrupt { .. })), "{outcome:?}");
        let outcome = SqliteStore::open_existing(&file, small());
        assert!(matches!(outcome, Err(Error::Corrupt { .. })), "{outcome:?}");
    }
    assert_eq!(fs::metadata(&file).unwrap().len(), 0);
    // An empty file where no store was, as `mktemp` makes it, is taken.
    let new = file_in(TempDir::new_in(dir.path()).unwrap().path());
    fs::create_dir_all(new.parent().unwrap()).unwrap();
    fs::write(&new, b"").unwrap();
    SqliteStore::open(&new, small()).unwrap();
}

#[test]
fn other_files_are_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let file = file_in(dir.path());
    for bytes in [b"not a database, but a text".to_vec(), vec![0; 8192]] {
        fs::write(&file, &bytes).unwrap();
        let outcome = SqliteStore::open(&file, small());
        assert!(matches!(outcome, Err(Error::Corrupt { .. })), "{outcome:?}");
        assert_eq!(fs::read(&file).unwrap(), bytes);
        fs::remove_file(&file).unwrap();
    }
    let foreign = rusqlite::Connection::open(&file).unwrap();
    foreign.execute_batch("CREATE TABLE t (x)").unwrap();
    drop(foreign);
    let before = fs::read(&file).unwrap();
    let outcome = SqliteStore::open(&file, small());
    assert!(matches!(outcome, Err(Error::Corrupt { .. })), "{outcome:?}");
    assert_eq!(fs::read(&file).unwrap(), before);
    assert!(!SqliteStore::exists(&file).unwrap());
}

/// A name that became another valid one, in the table or in its index.
#[test]
fn a_changed_name_is_noticed_wherever_it_stands() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(&file_in(dir.path()), small()).unwrap();
    let truth = fill(&store);
    store.close().unwrap();
    drop(store);
    let good = fs::read(file_in(dir.path())).unwrap();
    let names: Vec<_> = truth.values.keys().map(|(_, key)| key.as_str().to_owned()).collect();
    let mut changed = 0;
    for name in names.iter().step_by(4) {
        let found = good.windows(name.len()).enumerate();
        for (at, _) in found.filter(|(_, window)| *window == name.as_bytes()) {
            let mut bytes = good.clone();
            bytes[at + name.len() - 1] ^= 1;
            let dir = TempDir::new().unwrap();
            fs::write(file_in(dir.path()), bytes).unwrap();
            // What stands in unused space of a page changes nothing.
            let what = format!("{name} at {at}");
            changed += u32::from(nothing_false_is_answered(&file_in(dir.path()), &truth, &what));
        }
    }
    assert!(changed as usize >= names.len() / 4 * 2, "only {changed} changes were noticed");
}

/// Names are read from a table of their own, so each way in which the two can differ is damage.
#[test]
fn names_and_values_that_do_not_belong_together_are_damage() {
    let dir = TempDir::new().unwrap();
    let file = file_in(dir.path());
    let store = SqliteStore::open(&file, small()).unwrap();
    store.write(&ns("a"), &key("one"), b"1").unwrap();
    store.write(&ns("a"), &key("two"), b"2").unwrap();
    store.close().unwrap();
    let good = fs::read(&file).unwrap();
    for (change, opens) in [
        ("DELETE FROM kv WHERE created = 1", true),
        ("UPDATE kv SET key = 'eno' WHERE created = 1", true),
        (
            "INSERT INTO kv SELECT 3, primary_namespace, secondary_namespace, 'three', changed, checksum, value FROM kv WHERE created = 1",
            true,
        ),
        ("DELETE FROM names WHERE created = 1", false),
        ("UPDATE names SET key = 'eno' WHERE created = 1", false),
        (
            "INSERT INTO names SELECT 3, primary_namespace, secondary_namespace, 'three' FROM names WHERE created = 1",
            false,
        ),
        (
            "INSERT INTO names SELECT 3, primary_namespace, secondary_namespace, key FROM names WHERE created = 1",
            false,
        ),
    ] {
        fs::write(&file, &good).unwrap();
        let other = rusqlite::Connection::open(&file).unwrap();
        assert_eq!(other.execute(change, []).unwrap(), 1);
        other.close().unwrap();
        match SqliteStore::open(&file, small()) {
            Ok(store) => {
                assert!(opens && verify(&store).is_damaged(), "{change}");
                assert_eq!(store.list_all(&ns("a")).unwrap(), [key("one"), key("two")]);
                store.close().unwrap();
            }
            Err(Error::Corrupt { .. }) => assert!(!opens, "{change}"),
            Err(other) => panic!("{change}: {other:?}"),
        }
    }
}
