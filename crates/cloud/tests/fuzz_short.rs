//! A short run of the fuzz targets, the same each time.
#![expect(clippy::indexing_slicing, reason = "tests may panic")]

use cloud::testing::fuzz;
use kv_core::testing::Random;

/// Joins a few of the pieces that matter, and an arbitrary byte now and then.
fn text(random: &mut Random, pieces: &[&str]) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..random.below(8) {
        match random.below(8) {
            0 => text.push(random.draw() as u8),
            _ => text.extend(pieces[random.below(pieces.len() as u64) as usize].bytes()),
        }
    }
    text
}

#[test]
fn arbitrary_text_meets_the_readers_of_addresses_and_file_names() {
    let mut random = Random::seeded(1);
    let urls = [
        "dir:",
        "s3://",
        "gs://",
        "az://",
        "webdavs://",
        ":",
        "/",
        ".",
        "..",
        "a b",
        "\u{0}",
        "\\",
        "@",
        "?",
        "#",
        "&",
        "=",
        "%",
        "region",
        "é",
        "host",
    ];
    let names = ["con", "com1", "lpt", "aux.", ".", "~", "a", "-", "_", "0", "nul", "~~", "A", " "];
    for n in 0..50_000 {
        fuzz::url(&text(&mut random, &urls));
        fuzz::file_name(&text(&mut random, &names));
        if n % 10 == 0 {
            let bytes = random.bytes(20);
            fuzz::url(&bytes);
            fuzz::file_name(&bytes);
        }
    }
}
