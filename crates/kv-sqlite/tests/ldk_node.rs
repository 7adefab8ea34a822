//! Files as ldk-node makes them, in each of its three formats.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::path::Path;

use common::key;
use kv_core::{Batch, Error, KvStore, KvStoreExt, Namespace};
use kv_sqlite::LdkNodeFile;
use rusqlite::Connection;
use tempfile::TempDir;

/// The tables as ldk-node's `SqliteStore` creates them.
fn make(file: &Path, version: u32, table: &str) -> Connection {
    let connection = Connection::open(file).unwrap();
    connection.pragma_update(None, "user_version", version).unwrap();
    let columns = match version {
        1 => {
            "namespace TEXT NOT NULL, key TEXT NOT NULL CHECK (key <> ''), value BLOB, \
              PRIMARY KEY ( namespace, key )"
        }
        2 => {
            "primary_namespace TEXT NOT NULL, secondary_namespace TEXT DEFAULT '' NOT NULL, \
              key TEXT NOT NULL CHECK (key <> ''), value BLOB, \
              PRIMARY KEY ( primary_namespace, secondary_namespace, key )"
        }
        _ => {
            "primary_namespace TEXT NOT NULL, secondary_namespace TEXT DEFAULT '' NOT NULL, \
              key TEXT NOT NULL CHECK (key <> ''), value BLOB, \
              sort_order INTEGER NOT NULL DEFAULT 0, \
              PRIMARY KEY ( primary_namespace, secondary_namespace, key )"
        }
    };
    connection.execute_batch(&format!("CREATE TABLE {table} ({columns})")).unwrap();
    connection
}

fn newest_first(file: &LdkNodeFile, ns: &Namespace) -> Vec<String> {
    let order = file.capabilities().creation_order.unwrap();
    let page = order.list_newest_first(ns, None, 9).unwrap();
    page.keys.iter().map(|key| key.as_str().to_owned()).collect()
}

#[test]
fn each_format_of_ldk_node_is_read() {
    let dir = TempDir::new().unwrap();
    for version in [1, 2, 3] {
        let path = dir.path().join(format!("v{version}.sqlite"));
        let table = if version == 2 { "ldk_data" } else { "ldk_node_data" };
        let connection = make(&path, version, table);
        let (names, numbers) = match version {
            1 => ("namespace", ""),
            2 => ("primary_namespace", ""),
            _ => ("primary_namespace", ", sort_order"),
        };
        for (n, name) in ["b", "c", "a"].iter().enumerate() {
            // The order of creation is that of the rows, in the last format a column says it.
            let order = if version == 3 { format!(", {}", 10 - n) } else { String::new() };
            let insert = format!(
                "INSERT INTO {table} ({names}, key, value{numbers}) VALUES ('monitors', ?1, ?2{order})"
            );
            connection.execute(&insert, (name, name.repeat(n + 1).as_bytes())).unwrap();
        }
        drop(connection);
        let before = std::fs::read(&path).unwrap();
        let file = LdkNodeFile::open(&path).unwrap();
        let monitors = Namespace::new("monitors", "").unwrap();
        assert_eq!(file.namespaces().unwrap(), std::slice::from_ref(&monitors));
        assert_eq!(file.list_all(&monitors).unwrap(), [key("a"), key("b"), key("c")]);
        let expected = if version == 3 { ["b", "c", "a"] } else { ["a", "c", "b"] };
        assert_eq!(newest_first(&file, &monitors), expected, "format {version}");
        assert_eq!(&*file.read_required(&monitors, &key("a")).unwrap(), b"aaa");
        assert_eq!(file.read(&monitors, &key("d")).unwrap(), None);
        let refused = file.submit(Batch::new().remove(&monitors, &key("a"))).wait();
        assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
        file.flush().unwrap();
        file.close().unwrap();
        assert!(matches!(file.read(&monitors, &key("a")), Err(Error::Closed { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), before, "only read, and yet changed");
    }
}

#[test]
fn other_files_are_not_ldk_nodes() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("file.sqlite");
    assert!(matches!(LdkNodeFile::open(&path), Err(Error::NotFound { .. })));
    drop(make(&path, 4, "ldk_node_data"));
    let newer = LdkNodeFile::open(&path);
    assert!(matches!(newer, Err(Error::TooNew { found: 4, newest: 3, .. })), "{newer:?}");
    let other = dir.path().join("other.sqlite");
    drop(make(&other, 3, "something_else"));
    assert!(matches!(LdkNodeFile::open(&other), Err(Error::Corrupt { .. })));
    std::fs::write(&other, "a text").unwrap();
    assert!(matches!(LdkNodeFile::open(&other), Err(Error::Corrupt { .. })));
}

#[test]
fn a_file_that_ldk_node_writes_to_meanwhile_stays_as_it_was_opened() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("file.sqlite");
    let writer = make(&path, 3, "ldk_node_data");
    let insert = "INSERT INTO ldk_node_data (primary_namespace, key, value, sort_order) \
                  VALUES ('a', 'k', x'01', 1)";
    writer.execute(insert, []).unwrap();
    let file = LdkNodeFile::open(&path).unwrap();
    writer.busy_timeout(std::time::Duration::ZERO).unwrap();
    let update = writer.execute("UPDATE ldk_node_data SET value = x'02'", []);
    assert!(update.is_err(), "the writer did not notice that the file is held");
    let a = Namespace::new("a", "").unwrap();
    assert_eq!(&*file.read_required(&a, &key("k")).unwrap(), &[1]);
}

