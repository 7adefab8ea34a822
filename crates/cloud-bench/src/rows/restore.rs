//! A restore of many objects, beside a plain parallel download of the same.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use bench_report::{
    Result,
    grid::Grid,
    results::{Row, Target},
};
use cloud::{CloudBackend, ObjectName, poll_backups};
use tokio::task::JoinSet;
use wallet_persistence::{DumpKind, Settings};

use crate::{
    bench::Bench,
    place::Place,
    undumped::{Undumped, is_of_dump},
    wallet::{self, MEGABYTE, root, write_megabyte},
};

/// What is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chain {
    /// Many small backups since the last dump, each an object of a megabyte.
    Segments,
    /// One dump in objects of four megabytes.
    Dump,
}

/// A chain, and what its restore and the download of its objects are called.
const CHAINS: [(Chain, &str, &str); 2] = [
    (Chain::Segments, "restore of segments of 1 MB", "download of the same segments"),
    (Chain::Dump, "restore of a dump", "download of the same dump"),
];

const SPEED: &str = "MB/s";
const SECONDS: &str = "seconds";
const OBJECTS: &str = "objects";

pub(super) async fn run(bench: &Bench) -> Result<Row> {
    let mut grid = Grid::default();
    let at_once = Settings::default().fetch_at_once;
    for (chain, restore, download) in CHAINS {
        let place = Place::new()?;
        eprintln!("backing up {} MB", bench.megabytes);
        back_up(&place, chain, bench.megabytes).await?;
        place.is_far(bench.latency);
        let cloud = place.cloud().await?;
        let names = names(&*cloud, chain).await?;
        for round in 0..bench.rounds {
            let mut who = [restore, download];
            who.rotate_left(round % 2);
            for who in who {
                let begin = Instant::now();
                let (bytes, objects) = match who == restore {
                    true => restored(place.cloud().await?, bench.megabytes).await?,
                    false => downloaded(place.cloud().await?, names.clone(), at_once).await?,
                };
                let took = begin.elapsed().as_secs_f64();
                grid.push(who, SPEED, bytes as f64 / 1e6 / took);
                grid.push(who, SECONDS, took);
                grid.push(who, OBJECTS, objects as f64);
                eprintln!("round {}: {who}: {:.0} MB/s", round + 1, bytes as f64 / 1e6 / took);
            }
        }
    }
    let verdicts = CHAINS.map(|(chain, restore, download)| {
        let (what, target) = match chain {
            Chain::Segments => ("objects of 1 MB", Target::AtLeast(0.8)),
            Chain::Dump => ("objects of 4 MB", Target::Reported),
        };
        let what = format!("restoring {} MB in {what}, of a plain download", bench.megabytes);
        grid.compare(&what, target, (restore, SPEED), (download, SPEED))
    });
    let how = format!(
        "{} values of 1 MB that do not compress, into memory, {} rounds. The download asks for the \
         same objects, {at_once} at once as the restore does, and drops them.",
        bench.megabytes, bench.rounds
    );
    Ok(bench.row(how, &grid, verdicts.into()))
}

/// Fills the bucket, which is near meanwhile.
async fn back_up(place: &Place, chain: Chain, megabytes: usize) -> Result<()> {
    place.is_near();
    let cloud = Arc::new(Undumped::new(place.cloud().await?));
    let session = wallet::wallet(cloud.clone()).create(&root()).await?;
    session.post_backup().await?;
    if chain == Chain::Segments {
        cloud.close();
    }
    for number in 0..megabytes {
        write_megabyte(&session, number).await?;
        if chain == Chain::Segments {
            // It tries to make a dump, too, and cannot.
            let posted = session.post_backup().await;
            if session.status()?.lag_records > 0 {
                posted?;
            }
        }
    }
    if chain == Chain::Dump {
        session.dump(DumpKind::Full).await?;
    }
    Ok(session.lock().await?)
}

/// The objects that hold the values.
async fn names(cloud: &dyn CloudBackend, chain: Chain) -> Result<Vec<ObjectName>> {
    let all = poll_backups(cloud, &ObjectName::new("sr1")?).await?;
    let large = all.into_iter().filter(|meta| meta.size > MEGABYTE as u64 / 2);
    let names = large.map(|meta| meta.name);
    Ok(names.filter(|name| is_of_dump(name) == (chain == Chain::Dump)).collect())
}

/// Bytes and objects of a restore.
async fn restored(cloud: Arc<dyn CloudBackend>, megabytes: usize) -> Result<(u64, u64)> {
    let report = wallet::wallet(cloud).restore(&root(), |_| ()).await?;
    if report.value_bytes < (megabytes * MEGABYTE) as u64 {
        return Err(format!("not everything came back: {report:?}").into());
    }
    Ok((report.bytes, report.objects))
}

/// Bytes and objects of a download.
async fn downloaded(
    cloud: Arc<dyn CloudBackend>,
    names: Vec<ObjectName>,
    at_once: usize,
) -> Result<(u64, u64)> {
    let (names, next, bytes) = (Arc::new(names), Arc::new(AtomicUsize::new(0)), AtomicU64::new(0));
    let (bytes, objects) = (Arc::new(bytes), names.len() as u64);
    let mut tasks = JoinSet::new();
    for _ in 0..at_once {
        let (cloud, names, next, bytes) =
            (cloud.clone(), names.clone(), next.clone(), bytes.clone());
        tasks.spawn(async move {
            while let Some(name) = names.get(next.fetch_add(1, Relaxed)) {
                let got = cloud::fetch(&*cloud, name).await?;
                bytes.fetch_add(got.len() as u64, Relaxed);
            }
            Ok::<_, cloud::CloudError>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok((bytes.load(Relaxed), objects))
}
