//! A short run of the fuzz targets, the same each time: arbitrary bytes, golden files and stores with
//! a few bytes changed. No reader panics, and none asks for memory that the bytes do not account for.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

mod common;

use std::{fs, sync::Arc};

use backup::fuzz;
use common::{Contents, contents, key, ns, numbered, own, recorder_with};
use kv_core::{Batch, KvStore, KvStoreExt, testing::Random};
use kv_mem::MemStore;

fn golden(name: &str) -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1/");
    fs::read(format!("{path}{name}")).unwrap()
}

const PLAIN: [&str; 16] = [
    "segment.bin",
    "dump-part.bin",
    "dump-index.bin",
    "head.bin",
    "head-others.bin",
    "others.bin",
    "mark-2.bin",
    "fence.bin",
    "fence-state.bin",
    "history.bin",
    "history-puts.bin",
    "state.bin",
    "log-entry.bin",
    "dirty-page.bin",
    "tombstones.bin",
    "frame.bin",
];

/// The most address space this process has ever had, in bytes; nothing where the system does not tell.
fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
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
fn arbitrary_bytes_meet_every_decoder_of_backups() {
    within_memory(|| {
        let mut random = Random::seeded(1);
        for n in 0..20_000 {
            let len = random.below(if n % 10 == 0 { 1000 } else { 100 }) as usize;
            let mut data = random.bytes(len);
            // Small numbers make more of it readable.
            if n % 2 == 0 {
                data.iter_mut().filter(|_| random.below(4) > 0).for_each(|byte| *byte %= 2);
            }
            fuzz::plain(&data);
            fuzz::name(&data);
            if n % 10 == 0 {
                fuzz::object(&data);
            }
        }
    });
}

#[test]
fn golden_plaintexts_with_a_few_bytes_changed_meet_every_decoder() {
    within_memory(|| {
        let mut random = Random::seeded(2);
        for file in PLAIN.map(golden) {
            fuzz::plain(&file);
            for n in 0..1_500 {
                let mut bytes = file.clone();
                for _ in 0..1 + random.below(3) {
                    mutate(&mut bytes, &mut random);
                }
                fuzz::plain(&bytes);
                if n % 5 == 0 {
                    fuzz::object(&bytes);
                }
            }
        }
    });
}

#[test]
fn names_with_a_few_characters_changed_have_one_spelling() {
    let mut random = Random::seeded(3);
    let names = ["head.name", "segment.name", "dump-part.name", "dump-index.name", "fence.name"];
    for name in names.map(golden) {
        for _ in 0..5_000 {
            let mut bytes = name.trim_ascii().to_vec();
            for _ in 0..1 + random.below(2) {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] = b"az27019-/+ "[random.below(11) as usize];
            }
            fuzz::name(&bytes);
        }
    }
}

#[test]
fn arbitrary_bookkeeping_meets_the_recorder() {
    within_memory(|| {
        let mut random = Random::seeded(4);
        let parts = ["state.bin", "log-entry.bin", "dirty-page.bin", "tombstones.bin"].map(golden);
        for _ in 0..3_000 {
            let mut data = Vec::new();
            for _ in 0..random.below(5) {
                let which = random.below(4) as usize;
                let mut content = parts[which].clone();
                for _ in 0..random.below(3) {
                    mutate(&mut content, &mut random);
                }
                let number = [0, 1, 2, 3, 254, 255][random.below(6) as usize];
                let place = [0, 2, 5, 7][which];
                data.extend([place, if which == 0 { number % 4 } else { number }]);
                data.extend((content.len() as u16).to_le_bytes());
                data.extend(content);
            }
            fuzz::log(&data, Arc::new(MemStore::new()));
        }
    });
}

/// A store with entries, dirty pages, tombstones and a state, as a recorder left it.
fn recorded() -> Contents {
    let store: Arc<dyn KvStore> = Arc::new(MemStore::new());
    let recorder = recorder_with(store.clone(), common::clock(), u64::MAX);
    for n in 0..40 {
        let batch = Batch::new()
            .put(&ns("m"), &numbered(n % 7), vec![n as u8; 20])
            .put(&ns("s"), &key("state"), &[n as u8])
            .remove(&ns("m"), &numbered((n + 3) % 7));
        recorder.submit(batch).wait().unwrap();
    }
    contents(&*store)
}

#[test]
fn mutated_bookkeeping_meets_the_recorder() {
    within_memory(|| {
        let recorded = recorded();
        let own: Vec<_> =
            recorded.keys().filter(|(ns, _)| ns.primary() == own("log").primary()).collect();
        assert!(own.len() > 10);
        let mut random = Random::seeded(5);
        let (mut opened, mut refused) = (0, 0);
        for _ in 0..3_000 {
            let mut changed = recorded.clone();
            for _ in 0..1 + random.below(2) {
                let place = own[random.below(own.len() as u64) as usize];
                match random.below(8) {
                    0 => drop(changed.remove(place)),
                    _ => mutate(changed.entry(place.clone()).or_default(), &mut random),
                }
            }
            let store: Arc<dyn KvStore> = Arc::new(MemStore::new());
            for ((ns, key), value) in changed {
                store.write(&ns, &key, value).unwrap();
            }
            match fuzz::use_it(store) {
                Ok(()) => opened += 1,
                Err(_) => refused += 1,
            }
        }
        assert!(opened > 100 && refused > 100, "{opened} opened, {refused} were refused");
    });
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len() as u64) as usize;
    match random.below(6) {
        _ if bytes.is_empty() => bytes.push(random.draw() as u8),
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = [0, 1, 2, 255][random.below(4) as usize],
        2 => bytes.truncate(at),
        3 => bytes.insert(at, random.draw() as u8),
        4 => {
            // The ends of a number, where sums overflow.
            let end = (at + 8).min(bytes.len());
            bytes[at..end].fill([0, 255][random.below(2) as usize]);
        }
        _ => drop(bytes.remove(at)),
    }
}
