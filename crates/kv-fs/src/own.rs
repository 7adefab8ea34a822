//! Our own files: what an open finds, and what it puts away.

use std::collections::BTreeSet;

use kv_core::{Operation, Report, Result, Severity};

use crate::{
    disk::Disk,
    fault::{self, STORE},
    layout::{self, OwnFile},
    pool::Pool,
    replay::Segments,
    segment::{Header, Parsed},
};

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
        for entry in disk.list(layout::OWN).map_err(fault::io(Operation::Open))? {
            match layout::own_file(&entry.name) {
                Some(OwnFile::Log(number)) => {
                    let bytes =
                        disk.read(&layout::log(number)).map_err(fault::io(Operation::Open))?;
                    let bytes = bytes.unwrap_or_default();
                    own.segments.insert(number, (Header::parse(&bytes), bytes));
                }
                Some(OwnFile::Spare(number)) => own.spares.push((number, entry.len as usize)),
                Some(OwnFile::Big(id)) => {
                    own.big.insert(id);
                }
                Some(OwnFile::New) => own.new.push(entry.name),
                None => {}
            }
        }
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