/// What a sealed file holds went elsewhere: no node starts from it, and none goes on.
#[test]
fn no_node_runs_from_a_file_that_was_sealed() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("ldk_node_data.sqlite");
    let node = make(&path, 3, "ldk_node_data");
    let insert = "INSERT INTO ldk_node_data (primary_namespace, key, value, sort_order) \
                  VALUES ('a', 'k', x'01', 1)";
    node.execute(insert, []).unwrap();
    let a = Namespace::new("a", "").unwrap();
    let file = LdkNodeFile::open(&path).unwrap();
    file.add(&a, &key("seed"), b"s").unwrap();
    file.add(&a, &key("seed"), b"s").unwrap();
    let other = file.add(&a, &key("k"), b"s");
    assert!(matches!(other, Err(Error::Precondition { .. })), "{other:?}");
    assert_eq!(newest_first(&file, &a), ["seed", "k"]);
    assert_eq!(&*file.read_required(&a, &key("seed")).unwrap(), b"s");

    let sealed = file.seal("it is in the wallet w").unwrap();
    assert_eq!(sealed, dir.path().join("ldk_node_data.sqlite.moved-to-strongroom"));
    node.busy_timeout(std::time::Duration::ZERO).unwrap();
    let update = node.execute("UPDATE ldk_node_data SET value = x'02'", []);
    assert!(update.is_err(), "a node that still runs can write");
    drop(node);
    let start = Connection::open(&path).unwrap();
    let version = start.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0));
    assert!(version.is_err(), "a node can start");
    drop(start);
    let refused = LdkNodeFile::open(&path).unwrap_err();
    let why = std::error::Error::source(&refused).unwrap().to_string();
    assert!(matches!(refused, Error::Refused { .. }) && why.contains("wallet w"), "{refused:?}");

    // Interrupted before the note was there.
    std::fs::remove_file(&path).unwrap();
    let file = LdkNodeFile::open(&path).unwrap();
    assert_eq!(&*file.read_required(&a, &key("k")).unwrap(), &[1]);
    file.seal("again").unwrap();
    assert!(matches!(LdkNodeFile::open(&path), Err(Error::Refused { .. })));
    // A new node in the place of the old one is not put over it.
    std::fs::remove_file(&path).unwrap();
    drop(make(&path, 3, "ldk_node_data"));
    let new = LdkNodeFile::open(&path).unwrap().seal("no");
    assert!(matches!(new, Err(Error::Io { .. })), "{new:?}");
    assert!(sealed.exists());
}
