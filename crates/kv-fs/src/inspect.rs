//! What the store can do beyond the contract: order of creation, scrub, size.

use kv_core::{
    CreationOrder, CreationPage, Cursor, Footprint, Namespace, Operation, Progress, Report, Result,
    Severity, Size, Verify,
};

use crate::{
    FsStore, fault,
    fault::STORE,
    frame, index_bytes, layout,
    log::Written,
    queue::Shared,
    segment::{self, Header, Parsed},
};

/// Bytes of memory a key costs beside its value, roughly.
const KEY_MEMORY: u64 = 140;

impl CreationOrder for FsStore {
    fn list_newest_first(
        &self,
        ns: &Namespace,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<CreationPage> {
        Ok(self.shared.open_state()?.table.newest_first(ns, cursor, limit))
    }
}

impl Verify for FsStore {
    fn verify(&self, progress: &mut dyn FnMut(Progress)) -> Result<Report> {
        let mut report = self.shared.notices.clone();
        self.shared.verify_index(&mut report)?;
        self.shared.verify_log(&mut report)?;
        let names: Vec<_> = {
            let state = self.shared.open_state()?;
            state.table.names().map(|(ns, key)| (ns.clone(), key.clone())).collect()
        };
        let total = names.len() as u64;
        for (done, (ns, key)) in (0..).zip(names) {
            if done % 256 == 0 {
                progress(Progress { done, total });
            }
            self.shared.verify_value(&ns, &key, &mut report)?;
        }
        progress(Progress { done: total, total });
        Ok(report)
    }
}

impl Shared {
    fn verify_value(&self, ns: &Namespace, key: &kv_core::Key, report: &mut Report) -> Result<()> {
        loop {
            let entry = self.open_state()?.table.get(ns, key);
            let Some(entry) = entry else { return Ok(()) };
            match self.load(ns, key, &entry) {
                Ok(Some(value)) => {
                    report.entries += 1;
                    report.bytes += value.len() as u64;
                    return Ok(());
                }
                Ok(None) if self.open_state()?.table.get(ns, key).as_ref() != Some(&entry) => {}
                Ok(None) => {
                    let what = "the value created as number";
                    let what = format!("{what} {} is missing or damaged", entry.created);
                    report.push(Severity::Damage, STORE, what);
                    return Ok(());
                }
                Err(kv_core::Error::Io { .. } | kv_core::Error::ReadOnly { .. }) => {
                    let what =
                        format!("the value created as number {} cannot be read", entry.created);
                    report.push(Severity::Damage, STORE, what);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// No checkpoint runs meanwhile, so the file stands still.
    fn verify_index(&self, report: &mut Report) -> Result<()> {
        let checkpointer =
            self.checkpointer.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let bytes = self.disk.read(layout::INDEX).map_err(fault::io(Operation::Read))?;
        report.bytes += bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let good = match bytes.as_deref().map(index_bytes::decode) {
            Some(Ok(loaded)) => checkpointer.index.is_none_or(|file| file == loaded.file),
            _ => false,
        };
        drop(checkpointer);
        if !good {
            report.push(Severity::Damage, STORE, "the index is missing or damaged");
        }
        Ok(())
    }

    fn verify_log(&self, report: &mut Report) -> Result<()> {
        let mut previous = None;
        let chain: Vec<_> = self.open_state()?.chain.iter().copied().collect();
        for written in chain {
            let path = layout::log(written.number);
            let bytes = self.disk.read(&path).map_err(fault::io(Operation::Read))?;
            let bytes = bytes.as_deref().unwrap_or_default();
            report.bytes += written.end as u64;
            match check_segment(bytes, &written, previous) {
                Ok(last) => previous = Some(last),
                // A checkpoint may have retired the segment meanwhile.
                Err(_) if !self.is_in_log(written.number)? => previous = None,
                Err(at) => {
                    previous = None;
                    let what =
                        format!("segment {} of the log is damaged at byte {at}", written.number);
                    report.push(Severity::Damage, STORE, what);
                }
            }
        }
        Ok(())
    }

    fn is_in_log(&self, number: u64) -> Result<bool> {
        Ok(self.open_state()?.chain.iter().any(|written| written.number == number))
    }
}

/// Checks header and frames up to the durable end. Answers the checksum of the last frame, or where the damage begins.
fn check_segment(bytes: &[u8], written: &Written, mut previous: Option<u32>) -> Result<u32, usize> {
    let Parsed::Good(header) = Header::parse(bytes) else { return Err(0) };
    if header.number != written.number {
        return Err(0);
    }
    if header.start.is_some() {
        previous = Some(header.crc);
    }
    let mut offset = segment::HEADER;
    while offset < written.end {
        let frame = frame::decode(bytes.get(offset..).unwrap_or_default(), &header.salt);
        let chained = |frame: &frame::Frame<'_>| previous.is_none_or(|crc| crc == frame.previous);
        let frame = frame.filter(chained).ok_or(offset)?;
        previous = Some(frame.crc);
        offset += frame.len;
    }
    if offset == written.end { Ok(previous.unwrap_or(header.crc)) } else { Err(offset) }
}

impl Footprint for FsStore {
    fn footprint(&self) -> Result<Size> {
        let mut size = Size::default();
        let state = self.shared.open_state()?;
        size.keys = state.table.keys();
        size.value_bytes = state.table.value_bytes();
        size.memory_bytes = state.table.memory()
            + state.queued_bytes
            + KEY_MEMORY * state.table.keys()
            + self.shared.cache.bytes() as u64;
        let dirs: std::collections::BTreeSet<_> =
            state.table.namespaces().iter().flat_map(layout::dirs).collect();
        drop(state);
        // The last folder of a namespace holds its files; the others and foreign files do not count.
        for dir in dirs.iter().map(String::as_str).chain([layout::OWN]) {
            let entries = self.shared.disk.list(dir).map_err(fault::io(Operation::Read))?;
            size.disk_bytes += entries.iter().filter(|e| !e.is_dir).map(|e| e.len).sum::<u64>();
        }
        Ok(size)
    }
}
