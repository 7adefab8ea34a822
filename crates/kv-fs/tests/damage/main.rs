//! Damage to every live byte and every file is reported, and never becomes a value; dead space may
//! be anything.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

mod bits;
#[path = "../common/mod.rs"]
mod common;
mod files;

use common::{Contents, key, ns, small, verify};
use kv_core::{Batch, Error, KvStore, Namespace, Result, Severity};
use kv_fs::{FsStore, Settings, disk::SimDisk};

fn settings() -> Settings {
    let mut settings = small();
    settings.segment_size = 4 << 10;
    settings.big_value = 300;
    settings
}

fn batches() -> Vec<Batch> {
    let own = Namespace::reserved("~own", "x").unwrap();
    vec![
        Batch::new().put(&ns("a"), &key("one"), b"first").put(&own, &key("note"), b"1"),
        Batch::new().put(&ns("a"), &key("two"), vec![2; 200]).put(
            &ns("a"),
            &key("big"),
            vec![3; 400],
        ),
        Batch::new().put(&ns(""), &key("three"), b"").remove(&ns("a"), &key("one")),
        Batch::new().put(&ns("a"), &key("four"), b"4").put(&own, &key("note"), b"2"),
    ]
}

/// Contents after each batch.
fn states() -> Vec<Contents> {
    let mut states = vec![Contents::default()];
    for batch in batches() {
        let mut next = states.last().unwrap().clone();
        next.apply(&batch);
        states.push(next);
    }
    states
}

/// A store whose batches are all in files.
fn closed() -> SimDisk {
    let disk = SimDisk::new();
    // Two sessions, so that the index has a base and changes.
    for half in batches().chunks(2) {
        let store = FsStore::open_on(disk.mount(), settings()).unwrap();
        for batch in half {
            store.submit(batch.clone()).wait().unwrap();
        }
        store.close().unwrap();
    }
    disk
}

/// A store whose batches are all in the log, one flush each, and whose program was killed.
fn killed() -> SimDisk {
    let disk = SimDisk::new();
    let store = FsStore::open_on(disk.mount(), settings()).unwrap();
    for batch in batches() {
        store.submit(batch).wait().unwrap();
    }
    disk.kill();
    disk
}

/// What a damaged store answers.
#[derive(Debug)]
struct Found {
    contents: Contents,
    /// The worst finding of the scrub.
    worst: Option<Severity>,
}

/// Opens the store and reads everything. An error is fine, but only one that speaks of damage.
fn examine(disk: &SimDisk, what: &str) -> Option<Found> {
    let outcome: Result<Found> = (|| {
        let store = FsStore::open_on(disk.mount(), settings())?;
        let worst = verify(&store).findings.iter().map(|finding| finding.severity).max();
        let contents = Contents::of(&store);
        // The scrub sees whatever a read stumbles over.
        assert_eq!(contents.is_err(), worst == Some(Severity::Damage), "{what}: {contents:?}");
        Ok(Found { contents: contents?, worst })
    })();
    match outcome {
        Ok(found) => Some(found),
        Err(Error::Corrupt { .. }) => None,
        Err(error) => panic!("{what}: {error:?}"),
    }
}

fn flipped(disk: &SimDisk, path: &str, at: usize, bit: u32) -> SimDisk {
    let disk = disk.copy();
    let mut bytes = disk.contents(path).unwrap();
    bytes[at] ^= 1 << bit;
    disk.overwrite(path, &bytes);
    disk
}

/// Every bit of the first bytes of a file.
fn bits(len: usize) -> impl Iterator<Item = (usize, u32)> {
    (0..len).flat_map(|at| (0..8).map(move |bit| (at, bit)))
}

/// Where the frames of a log end: from there on it is zeros.
fn live_len(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}
