//! How many round trips a backup of many changes takes more than one put of as many bytes.

use std::time::Instant;

use bench_report::{
    Result,
    grid::Grid,
    results::{Row, Target},
};
use cloud::{ObjectName, PutMode};

use crate::{
    bench::Bench,
    place::Place,
    wallet::{self, change, noise, root, write_megabyte},
};

const BACKUP: &str = "backup of all changes";
const PUT: &str = "one put of as many bytes";
const MORE: &str = "the backup more than the put";

const MILLIS: &str = "milliseconds";
const TRIPS: &str = "round trips";
const REQUESTS: &str = "requests";
const BYTES: &str = "bytes up";

/// What is there already, so that no dump is due in any round.
const MEGABYTES: usize = 128;

pub(super) async fn run(bench: &Bench) -> Result<Row> {
    let mut grid = Grid::default();
    let place = Place::new()?;
    let cloud = place.cloud().await?;
    let session = wallet::wallet(cloud.clone()).create(&root()).await?;
    for number in 0..MEGABYTES {
        write_megabyte(&session, number).await?;
    }
    session.post_backup().await?;
    change(&session, bench.changes, 0).await?;
    session.post_backup().await?;
    place.is_far(bench.latency);
    let millis = |begin: Instant| begin.elapsed().as_secs_f64() * 1000.0;
    let latency = bench.latency.as_secs_f64() * 1000.0;
    for round in 1..=bench.rounds {
        change(&session, bench.changes, round).await?;
        place.take_requests();
        let begin = Instant::now();
        let report = session.post_backup().await?;
        let backup = millis(begin);
        grid.push(BACKUP, REQUESTS, place.take_requests() as f64);
        if report.changes != bench.changes || report.dumped.is_some() {
            return Err(format!("not the backup that was wanted: {report:?}").into());
        }
        let bytes = noise(u64::MAX - round as u64, usize::try_from(report.bytes)?);
        let name = ObjectName::new(&format!("probe/put-{round}"))?;
        let begin = Instant::now();
        cloud.put(&name, bytes.into(), PutMode::CreateOnly).await?;
        let put = millis(begin);
        grid.push(PUT, REQUESTS, place.take_requests() as f64);
        for (who, took) in [(BACKUP, backup), (PUT, put), (MORE, backup - put)] {
            grid.push(who, MILLIS, took);
            grid.push(who, TRIPS, took / latency);
        }
        grid.push(BACKUP, BYTES, report.bytes as f64);
        grid.push(PUT, BYTES, report.bytes as f64);
        eprintln!("round {round}: {backup:.0} ms, one put {put:.0} ms");
    }
    session.lock().await?;
    let verdicts = vec![grid.verdict(
        &format!("backing up {} changes: round trips more than one put", bench.changes),
        Target::AtMost(4.0),
        "",
        (MORE, TRIPS),
    )];
    let how = format!(
        "A wallet of {MEGABYTES} MB in memory in which {} keys have changed to 300 B, {} rounds. All \
         that a backup does counts: reading, compressing, sealing and putting it. A round trip is \
         what the line takes, {latency} ms.",
        bench.changes, bench.rounds
    );
    Ok(bench.row(how, &grid, verdicts))
}
