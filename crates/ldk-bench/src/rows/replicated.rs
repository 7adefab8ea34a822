//! Payments of a node that waits for a distant cloud.

use bench_report::{
    Result, child,
    grid::Grid,
    results::{Row, Target},
};

use crate::{
    bench::Bench,
    tasks::{Replicated, Task},
};

const OURS: &str = "ReplicatedPersister";
const ALONE: &str = "one change alone, ms";
const UPDATES: &str = "updates of a payment";
const ONE: &str = "one channel, payments/s";
const ALL: &str = "all channels, payments/s";
const ALLOWED: &str = "what the latency allows, payments/s";

const LATENCY_MS: u64 = 50;
const CHANNELS: u32 = 16;
/// What an update needs at least, one after the other: what is new is put, and then the head that names
/// it replaces the one before, if nobody else has done so. Were they sent together, the head could be
/// there without what it names.
const ROUND_TRIPS: f64 = 2.0;

pub(super) fn run(bench: &Bench) -> Result<Row> {
    let image = bench.nodes(CHANNELS, 10 << 10)?;
    let mut grid = Grid::default();
    for round in 0..bench.rounds {
        let folder = bench.folder(&format!("replicated {round}"))?;
        let (image, payments) = (image.clone(), bench.payments);
        let task = Task::Replicate { image, folder, payments, latency_ms: LATENCY_MS };
        let replicated: Replicated = child::ask(&task)?;
        eprintln!("round {}: {replicated:?}", round + 1);
        grid.push(OURS, ALONE, replicated.alone_ms);
        grid.push(OURS, UPDATES, replicated.updates);
        grid.push(OURS, ONE, replicated.one);
        grid.push(OURS, ALL, replicated.all);
        // The updates of one channel come one after the other, those of different ones together.
        let payment_ms = replicated.updates * ROUND_TRIPS * LATENCY_MS as f64;
        grid.push(OURS, ALLOWED, replicated.channels as f64 * 1000.0 / payment_ms);
    }
    let what = format!("{CHANNELS} channels together, of what the latency allows");
    let verdicts = vec![grid.compare(&what, Target::AtLeast(0.8), (OURS, ALL), (OURS, ALLOWED))];
    let how = format!(
        "A node with {CHANNELS} channels, whose wallet lies on kv-fs, sealed and recorded, and whose \
         cloud is memory that answers each call {LATENCY_MS} ms later. {} payments over each \
         channel, there and back, one after the other; first over one channel alone, then over all \
         at once. What the latency allows is what {CHANNELS} channels could do if each update of a \
         payment took {ROUND_TRIPS} calls and nothing else: what is new, and then the head that names \
         it. {} rounds.",
        bench.payments, bench.rounds
    );
    Ok(bench.row(how, &grid, verdicts))
}
