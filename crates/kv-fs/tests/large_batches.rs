//! A batch of very many values, small or not, needs few files, and its segment is not kept for ever.

mod common;

use common::{key, ns, verify};
use kv_core::{Batch, KvStore, KvStoreExt};
use kv_fs::{FsStore, Settings, disk::SimDisk};

fn batch(values: usize, len: usize) -> Batch {
    (0..values).fold(Batch::new(), |batch, n| {
        batch.put(&ns("a"), &key(&format!("key-{n}")), vec![n as u8; len])
    })
}

fn own_files(disk: &SimDisk, kind: &str) -> usize {
    let prefix = format!("~strongroom/v1.tmp/{kind}");
    disk.files().iter().filter(|path| path.starts_with(&prefix)).count()
}

/// Each file of its own is open until its batch is durable, and a process has 1024 by default.
#[test]
fn a_batch_of_many_values_needs_few_files() {
    for (values, len) in [(20_000, 1 << 10), (600, 64 << 10)] {
        let disk = SimDisk::new();
        let store = FsStore::open_alone(disk.mount(), Settings::default()).unwrap();
        store.submit(batch(values, len)).wait().unwrap();
        let big = own_files(&disk, "big");
        assert!(big <= 64, "{big} files for {values} values of {len} bytes");
        disk.crash();
        drop(store);
        let store = FsStore::open_alone(disk.mount(), Settings::default()).unwrap();
        assert_eq!(store.list_all(&ns("a")).unwrap().len(), values);
        assert_eq!(store.read_required(&ns("a"), &key("key-300")).unwrap().len(), len);
        disk.kill();
    }
}

#[test]
fn the_segment_of_a_large_batch_is_not_kept() {
    let disk = SimDisk::new();
    let store = FsStore::open_alone(disk.mount(), Settings::default()).unwrap();
    store.submit(batch(640, 60 << 10)).wait().unwrap();
    assert_eq!(own_files(&disk, "big"), 0);
    // For this there is no room in it: the log goes on in another segment.
    store.write(&ns("a"), &key("next"), vec![1; 8 << 10]).unwrap();
    store.checkpoint_now().unwrap();
    // Each value once, and a few segments of at most 16 MiB.
    assert!(disk.used() < (38 + 2 * 16) << 20, "{} bytes on disk", disk.used());
    assert!(!verify(&store).is_damaged());
    disk.kill();
}
