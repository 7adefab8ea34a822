//! This device against the newest restore point it has put: old files put back are found here.

use std::sync::Arc;

use backup::{Content, Entry, EntryDigest, EntryName, NameSet, ObjectRef, Recorder};
use kv_core::{KvStore, Severity};

use super::{CloudReport, STORE};
use crate::{
    Error, Result, registry,
    replicate::Watch,
    restore::{Depth, Point, Sink, Worker, read},
    session::Inner,
    wallet::blocking,
};

/// How many names to report; the rest is counted.
const NAMED: usize = 20;

const WHAT_NOW: &str = "keep this folder aside and restore from the backup into another one";

/// Compares every key, and reports those that differ though they were not changed since.
pub(super) async fn compare(
    inner: &Inner,
    source: &crate::restore::Source,
    point: &Point,
    watch: &Watch,
    out: &mut CloudReport,
) -> Result<()> {
    let recorder = inner.tower.recorder.clone();
    let sink = Compare {
        recorder: recorder.clone(),
        sequence: point.sequence,
        newer: Arc::default(),
        kept: NameSet::default(),
        layer: NameSet::default(),
        compared: 0,
        differing: Vec::new(),
        back: Vec::new(),
    };
    let mut quiet = |_| ();
    let sink = match read(source, point, Depth::All, sink, &mut quiet).await {
        Ok((sink, _)) => sink,
        // Reported already, as a restore point that is not whole.
        Err(Error::Backup(_)) => return Ok(()),
        // A local value that cannot be read is the finding of the local scrub.
        Err(Error::Store(kv_core::Error::Corrupt { .. })) => return Ok(()),
        Err(other) => return Err(other),
    };
    out.compared = sink.compared;
    let (differing, known, sequence) = (sink.differing, sink.newer, sink.sequence);
    let extra = blocking(move || not_in(&recorder, &known, sequence)).await?;
    let of_interest = |name: &&EntryName| !watch.contains(name);
    let mut named = 0;
    for (names, what) in [
        (&differing, "differs from what this device backed up"),
        (&extra, "was never backed up, and no change of it is waiting"),
    ] {
        for name in names.iter().filter(of_interest) {
            out.differing += 1;
            named += 1;
            if named <= NAMED {
                let EntryName { primary, secondary, key } = name;
                let what = format!(
                    "{primary}/{secondary}/{key} {what}: old files were put back or the disk \
                     lies; {WHAT_NOW}"
                );
                out.report.push(Severity::Damage, STORE, what);
            }
        }
    }
    if named > NAMED {
        let what = format!("{} more keys like these", named - NAMED);
        out.report.push(Severity::Damage, STORE, what);
    }
    Ok(())
}

/// Keys of the store that the restore point does not name and no change since explains.
fn not_in(recorder: &Recorder, known: &NameSet, sequence: u64) -> Result<Vec<EntryName>> {
    let mut extra = Vec::new();
    for ns in recorder.namespaces()? {
        if registry::rules().of(&ns) == backup::Rule::LocalOnly {
            continue;
        }
        let mut after = None;
        loop {
            let keys = recorder.list(&ns, after.as_ref(), PAGE)?;
            let names = keys.iter().map(|key| EntryName::new(&ns, key));
            let unknown = names.filter(|name| !known.contains(name)).map(|name| {
                // As if it had been removed: then it differs unless it was changed since.
                Entry { name, content: Content::Removed(None) }
            });
            let unknown: Vec<Entry> = unknown.collect();
            extra.extend(recorder.differing(&unknown, sequence)?);
            if keys.len() < PAGE {
                break;
            }
            after = keys.last().cloned();
        }
    }
    Ok(extra)
}

const PAGE: usize = 1000;

struct Compare {
    recorder: Arc<Recorder>,
    sequence: u64,
    /// Keys that newer layers have decided; in the end all of them.
    newer: Arc<NameSet>,
    /// Keys of the present layer: with a value, and all.
    kept: NameSet,
    layer: NameSet,
    compared: u64,
    differing: Vec<EntryName>,
    /// A dump may hold a tombstone beside a value of one key, and then the value counts: so what is
    /// back is only judged when the layer ends.
    back: Vec<EntryName>,
}

/// What became of a run of entries.
struct Compared {
    kept: Vec<EntryName>,
    removed: Vec<EntryName>,
    differing: Vec<EntryName>,
    /// Of the removed ones, those that the store holds.
    back: Vec<EntryName>,
}

impl Sink for Compare {
    type Done = Compared;

    fn worker(&self) -> Worker<Compared> {
        let (newer, recorder, sequence) =
            (self.newer.clone(), self.recorder.clone(), self.sequence);
        Arc::new(move |run| {
            let mut entries = run.into_entries()?;
            entries.retain(|entry| !newer.contains(&entry.name));
            let is_removed = |entry: &Entry| matches!(entry.content, Content::Removed(_));
            let (removed, kept): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_removed);
            let differing = recorder.differing(&kept, sequence)?;
            let back = recorder.differing(&removed, sequence)?;
            let names = |entries: Vec<Entry>| {
                let mut names: Vec<EntryName> = entries.into_iter().map(|e| e.name).collect();
                names.dedup();
                names
            };
            Ok(Compared { kept: names(kept), removed: names(removed), differing, back })
        })
    }

    fn take(&mut self, compared: Compared) -> Result<()> {
        for name in &compared.kept {
            // The pieces of a large value are one key.
            self.compared += u64::from(self.kept.insert(name));
        }
        for name in compared.kept.iter().chain(&compared.removed) {
            self.layer.insert(name);
        }
        self.differing.extend(compared.differing);
        self.back.extend(compared.back);
        Ok(())
    }

    fn end_layer(&mut self) -> Result<()> {
        let kept = std::mem::take(&mut self.kept);
        let back = self.back.drain(..).filter(|name| !kept.contains(name));
        self.differing.extend(back);
        Arc::make_mut(&mut self.newer).merge(std::mem::take(&mut self.layer));
        Ok(())
    }

    fn begin_base(&mut self, _: &ObjectRef, digest: EntryDigest) -> Result<(u64, EntryDigest)> {
        Ok((0, digest))
    }

    fn end_part(&mut self, _: &EntryDigest) {}
}
