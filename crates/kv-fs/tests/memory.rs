//! What keys cost in memory, counted.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::{SimBed, key, ns, small};
use kv_core::{Batch, KvStore};
use kv_fs::{FsStore, Settings};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const KEYS: usize = 20_000;

fn settings() -> Settings {
    let mut settings = small();
    settings.segment_size = 4096;
    settings.read_cache = 0;
    settings
}

/// Bytes that opening the store has taken for each key.
fn per_key(bed: &SimBed) -> usize {
    let before = ALLOCATOR.current_usage();
    let store = FsStore::open_alone(bed.disk.mount(), settings()).unwrap();
    let after = ALLOCATOR.current_usage();
    store.close().unwrap();
    (after - before) / KEYS
}

/// The only test of this file: nobody else may allocate.
#[test]
fn a_key_takes_at_most_150_bytes() {
    let name = |n: usize| key(&format!("key-{n:09}"));
    // In the order of names, and in no order.
    for scatter in [1, 7919] {
        let bed = SimBed::default();
        // Nothing goes on in the background while bytes are counted.
        let store = FsStore::open_alone(bed.disk.mount(), settings()).unwrap();
        for chunk in (0..KEYS).collect::<Vec<_>>().chunks(1000) {
            let put = |batch: Batch, n: &usize| {
                batch.put(&ns("a"), &name(n * scatter % KEYS), n.to_le_bytes().as_slice())
            };
            store.submit(chunk.iter().fold(Batch::new(), put)).wait().unwrap();
        }
        store.do_background();
        store.checkpoint_now().unwrap();
        // The simulated disk has its part of this, so only what the store gives back counts.
        let open = ALLOCATOR.current_usage();
        store.close().unwrap();
        let closed = ALLOCATOR.current_usage();
        let grown = open.saturating_sub(closed) / KEYS;
        assert!((60..=150).contains(&grown), "{grown} bytes per key, grown");
        let loaded = per_key(&bed);
        assert!((60..=150).contains(&loaded), "{loaded} bytes per key, loaded");
    }
}
