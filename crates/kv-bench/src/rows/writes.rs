//! Durable single writes: every contestant, some numbers of threads.

use std::time::Duration;

use crate::{
    Result,
    bench::{Bench, HOT_KEYS, SMALL},
    contestants::Kind,
    grid::Grid,
    load::{Keys, Load},
    names::Name,
    results::{Row, Target, Verdict},
    run::rotated,
};

/// Time to get going that does not count.
const WARM_UP: Duration = Duration::from_millis(100);

pub(super) fn run(bench: &Bench, value_len: usize, threads: &[usize]) -> Result<Row> {
    let names = Name::many(HOT_KEYS)?;
    let mut grid = Grid::default();
    let mut dirs = Vec::new();
    for kind in Kind::WRITERS {
        let dir = bench.ground.folder(&format!("writes-{value_len}-{kind:?}"))?;
        let store = kind.open(&dir)?;
        // All keys are there before anything counts.
        let mut random = crate::values::Random::seeded(2);
        for name in &names {
            store.write(name, bench.values.fresh(&mut random, value_len))?;
        }
        dirs.push((kind, dir));
    }
    for &threads in threads {
        let column = column(threads);
        for round in 0..bench.rounds {
            let order = rotated(&Kind::WRITERS, round);
            for kind in order {
                let (_, dir) = dirs.iter().find(|(k, _)| *k == kind).ok_or("no folder")?;
                let seed = (threads * 1000 + round) as u64;
                let load = Load {
                    values: &bench.values,
                    keys: Keys::Hot(&names),
                    threads,
                    value_len,
                    seed,
                };
                let store = kind.open(dir)?;
                load.run(&*store, WARM_UP)?;
                let done = load.run(&*store, bench.slot)?;
                // Closing ends all background work before the next contestant begins.
                drop(store);
                grid.push(kind.label(), &column, done.per_second());
                eprintln!(
                    "{column}, round {}: {}: {:.0} writes/s, p50 {:.0} µs, p99.9 {:.0} µs",
                    round + 1,
                    kind.label(),
                    done.per_second(),
                    done.latency.quantile(0.5),
                    done.latency.quantile(0.999),
                );
            }
        }
    }
    let verdicts = if value_len == SMALL { small(&grid) } else { large(&grid) };
    let how = format!(
        "Writes per second; {} rounds of {:.1} s for each contestant, interleaved, on {HOT_KEYS} hot keys with a fresh value each time.",
        bench.rounds,
        bench.slot.as_secs_f64(),
    );
    Ok(bench.row(how, &grid, verdicts))
}

pub(super) fn column(threads: usize) -> String {
    format!("{threads} {}", if threads == 1 { "thread" } else { "threads" })
}

fn small(grid: &Grid) -> Vec<Verdict> {
    let (limit, ours, ldk) = (Kind::Limit.label(), Kind::Fs.label(), Kind::LdkV2.label());
    let peers: Vec<&str> =
        Kind::WRITERS.into_iter().filter(|kind| kind.is_peer()).map(Kind::label).collect();
    let mut verdicts = Vec::new();
    for (threads, of_limit, of_ldk, of_best) in
        [(1, 0.85, 5.0, 1.0), (16, 0.7, 10.0, 2.5), (64, 0.7, 10.0, 2.5)]
    {
        let column = column(threads);
        let best = grid.best(&peers, &column).unwrap_or_default();
        let mut compare = |what: &str, target, with| {
            let what = format!("256 B, {column}: {what}");
            let (ours, with) = ((ours, column.as_str()), (with, column.as_str()));
            verdicts.push(grid.compare(&what, Target::AtLeast(target), ours, with));
        };
        compare("of the limit", of_limit, limit);
        compare("of LDK v2", of_ldk, ldk);
        compare(&format!("of the best peer ({best})"), of_best, best);
    }
    let own = Kind::OwnSqlite.label();
    for (threads, peer, target) in
        [(1, Kind::SqliteWal, 0.9), (16, Kind::SqliteWal, 4.0), (16, Kind::SqliteDelete, 15.0)]
    {
        let column = column(threads);
        let what = format!("256 B, {column}: kv-sqlite, of {}", peer.label());
        let (own, peer) = ((own, column.as_str()), (peer.label(), column.as_str()));
        verdicts.push(grid.compare(&what, Target::AtLeast(target), own, peer));
    }
    for threads in [1, 16, 64] {
        let column = column(threads);
        let what = format!("256 B, {column}: sealed and recorded, of plain kv-fs");
        let sealed = (Kind::Sealed.label(), column.as_str());
        verdicts.push(grid.compare(&what, Target::AtLeast(0.8), sealed, (ours, &column)));
    }
    verdicts
}

fn large(grid: &Grid) -> Vec<Verdict> {
    let verdict = |threads| {
        let column = column(threads);
        let what = format!("64 KiB, {column}: of the limit");
        let (ours, limit) = ((Kind::Fs.label(), &*column), (Kind::Limit.label(), &*column));
        grid.compare(&what, Target::AtLeast(0.7), ours, limit)
    };
    vec![verdict(1), verdict(16)]
}
