//! Random reads: of values in the cache beside the peers, and of values not in it beside reading the file.

use std::{fs, hint::black_box, path::Path, time::Instant};

use crate::{
    Result,
    bench::Bench,
    contestants::{Kind, Reader},
    grid::Grid,
    names::{Name, PRIMARY},
    results::{Row, Target},
    run::rotated,
    values::Random,
};

const WARM: &str = "warm, reads/s";
const COLD: &str = "first read of a key, µs";
const FILE: &str = "reading the file";
/// Keys read once in each round, at most.
const ONCE: usize = 20_000;

pub(super) fn run(bench: &Bench) -> Result<Row> {
    let names = Name::many(bench.keys)?;
    let mut grid = Grid::default();
    let mut dirs = Vec::new();
    for kind in Kind::READERS {
        let dir = match kind {
            Kind::Fs => bench.filled(bench.keys)?,
            other => {
                let dir = bench.ground.folder(&format!("reads-{other:?}"))?;
                bench.fill(other, &dir, bench.keys)?;
                dir
            }
        };
        dirs.push((kind, dir));
    }
    for round in 0..bench.rounds {
        for (kind, dir) in rotated(&dirs.iter().collect::<Vec<_>>(), round) {
            let store = kind.open_reader(dir)?;
            for name in &names {
                store.read(name, &mut see)?;
            }
            let rate = warm(bench, &*store, &names, round)?;
            grid.push(kind.label(), WARM, rate);
            eprintln!("round {}: {}: {rate:.0} reads/s", round + 1, kind.label());
        }
    }
    let filled = bench.filled(bench.keys)?;
    for round in 0..bench.rounds {
        cold(&mut grid, &filled, &names, round)?;
    }
    let ours = Kind::Fs.label();
    let verdicts = vec![
        grid.compare(
            "random reads, warm: of LMDB",
            Target::AtLeast(1.0),
            (ours, WARM),
            (Kind::Lmdb.label(), WARM),
        ),
        grid.compare(
            "random reads, not in the cache: time of reading the file",
            Target::AtMost(1.2),
            (ours, COLD),
            (FILE, COLD),
        ),
    ];
    let how = format!(
        "{} keys, one thread, {} rounds, interleaved; warm: {:.1} s after each key was read once; \
         not in the cache: {} keys, each read once after opening (the operating system has the files in memory).",
        bench.keys,
        bench.rounds,
        bench.slot.as_secs_f64(),
        ONCE.min(names.len()),
    );
    Ok(bench.row(how, &grid, verdicts))
}

fn warm(bench: &Bench, store: &dyn Reader, names: &[Name], round: usize) -> Result<f64> {
    let mut random = Random::seeded(round as u64);
    let mut reads = 0_u64;
    let start = Instant::now();
    while start.elapsed() < bench.slot {
        // The clock is not what is measured.
        for _ in 0..100 {
            store.read(names.get(random.below(names.len())).ok_or("no keys")?, &mut see)?;
        }
        reads += 100;
    }
    Ok(reads as f64 / start.elapsed().as_secs_f64())
}

/// Reads some keys of a store that was just opened, and the same keys' files, in turns of who begins.
fn cold(grid: &mut Grid, dir: &Path, names: &[Name], round: usize) -> Result<()> {
    let mut random = Random::seeded(1000 + round as u64);
    let mut once: Vec<&Name> = names.iter().collect();
    let count = ONCE.min(once.len());
    for at in 0..count {
        once.swap(at, at + random.below(names.len() - at));
    }
    once.truncate(count);
    let values = dir.join(PRIMARY).join("[empty]");
    for name in &once {
        see(&fs::read(values.join(&name.text))?);
    }
    let store = Kind::Fs.open_reader(dir)?;
    let mut whom = [true, false];
    whom.rotate_left(round % 2);
    for ours in whom {
        let start = Instant::now();
        for name in &once {
            if ours {
                store.read(name, &mut see)?;
            } else {
                see(&fs::read(values.join(&name.text))?);
            }
        }
        let micros = start.elapsed().as_secs_f64() * 1e6 / count as f64;
        let who = if ours { Kind::Fs.label() } else { FILE };
        grid.push(who, COLD, micros);
        eprintln!("round {}: {who}: {micros:.2} µs for the first read of a key", round + 1);
    }
    Ok(())
}

/// Looks at a value, so that reading it cannot be left out.
fn see(value: &[u8]) {
    black_box((value.first(), value.last(), value.len()));
}
