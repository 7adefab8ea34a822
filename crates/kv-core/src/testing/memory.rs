//! Looks for secrets in this process's own memory, as somebody with a core dump would. Linux only.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test panics")]

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
};

/// How much is looked at in one go.
const CHUNK: usize = 64 << 10;
/// How many bytes of a secret in a row count as found: what is half overwritten is found, too.
const RUN: usize = 16;
/// No secret is in memory as it is because we look for it.
const MASK: u8 = 0xa5;

/// A secret to look for, kept in a masked form.
#[derive(Debug)]
pub struct Needle {
    name: &'static str,
    masked: Vec<[u8; RUN]>,
}

impl Needle {
    /// The bytes that these hexadecimal digits stand for, 16 at least.
    ///
    /// # Panics
    /// If they are fewer, or no digits.
    pub fn hex(name: &'static str, digits: &'static str) -> Self {
        let masked: Vec<u8> = digits
            .as_bytes()
            .chunks(2)
            .map(|pair| match pair {
                [high, low] => (nibble(*high) << 4 | nibble(*low)) ^ MASK,
                _ => panic!("an odd number of digits"),
            })
            .collect();
        let (runs, _) = masked.as_chunks();
        assert!(!runs.is_empty(), "too short to be looked for");
        Self { name, masked: runs.to_vec() }
    }

    /// What it was called.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// The names of the secrets of which any 16 aligned bytes are in memory, each with where, such as
/// `[heap]`, `[stack]` or nothing for memory of another thread.
///
/// # Errors
/// If the system does not show its memory to a process.
///
/// # Panics
/// If it shows it in an unknown form.
pub fn scan(needles: &[Needle]) -> io::Result<Vec<(&'static str, String)>> {
    let mut first = [false; 256];
    for run in needles.iter().flat_map(|needle| &needle.masked) {
        first[usize::from(run[0] ^ MASK)] = true;
    }
    let memory = File::open("/proc/self/mem")?;
    let mut found = Vec::new();
    let mut chunk = vec![0; CHUNK];
    for line in fs::read_to_string("/proc/self/maps")?.lines() {
        let mut fields = line.split_whitespace();
        let (range, rights) = (fields.next().unwrap(), fields.next().unwrap());
        let place = fields.nth(3).unwrap_or_default();
        if !rights.starts_with('r') || place.starts_with("[v") {
            continue; // The kernel's own pages, which hold the clock.
        }
        let (begin, end) = range.split_once('-').unwrap();
        let number = |hex| u64::from_str_radix(hex, 16).unwrap();
        let (mut at, end) = (number(begin), number(end));
        while at < end {
            let len = usize::try_from(end - at).unwrap().min(CHUNK);
            if memory.read_exact_at(&mut chunk[..len], at).is_err() {
                break; // Unmapped meanwhile, or not backed by anything.
            }
            look(&chunk[..len], &first, needles, |name| found.push((name, place.to_owned())));
            // A secret may lie across the border of two chunks.
            at += if at + (len as u64) < end { (len - RUN + 1) as u64 } else { len as u64 };
        }
    }
    // What was found must not be found again where we looked at it.
    chunk.fill(0);
    std::hint::black_box(&mut chunk);
    found.sort();
    found.dedup();
    Ok(found)
}

fn look(
    bytes: &[u8],
    first: &[bool; 256],
    needles: &[Needle],
    mut found: impl FnMut(&'static str),
) {
    for (at, byte) in bytes.iter().enumerate() {
        if !first[usize::from(*byte)] {
            continue;
        }
        let Some(here) = bytes.get(at..at + RUN) else { return };
        for needle in needles {
            let is =
                |run: &[u8; RUN]| here.iter().zip(run).all(|(byte, masked)| byte ^ MASK == *masked);
            if needle.masked.iter().any(is) {
                found(needle.name);
            }
        }
    }
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => panic!("not a lower-case hexadecimal digit"),
    }
}
