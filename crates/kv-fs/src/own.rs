//! Our own files: what an open finds, and what it puts away.

use std::{collections::BTreeSet, io, panic, thread};

use kv_core::{Operation, Report, Result, Severity};

use crate::{
    disk::Disk,
    fault::{self, STORE},
    layout::{self, OwnFile},
    pool::Pool,
    replay::Segments,
    segment::{Header, Parsed},
};

/// A log of so many bytes is read by two threads, since most of the time goes into memory that is new
/// to the process.
const LONG: u64 = 64 << 20;

/// Retired segment files by number, with their length.
pub(crate) type Spares = Vec<(u64, usize)>;

/// Our own files, by kind.
#[derive(Debug, Default)]
pub(crate) struct Own {
    pub(crate) segments: Segments,
    pub(crate) spares: Spares,
    pub(crate) big: BTreeSet<u64>,
    new: Vec<String>,
}

impl Own {
    pub(crate) fn scan(disk: &dyn Disk) -> Result<Self> {
        let mut own = Self::default();
        let (mut log, mut log_bytes) = (Vec::new(), 0);
        for entry in disk.list(layout::OWN).map_err(fault::io(Operation::Open))? {
            match layout::own_file(&entry.name) {
                Some(OwnFile::Log(number)) => {
                    log.push(number);
                    log_bytes += entry.len;
                }
                Some(OwnFile::Spare(number)) => own.spares.push((number, entry.len as usize)),
                Some(OwnFile::Big(id)) => {
                    own.big.insert(id);
                }
                Some(OwnFile::New) => own.new.push(entry.name),
                None => {}
            }
        }
        own.segments = read_log(disk, &log, log_bytes).map_err(fault::io(Operation::Open))?;
        Ok(own)
    }

    pub(crate) fn next_number(&self) -> u64 {
        let spares = self.spares.iter().map(|(number, _)| *number);
        self.segments.keys().copied().chain(spares).max().unwrap_or(0) + 1
    }

    /// Puts away everything a new log has superseded, durably, so that it never comes back.
    /// Answers the segment files to be used again.
    pub(crate) fn put_away(
        self,
        disk: &dyn Disk,
        live_big: &BTreeSet<u64>,
        pool_bytes: u64,
        notices: &mut Report,
    ) -> Result<Pool> {
        let io = || fault::io(Operation::Open);
        let mut pool = Pool::default();
        for (number, len) in &self.spares {
            pool.put(layout::spare(*number), *len);
        }
        for (number, (parsed, bytes)) in &self.segments {
            if !matches!(parsed, Parsed::Good(_)) {
                notice(notices, "a damaged log segment that was not in use was removed");
            }
            let spare = layout::spare(*number);
            disk.rename(&layout::log(*number), &spare).map_err(io())?;
            pool.put(spare, bytes.len());
        }
        for id in self.big.difference(live_big) {
            disk.remove(&layout::big(*id)).map_err(io())?;
            notice(notices, "a big value that no batch names was removed");
        }
        for name in &self.new {
            disk.remove(&format!("{}/{name}", layout::OWN)).map_err(io())?;
            notice(notices, "an unfinished file was removed");
        }
        while let Some(path) = pool.surplus(pool_bytes) {
            disk.remove(&path).map_err(io())?;
        }
        disk.sync_dir(layout::OWN).map_err(io())?;
        Ok(pool)
    }
}

/// Reads these segments, which have so many bytes together.
fn read_log(disk: &dyn Disk, numbers: &[u64], bytes: u64) -> io::Result<Segments> {
    let read = |numbers: &[u64]| -> io::Result<Segments> {
        let read = numbers.iter().map(|number| {
            let bytes = disk.read(&layout::log(*number))?.unwrap_or_default();
            Ok((*number, (Header::parse(&bytes), bytes)))
        });
        read.collect()
    };
    let (here, beside) = numbers.split_at(numbers.len() / 2);
    if bytes < LONG || here.is_empty() {
        return read(numbers);
    }
    thread::scope(|scope| {
        let other = thread::Builder::new().spawn_scoped(scope, || read(beside));
        let mut segments = read(here)?;
        segments.append(&mut match other {
            Ok(other) => other.join().unwrap_or_else(|panic| panic::resume_unwind(panic))?,
            Err(_) => read(beside)?,
        });
        Ok(segments)
    })
}

/// A spare file of at least this length, with its length.
pub(crate) fn take_spare(spares: &mut Spares, capacity: usize) -> Option<(String, usize)> {
    let at = spares.iter().position(|(_, len)| *len >= capacity)?;
    let (number, len) = spares.swap_remove(at);
    Some((layout::spare(number), len))
}

/// Something worth knowing that lost nothing.
pub(crate) fn notice(notices: &mut Report, what: &'static str) {
    tracing::warn!("{what}");
    notices.push(Severity::Notice, STORE, what);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn two_threads_read_the_log_that_one_reads() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join(layout::OWN)).unwrap();
        let disk = RealDisk::new(dir.path());
        for count in 0..6 {
            let numbers: Vec<u64> = (0..count).collect();
            for number in &numbers {
                std::fs::write(dir.path().join(layout::log(*number)), [*number as u8; 9]).unwrap();
            }
            let bytes = |len| {
                let segments = read_log(&disk, &numbers, len).unwrap();
                segments.into_iter().map(|(number, (_, bytes))| (number, bytes)).collect::<Vec<_>>()
            };
            let expected: Vec<_> = numbers.iter().map(|n| (*n, vec![*n as u8; 9])).collect();
            assert_eq!((bytes(0), bytes(LONG)), (expected.clone(), expected));
        }
    }
}
