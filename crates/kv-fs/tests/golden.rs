//! Folders written by earlier versions open with the same contents, in the same order of creation.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::{fs, path::Path};

use common::{Contents, key, ns, small, verify};
use kv_core::{Batch, Error, KvStore, Namespace, Severity};
use kv_fs::{FsStore, Settings};
use tempfile::TempDir;

fn settings() -> Settings {
    let mut settings = small();
    settings.segment_size = 4 << 10;
    settings.big_value = 300;
    settings
}

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

fn expected() -> Contents {
    let mut contents = Contents::default();
    for batch in batches() {
        contents.apply(&batch);
    }
    contents
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A copy of a golden folder, since opening changes it.
fn golden(name: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1").join(name);
    copy(&golden, dir.path());
    dir
}

fn check(name: &str) {
    let dir = golden(name);
    for findings in [1, 0] {
        let store = FsStore::open_existing(dir.path(), settings()).unwrap();
        assert_eq!(Contents::of(&store).unwrap(), expected());
        // A copy of a closed store does not have its times: they are set again, and that is noted.
        let found = verify(&store).findings;
        assert!(found.len() <= findings, "{found:?}");
        assert!(found.iter().all(|finding| finding.severity == Severity::Notice), "{found:?}");
        store.close().unwrap();
    }
}

/// All values in files, with a note of the clean close.
#[test]
fn a_closed_store_of_version_1() {
    check("dir-closed");
}

/// The last two batches in the log only.
#[test]
fn a_killed_store_of_version_1() {
    check("dir-killed");
}

/// The header of the index says 2.
#[test]
fn a_store_of_version_2() {
    let outcome = FsStore::open(golden("dir-too-new").path(), settings());
    assert!(matches!(outcome, Err(Error::TooNew { found: 2, newest: 1, .. })), "{outcome:?}");
}

/// A byte in the middle of the log is not the one written.
#[test]
fn a_damaged_store_of_version_1() {
    let outcome = FsStore::open(golden("dir-damaged").path(), settings());
    assert!(matches!(outcome, Err(Error::Corrupt { .. })), "{outcome:?}");
}
