//! Backup and restore of the same records as files, beside restic.

use std::{path::Path, time::Instant};

use crate::{
    Result,
    bench::Bench,
    child, data,
    grid::Grid,
    restic::{self, Restic},
    results::{Row, Series, Target},
    run::rotated,
    tasks::{Dumped, Restored, Task},
};

const OURS: &str = "Strongroom";
const RESTIC: &str = "restic";

const BACKUP: &str = "backup, seconds";
const RESTORE: &str = "restore, seconds";

pub(super) fn run(bench: &Bench) -> Result<Row> {
    let records = bench.files;
    let version = restic::version();
    if let Err(missing) = &version {
        eprintln!("warning: {missing}; the row has only one side");
    }
    let wallet = bench.ground.once("wallet", |folder| {
        child::ask(&Task::Folder { folder: folder.to_owned(), records })
    })?;
    let files = bench.ground.once("files", |place| restic::write_files(place, records))?;
    let mut grid = Grid::default();
    for round in 0..bench.rounds {
        for who in rotated(&[OURS, RESTIC], round) {
            let (backup, restore) = match who {
                OURS => ours(bench, &wallet, round)?,
                _ if version.is_err() => continue,
                _ => theirs(bench, &files, round)?,
            };
            grid.push(who, BACKUP, backup);
            grid.push(who, RESTORE, restore);
            eprintln!("round {}: {who}: backup {backup:.2} s, restore {restore:.2} s", round + 1);
        }
    }
    let mut verdicts = Vec::new();
    if version.is_ok() {
        for (what, column) in [("backup", BACKUP), ("restore", RESTORE)] {
            let name = format!("{what} of {records} records in files: times as fast as restic");
            verdicts.push(grid.compare(
                &name,
                Target::AtLeast(1.0),
                (RESTIC, column),
                (OURS, column),
            ));
        }
    }
    let peer = match &version {
        Ok(version) => format!("{version}, local repository, no cache, as it comes otherwise"),
        Err(missing) => format!("**nobody to compare with: {missing}**"),
    };
    let how = format!(
        "The same {records} records of {} B on {} cores, {} rounds, each the time of a whole process: \
         a full dump (read back) of a wallet in a folder into a new cloud and its restore into a new folder, \
         every value a file, synced; beside it the records as files of a folder ({peer}), whose restored files are not synced.",
        data::RECORD,
        child::CORES,
        bench.rounds
    );
    let series = series(&grid);
    Ok(Row { series, ..bench.row(how, &grid, verdicts) })
}

fn ours(bench: &Bench, wallet: &Path, round: usize) -> Result<(f64, f64)> {
    let cloud = bench.ground.place(&format!("ours-cloud-{round}"))?;
    let folder = wallet.to_owned();
    let begun = Instant::now();
    child::ask::<Dumped>(&Task::DumpFolder { folder, cloud: cloud.clone() })?;
    let backup = begun.elapsed().as_secs_f64();
    let folder = Some(bench.ground.place(&format!("ours-{round}"))?);
    let begun = Instant::now();
    child::ask::<Restored>(&Task::Restore { cloud, folder })?;
    Ok((backup, begun.elapsed().as_secs_f64()))
}

fn theirs(bench: &Bench, files: &Path, round: usize) -> Result<(f64, f64)> {
    let restic = Restic::init(&bench.ground.place(&format!("restic-repository-{round}"))?)?;
    let backup = restic.back_up(files)?;
    Ok((backup, restic.restore(&bench.ground.place(&format!("restic-{round}"))?)?))
}

/// Seconds by round, for the plot.
fn series(grid: &Grid) -> Vec<Series> {
    let mut series = Vec::new();
    for who in [OURS, RESTIC] {
        for column in [BACKUP, RESTORE] {
            let samples = grid.samples(who, column);
            let points = (1..).map(f64::from).zip(samples.iter().copied()).collect();
            let what = column.split(',').next().unwrap_or_default();
            series.push(Series { label: format!("{who}, {what}"), points });
        }
    }
    series.retain(|series: &Series| !series.points.is_empty());
    series
}
