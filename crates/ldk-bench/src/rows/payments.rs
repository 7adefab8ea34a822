//! Payments of two nodes that wait for their disks.

use bench_report::{
    Result, child,
    grid::Grid,
    results::{Row, Series, Target},
};

use crate::{
    bench::{Bench, rotated},
    stores::Who,
    tasks::{Keeps, Paid, Task},
};

const OURS: &str = "kv-fs";
/// Who must not be faster.
const PEERS: [&str; 2] = ["LDK FilesystemStore", "SQLite as in ldk-node"];
const CONTESTANTS: [(&str, Who); 4] = [
    (OURS, Who::Fs),
    ("kv-fs, sealed and recorded", Who::Wallet),
    (PEERS[0], Who::Ldk),
    (PEERS[1], Who::Sqlite),
];

/// A size of monitors, and over how many channels payments go so that they stay as they are.
#[derive(Debug, Clone, Copy)]
struct Size {
    name: &'static str,
    bytes: usize,
    channels: u32,
}

const SIZES: [Size; 3] = [
    Size { name: "10 KiB", bytes: 10 << 10, channels: 12 },
    Size { name: "100 KiB", bytes: 100 << 10, channels: 2 },
    Size { name: "1 MiB", bytes: 1 << 20, channels: 1 },
];

pub(super) fn whole(bench: &Bench) -> Result<Row> {
    let what = "Each update writes the whole monitor.";
    measure(bench, Keeps::Whole, ("whole monitors", what))
}

pub(super) fn updates(bench: &Bench) -> Result<Row> {
    let what = "LDK's `MonitorUpdatingPersister` writes each update by itself, and the whole monitor \
                after every hundredth.";
    measure(bench, Keeps::Updates, ("updates", what))
}

fn measure(bench: &Bench, keeps: Keeps, (name, what): (&str, &str)) -> Result<Row> {
    let mut grid = Grid::default();
    // The largest takes the longest to prepare.
    let sizes = if bench.quick { SIZES.get(..2).unwrap_or_default() } else { &SIZES };
    let column = |size: &Size| format!("{}, payments/s", size.name);
    for size in sizes {
        let image = bench.nodes(size.channels, size.bytes)?;
        for round in 0..bench.rounds {
            for (contestant, who) in rotated(&CONTESTANTS, round) {
                let place = format!("{keeps:?} {} {contestant} {round}", size.name);
                let (image, folder) = (image.clone(), bench.folder(&place)?);
                let seconds = bench.seconds;
                let paid: Paid = child::ask(&Task::Pay { who, keeps, image, folder, seconds })?;
                eprintln!("round {}: {contestant}, {}: {paid:?}", round + 1, size.name);
                grid.push(contestant, &column(size), paid.payments as f64 / paid.seconds);
            }
        }
    }
    let mut verdicts = Vec::new();
    for size in sizes {
        for peer in PEERS {
            let what = format!("{name}, {}: kv-fs beside {peer}", size.name);
            let column = column(size);
            let sides = ((OURS, column.as_str()), (peer, column.as_str()));
            verdicts.push(grid.compare(&what, Target::AtLeast(1.0), sides.0, sides.1));
        }
    }
    let how = format!(
        "Two nodes of LDK 0.2 in one process on {} cores pay each other, one payment after the \
         other for {} s, {} rounds. {what} Monitors and managers of both nodes are on the \
         contestant's store, and each write is waited for.",
        child::CORES,
        bench.seconds,
        bench.rounds
    );
    let point = |contestant: &str, size: &Size| {
        (size.bytes as f64 / 1024.0, grid.spread(contestant, &column(size)).median)
    };
    let series = CONTESTANTS.iter().map(|(contestant, _)| Series {
        label: (*contestant).to_owned(),
        points: sizes.iter().map(|size| point(contestant, size)).collect(),
    });
    let series = series.collect();
    Ok(Row { series, ..bench.row(how, &grid, verdicts) })
}
