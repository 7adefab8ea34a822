//! A short run of the fuzz targets, the same each time: arbitrary bytes, bytes that resemble what is
//! written, and golden files with a few bytes changed. No reader panics.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

use std::{fs, sync::Arc};

use kv_core::testing::Random;
use kv_mem::MemStore;
use vault::fuzz;

fn golden(name: &str) -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1/");
    fs::read(format!("{path}{name}")).unwrap()
}

fn every_decoder(data: &[u8]) {
    fuzz::envelope(data);
    fuzz::header(data);
    fuzz::directory(data);
    fuzz::secrets(data);
}

#[test]
fn arbitrary_bytes_meet_every_decoder_of_the_vault() {
    let mut random = Random::seeded(1);
    for n in 0..20_000 {
        let len = random.below(if n % 10 == 0 { 1000 } else { 100 }) as usize;
        every_decoder(&random.bytes(len));
    }
}

#[test]
fn golden_files_with_a_few_bytes_changed_meet_every_decoder() {
    let mut random = Random::seeded(2);
    let files = ["envelope.bin", "header.bin", "header-wrapped.bin", "name-entry.bin"];
    let files = files.into_iter().chain(["name-page.bin", "evm-text.txt"]).map(golden);
    for file in files.collect::<Vec<_>>() {
        // What the header's framing adds is left out, so that a changed body has a good checksum.
        let body = file.get(6..file.len() - 4).unwrap_or_default().to_vec();
        for whole in [file, body] {
            fuzz::directory(&whole);
            for _ in 0..2_000 {
                let mut bytes = whole.clone();
                for _ in 0..1 + random.below(3) {
                    mutate(&mut bytes, &mut random);
                }
                every_decoder(&bytes);
            }
        }
    }
}

#[test]
fn directories_of_arbitrary_names_meet_unlock() {
    let mut random = Random::seeded(3);
    let parts = [golden("name-entry.bin"), golden("name-page.bin")];
    let mut opened = 0;
    for _ in 0..5_000 {
        let mut data = Vec::new();
        for _ in 0..random.below(6) {
            let what = random.below(256) as u8;
            let mut content = match random.below(3) {
                0 => random.bytes(20),
                1 => parts[0].clone(),
                _ => parts[1].clone(),
            };
            for _ in 0..random.below(4).saturating_sub(1) {
                mutate(&mut content, &mut random);
            }
            // Ends of what there is are where sums overflow.
            if random.below(4) == 0 && content.len() > 8 {
                content[..8].fill(255);
            }
            content.truncate(255);
            let number = [0, 1, 1, 2, 3, 254, 255][random.below(7) as usize];
            data.extend([what, number, content.len() as u8]);
            data.extend(content);
        }
        opened += u32::from(fuzz::unlock(&data, Arc::new(MemStore::new())));
    }
    assert!((100..4_900).contains(&opened), "{opened} opened");
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len() as u64) as usize;
    match random.below(5) {
        _ if bytes.is_empty() => bytes.push(random.draw() as u8),
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = [0, 1, 2, 255][random.below(4) as usize],
        2 => bytes.truncate(at),
        3 => bytes.insert(at, random.draw() as u8),
        _ => drop(bytes.remove(at)),
    }
}
