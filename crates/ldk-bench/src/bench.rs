//! What all rows share: sizes, folders, prepared nodes, and how rows are made from figures.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bench_report::{
    Result, child,
    grid::Grid,
    machine,
    results::{Row, Verdict},
};

use crate::{
    options::Options,
    tasks::{Prepared, Task},
};

/// One run of the benchmark.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    pub(crate) payments: usize,
    pub(crate) quick: bool,
    dir: PathBuf,
}

impl Bench {
    pub(crate) fn new(options: &Options) -> Result<Self> {
        if options.rounds == 0 || options.payments == 0 || options.seconds <= 0.0 {
            return Err("at least 1 round, 1 payment and some time are needed".into());
        }
        fs::create_dir_all(&options.dir)?;
        let bench = Self {
            rounds: if options.quick { 1 } else { options.rounds },
            seconds: if options.quick { 0.3 } else { options.seconds },
            payments: if options.quick { 1 } else { options.payments },
            quick: options.quick,
            // A folder of our own, so that nothing else is ever removed.
            dir: std::path::absolute(&options.dir)?.join("ldk-bench"),
        };
        bench.clean_up()?;
        fs::create_dir(&bench.dir)?;
        Ok(bench)
    }

    pub(crate) fn clean_up(&self) -> Result<()> {
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => Ok(other?),
        }
    }

    /// A new folder on the disk in question. All are removed at the end of the run and not before:
    /// for minutes after a file is removed ext4 is slower to create others.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.dir.join(name);
        fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// Two nodes with so many channels, whose monitors have at least so many bytes.
    pub(crate) fn nodes(&self, channels: u32, bytes: usize) -> Result<PathBuf> {
        let image = self.dir.join(format!("nodes-{channels}-{bytes}"));
        if !image.exists() {
            let prepared: Prepared =
                child::ask(&Task::Prepare { channels, bytes, image: image.clone() })?;
            eprintln!("two nodes with {channels} channels: {prepared:?}");
        }
        Ok(image)
    }

    /// A row from what was measured.
    pub(crate) fn row(&self, how: String, grid: &Grid, verdicts: Vec<Verdict>) -> Row {
        Row {
            date: machine::today(),
            commit: machine::commit(&["crates"]),
            how,
            verdicts,
            numbers: grid.numbers(),
            times: Vec::new(),
            series: Vec::new(),
        }
    }
}

/// Contestants, beginning with another one in each round.
pub(crate) fn rotated<T: Copy>(contestants: &[T], round: usize) -> Vec<T> {
    let mut rotated = contestants.to_vec();
    rotated.rotate_left(round % contestants.len().max(1));
    rotated
}

/// Every file of a prepared node, with its namespace and key.
pub(crate) fn entries(image: &Path) -> Result<Vec<(String, String, Vec<u8>)>> {
    let mut found = Vec::new();
    for primary in ["", "monitors"] {
        for entry in fs::read_dir(image.join(primary))? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).ok_or("an odd name")?;
            if path.is_file() {
                found.push((primary.to_owned(), name.to_owned(), fs::read(&path)?));
            }
        }
    }
    Ok(found)
}
