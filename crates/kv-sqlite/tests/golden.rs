//! Files written by earlier versions open with the same contents, in the same order of creation.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::{fs, path::Path, sync::Arc};

use common::{Contents, copy_store, file_in, key, log_of, ns, small, verify};
use kv_core::{Batch, Error, KvStore, Namespace};
use kv_sqlite::{SqliteStore, testing::Faults};
use tempfile::TempDir;

/// What was submitted to the golden stores, one flush each, with a close after the second batch.
fn batches() -> Vec<Batch> {
    let own = Namespace::reserved("~layer", "x").unwrap();
    let monitors = Namespace::new("monitors", "updates").unwrap();
    vec![
        Batch::new().put(&ns(""), &key("manager"), b"first").put(&own, &key("note"), b"1"),
        Batch::new().put(&monitors, &key("z"), b"older").put(&monitors, &key("gone"), b"x"),
        Batch::new().put(&monitors, &key("a"), vec![7; 400]).remove(&monitors, &key("gone")),
        Batch::new().put(&monitors, &key("z"), b"newer").put(&own, &key("note"), b"2"),
    ]
}

/// A copy of a golden store, since opening changes it.
fn golden(version: u32, name: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    copy_store(&file_in(&all.join(format!("v{version}")).join(name)), &file_in(dir.path()));
    dir
}

fn expected() -> Contents {
    let mut expected = Contents::default();
    batches().iter().for_each(|batch| expected.apply(batch));
    expected
}

fn check(version: u32, name: &str) {
    let dir = golden(version, name);
    for _ in 0..2 {
        let store = SqliteStore::open_existing(&file_in(dir.path()), small()).unwrap();
        assert_eq!(Contents::of(&store).unwrap(), expected());
        let found = verify(&store).findings;
        assert!(found.is_empty(), "{found:?}");
        store.close().unwrap();
    }
    assert_eq!(version_of(dir.path()), 2);
}

fn version_of(dir: &Path) -> u8 {
    *fs::read(file_in(dir)).unwrap().get(63).unwrap()
}

/// All in the database, and no log.
#[test]
fn a_closed_store_of_version_1() {
    check(1, "closed");
}

/// The last two batches in the log only.
#[test]
fn a_killed_store_of_version_1() {
    check(1, "killed");
}

#[test]
fn a_closed_store_of_version_2() {
    check(2, "closed");
}

#[test]
fn a_killed_store_of_version_2() {
    check(2, "killed");
}

/// A copy that SQLite made of a store of version 1 has no log, and can be accepted all the same.
#[test]
fn a_copy_of_version_1_is_accepted_and_upgraded() {
    let dir = golden(1, "closed");
    let file = file_in(dir.path());
    let copying = rusqlite::Connection::open(&file).unwrap();
    copying.pragma_update(None, "journal_mode", "DELETE").unwrap();
    copying.close().unwrap();
    let outcome = SqliteStore::open(&file, small());
    assert!(matches!(outcome, Err(Error::Corrupt { .. })), "{outcome:?}");
    assert_eq!(version_of(dir.path()), 1);
    SqliteStore::accept_copy(&file).unwrap();
    let store = SqliteStore::open(&file, small()).unwrap();
    assert_eq!(Contents::of(&store).unwrap(), expected());
    store.close().unwrap();
    assert_eq!(version_of(dir.path()), 2);
}

/// A failure leaves the version before, with everything in it; the next opening goes on.
#[test]
fn an_upgrade_that_fails_is_made_at_the_next_opening() {
    let mut failures = 0;
    for (nth, name) in (1..12).flat_map(|nth| [(nth, "closed"), (nth, "killed")]) {
        let dir = golden(1, name);
        let faults = Arc::new(Faults::default());
        faults.fail_nth(nth);
        let opened = faults.open(&file_in(dir.path()), small());
        failures += u32::from(opened.is_err());
        drop(opened);
        let store = SqliteStore::open(&file_in(dir.path()), small()).unwrap();
        assert_eq!(Contents::of(&store).unwrap(), expected());
        store.close().unwrap();
        assert_eq!(version_of(dir.path()), 2);
    }
    // The upgrade itself, the note that the log is needed from now on, and its move.
    assert!(failures >= 6, "only {failures}");
}

