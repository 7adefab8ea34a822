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
const ALLOWED: &str = "what three calls of an update allow, payments/s";
const TWO_CALLS: &str = "what two would allow, payments/s";

const LATENCY_MS: u64 = 50;
const CHANNELS: u32 = 16;
/// What an update needs, one call after the other: the segment with what is new, the head that names it,
/// and the fencing head that says that nobody else has written meanwhile. Were two of them sent together,
/// one could be there without what it names.
const ROUND_TRIPS: f64 = 3.0;
/// What a protocol would need that has the fencing head name the segment itself.
const FEWER: f64 = 2.0;

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
        for (column, calls) in [(ALLOWED, ROUND_TRIPS), (TWO_CALLS, FEWER)] {
            let payment_ms = replicated.updates * calls * LATENCY_MS as f64;
            grid.push(OURS, column, replicated.channels as f64 * 1000.0 / payment_ms);
        }
    }
    let what = format!("{CHANNELS} channels together, of what the latency allows");
    let verdicts = vec![grid.compare(&what, Target::AtLeast(0.8), (OURS, ALL), (OURS, ALLOWED))];
    let how = format!(
        "A node with {CHANNELS} channels, whose wallet lies on kv-fs, sealed and recorded, and whose \
         cloud is memory that answers each call {LATENCY_MS} ms later. {} payments over each \
         channel, there and back, one after the other; first over one channel alone, then over all \
         at once. What the latency allows is what {CHANNELS} channels could do if each update of a \
         payment took {ROUND_TRIPS} calls, one after the other, and nothing else: what is new, the head \
         that names it, and the fencing head. {} rounds.",
        bench.payments, bench.rounds
    );
    Ok(bench.row(how, &grid, verdicts))
}
