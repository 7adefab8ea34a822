//! What looking costs when there is nothing new.

use std::time::Instant;

use bench_report::{
    Result,
    grid::Grid,
    results::{Row, Target},
};

use wallet_persistence::ProfileField;

use crate::{
    bench::Bench,
    place::Place,
    wallet::{self, change, root},
};

const POLL: &str = "poll with nothing new";
const FIRST: &str = "first poll of a session";

const REQUESTS: &str = "requests";
const MILLIS: &str = "milliseconds";

pub(super) async fn run(bench: &Bench) -> Result<Row> {
    let mut grid = Grid::default();
    let place = Place::new()?;
    // Two devices, each with heads of its own, and a fence.
    let first = wallet::wallet(place.cloud().await?).create(&root()).await?;
    for version in 0..3 {
        change(&first, 10, version).await?;
        first.set_profile(ProfileField::GivenName, &version.to_string()).await?;
        first.post_backup().await?;
    }
    let other = wallet::wallet(place.cloud().await?);
    other.restore(&root(), |_| ()).await?;
    let second = other.unlock(&root()).await?;
    second.set_profile(ProfileField::FamilyName, "another").await?;
    second.post_backup().await?;
    second.lock().await?;
    place.is_far(bench.latency);
    for _ in 0..bench.rounds {
        let second = other.unlock(&root()).await?;
        for who in [FIRST, POLL] {
            place.take_requests();
            let begin = Instant::now();
            second.poll_backups().await?;
            grid.push(who, MILLIS, begin.elapsed().as_secs_f64() * 1000.0);
            grid.push(who, REQUESTS, place.take_requests() as f64);
        }
        second.lock().await?;
    }
    first.lock().await?;
    let verdicts = vec![grid.verdict(
        "polling with nothing new: requests",
        Target::AtMost(1.0),
        "",
        (POLL, REQUESTS),
    )];
    let how = format!(
        "Two devices of one wallet, of which one looks, {} rounds. Its first look reads the heads of \
         both and the fencing head.",
        bench.rounds
    );
    Ok(bench.row(how, &grid, verdicts))
}