/// Whatever of the log is on the disk after a power cut: the names and values are those of before.
#[test]
fn a_power_cut_in_an_upgrade_loses_nothing() {
    let before = fs::read(file_in(golden(1, "closed").path())).unwrap();
    let dir = golden(1, "closed");
    let store = SqliteStore::open(&file_in(dir.path()), small()).unwrap();
    let log = fs::read(log_of(&file_in(dir.path()))).unwrap();
    store.close().unwrap();
    let used = log.iter().rposition(|byte| *byte != 0).unwrap();
    let mut upgraded = 0;
    for end in (0..=used + 1).step_by(412).chain([used + 1]) {
        let dir = TempDir::new().unwrap();
        let file = file_in(dir.path());
        fs::write(&file, &before).unwrap();
        fs::write(log_of(&file), log.get(..end).unwrap()).unwrap();
        // As SQLite alone sees it: before the upgrade, or after it.
        let there = rusqlite::Connection::open(&file).unwrap();
        upgraded += there
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'names'", [], |row| {
                row.get::<_, u32>(0)
            })
            .unwrap();
        drop(there);
        fs::write(&file, &before).unwrap();
        fs::write(log_of(&file), log.get(..end).unwrap()).unwrap();
        let store = SqliteStore::open(&file, small()).unwrap();
        assert_eq!(Contents::of(&store).unwrap(), expected(), "cut at {end}");
        assert!(!verify(&store).is_damaged());
        store.close().unwrap();
        assert_eq!(version_of(dir.path()), 2);
    }
    assert!(upgraded > 0, "the log does not hold the upgrade");
}

/// `user_version` is 3.
#[test]
fn a_store_of_version_3() {
    let dir = golden(2, "closed");
    let file = file_in(dir.path());
    let mut bytes = fs::read(&file).unwrap();
    *bytes.get_mut(63).unwrap() = 3;
    fs::write(&file, bytes).unwrap();
    let outcome = SqliteStore::open(&file, small());
    assert!(matches!(outcome, Err(Error::TooNew { found: 3, newest: 2, .. })), "{outcome:?}");
}

#[test]
fn the_file_of_version_1_is_as_specified() {
    the_file_is_as_specified(1);
}

/// The same, and the names once more.
#[test]
fn the_file_of_version_2_is_as_specified() {
    let dir = the_file_is_as_specified(2);
    let file = rusqlite::Connection::open(file_in(dir.path())).unwrap();
    let names = |table: &str| {
        let sql = format!(
            "SELECT created || ' ' || primary_namespace || '/' || secondary_namespace || '/' || key \
             FROM {table} ORDER BY created"
        );
        let mut query = file.prepare(&sql).unwrap();
        let rows = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.collect::<Result<Vec<_>, _>>().unwrap()
    };
    assert_eq!(names("names"), names("kv"));
    assert_eq!(names("names").len(), 4);
}

/// The page of the format, read with plain SQL and arithmetic.
fn the_file_is_as_specified(version: u32) -> TempDir {
    let dir = golden(version, "closed");
    let file = rusqlite::Connection::open(file_in(dir.path())).unwrap();
    let number = |sql: &str| file.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(number("PRAGMA application_id"), 0x5352_4B56);
    assert_eq!(number("PRAGMA user_version"), i64::from(version));
    assert_eq!(number("PRAGMA page_size"), 4096);
    let mut query = file
        .prepare("SELECT created, primary_namespace, secondary_namespace, key, changed, checksum, value FROM kv")
        .unwrap();
    let mut rows = query.query([]).unwrap();
    let (mut keys, mut names) = (0_u64, 0_u64);
    while let Some(row) = rows.next().unwrap() {
        let mut name = row.get::<_, i64>(0).unwrap().to_le_bytes().to_vec();
        for column in 1..4 {
            let text: String = row.get(column).unwrap();
            name.push(text.len() as u8);
            name.extend_from_slice(text.as_bytes());
        }
        let changed = row.get::<_, i64>(4).unwrap().to_le_bytes();
        let value: Vec<u8> = row.get(6).unwrap();
        let checksum = crc32c::crc32c(&[&changed[..], &name, &value].concat());
        assert_eq!(row.get::<_, i64>(5).unwrap(), i64::from(checksum));
        keys += 1;
        names = names.wrapping_add(u64::from(crc32c::crc32c(&name)));
    }
    let of = |column: &str| number(&format!("SELECT {column} FROM state")).cast_unsigned();
    assert_eq!((of("keys"), of("names"), of("clean")), (keys, names, 1));
    let numbers = ["sequence", "next_created", "keys", "names", "clean"].map(of);
    let checksum = crc32c::crc32c(&numbers.map(u64::to_le_bytes).concat());
    assert_eq!(of("checksum"), u64::from(checksum));
    dir
}
