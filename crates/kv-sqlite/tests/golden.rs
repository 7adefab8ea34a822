//! Files written by earlier versions open with the same contents, in the same order of creation.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::{fs, path::Path};

use common::{Contents, copy_store, file_in, key, ns, small, verify};
use kv_core::{Batch, Error, KvStore, Namespace};
use kv_sqlite::SqliteStore;
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
fn golden(name: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1").join(name);
    copy_store(&file_in(&golden), &file_in(dir.path()));
    dir
}

fn check(name: &str) {
    let mut expected = Contents::default();
    batches().iter().for_each(|batch| expected.apply(batch));
    let dir = golden(name);
    for _ in 0..2 {
        let store = SqliteStore::open_existing(&file_in(dir.path()), small()).unwrap();
        assert_eq!(Contents::of(&store).unwrap(), expected);
        let found = verify(&store).findings;
        assert!(found.is_empty(), "{found:?}");
        store.close().unwrap();
    }
}

/// All in the database, and no log.
#[test]
fn a_closed_store_of_version_1() {
    check("closed");
}

/// The last two batches in the log only.
#[test]
fn a_killed_store_of_version_1() {
    check("killed");
}

/// `user_version` is 2.
#[test]
fn a_store_of_version_2() {
    let dir = golden("closed");
    let file = file_in(dir.path());
    let mut bytes = fs::read(&file).unwrap();
    *bytes.get_mut(63).unwrap() = 2;
    fs::write(&file, bytes).unwrap();
    let outcome = SqliteStore::open(&file, small());
    assert!(matches!(outcome, Err(Error::TooNew { found: 2, newest: 1, .. })), "{outcome:?}");
}

/// The page of the format, read with plain SQL and arithmetic.
#[test]
fn the_file_is_as_specified() {
    let dir = golden("closed");
    let file = rusqlite::Connection::open(file_in(dir.path())).unwrap();
    let number = |sql: &str| file.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(number("PRAGMA application_id"), 0x5352_4B56);
    assert_eq!(number("PRAGMA user_version"), 1);
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
}
