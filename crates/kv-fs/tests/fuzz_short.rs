//! A short run of the fuzz targets, the same each time: arbitrary bytes, and stores with a few
//! bytes changed. No reader panics, and none asks for memory that the bytes do not account for.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

mod common;

use common::{Contents, key, ns, small, verify};
use kv_core::{KvStoreExt, testing::Random};
use kv_fs::{FsStore, disk::SimDisk, fuzz};

/// The most address space this process has ever had, in bytes; nothing where the system does not tell.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Runs something and sees to it that it never asked for much memory, not even unused.
fn within_memory(run: impl FnOnce()) {
    let before = peak();
    run();
    if let (Some(before), Some(after)) = (before, peak()) {
        assert!(after - before < 256 << 20, "from {before} to {after} bytes");
    }
}

#[test]
fn arbitrary_bytes_meet_every_decoder() {
    within_memory(|| {
        let mut random = Random::seeded(1);
        for n in 0..200_000 {
            let len = random.below(if n % 10 == 0 { 2000 } else { 100 }) as usize;
            fuzz::frame(&random.bytes(len));
        }
    });
}

#[test]
fn arbitrary_bytes_meet_open() {
    within_memory(|| {
        let mut random = Random::seeded(2);
        for _ in 0..40_000 {
            let len = random.below(1500) as usize;
            let mut data = random.bytes(len);
            // Small numbers of changes and short names make more of the rows readable.
            for byte in &mut data {
                if random.below(3) > 0 {
                    *byte = [0, 1, 2, 3, b'a', 254, 255][random.below(7) as usize];
                }
            }
            fuzz::open(&data);
        }
    });
}

/// A killed store with several segments, big values and checkpoints.
fn killed() -> SimDisk {
    let disk = SimDisk::new();
    let mut settings = small();
    settings.segment_size = 4 << 10;
    settings.big_value = 2 << 10;
    let store = FsStore::open_alone(disk.mount(), settings).unwrap();
    for n in 0..12u8 {
        let len = if n % 4 == 1 { 3000 } else { 700 };
        store.write(&ns("a"), &key(&format!("key-{}", n % 5)), vec![n; len]).unwrap();
        if n == 4 {
            store.checkpoint_now().unwrap();
        }
    }
    disk.kill();
    disk
}

/// Damage of any kind is an error, a finding, or leaves what was there at some time.
#[test]
fn mutated_stores_meet_open() {
    within_memory(|| {
        let killed = killed();
        let mut random = Random::seeded(3);
        let files: Vec<_> = killed.files().into_iter().filter(|f| !f.ends_with("lock")).collect();
        let (mut opened, mut refused) = (0, 0);
        for _ in 0..40_000 {
            let disk = killed.copy();
            for _ in 0..1 + random.below(3) {
                let path = &files[random.below(files.len() as u64) as usize];
                let mut bytes = disk.contents(path).unwrap_or_default();
                mutate(&mut bytes, &mut random);
                disk.overwrite(path, &bytes);
            }
            let Ok(store) = FsStore::open_alone(disk.mount(), small()) else {
                refused += 1;
                continue;
            };
            opened += 1;
            let damaged = verify(&store).is_damaged();
            match Contents::of(&store) {
                Err(_) => assert!(damaged, "an error that the scrub does not see"),
                // A value is one that was written: its bytes are all the same.
                Ok(contents) => {
                    for (name, value) in &contents.values {
                        assert!(value.iter().all(|byte| *byte == value[0]), "{name:?}");
                    }
                }
            }
        }
        println!("{opened} opened, {refused} were refused");
        assert!(opened > 100 && refused > 100, "{opened} opened, {refused} were refused");
    });
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len() as u64) as usize;
    let len = random.below(64) as usize;
    let end = (at + len).min(bytes.len());
    match random.below(6) {
        _ if bytes.is_empty() => bytes.push(random.draw() as u8),
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.draw() as u8,
        2 => bytes.truncate(at),
        3 => bytes[at..end].fill(0),
        4 => {
            let from = random.below(bytes.len() as u64) as usize;
            let piece = bytes[from..(from + len).min(bytes.len())].to_vec();
            bytes.splice(at..end, piece);
        }
        _ => {
            let piece = random.bytes(len);
            bytes.splice(at..end, piece);
        }
    }
}
