//! A delta dump: the segments since the full one, read back, folded into the last change per key,
//! and compared with what the store holds.

use std::sync::Arc;

use backup::{
    DumpPlace, DumpWriter, Entry, EntryDigest, EntryName, NameSet, ObjectRef, PartMaker, Recorder,
    SealedPart,
};
use tokio::sync::mpsc;

use super::{Made, Making, upload::Upload};
use crate::{
    Error, Result,
    restore::{Depth, Point, Sink, Worker, read},
    wallet::blocking,
};

impl Making<'_> {
    /// Makes it, and reads it back. It stands at the end of the newest segment.
    pub(super) async fn delta(&self, dump: ObjectRef, base: ObjectRef) -> Result<Made> {
        let state = &self.state;
        let point = Point {
            writer: state.writer,
            sequence: state.newest.as_ref().map_or(dump.id.from, |link| link.range().1),
            time: self.now(),
            newest: state.newest.clone().filter(|link| link.range().1 > dump.id.from),
            dump,
        };
        let sequence = point.sequence.max(dump.id.from);
        let began = self.now();
        let place = DumpPlace { writer: state.writer, from: sequence, base: Some(base), began };
        let writer = DumpWriter::at(&self.source.sealer, place)?;
        let mut writer = writer.keeping(state.dumps.kept.clone(), self.window());
        let mut upload = Upload::new(&self.clouds, &self.source)?;
        let (parts, mut sealed) = mpsc::channel(2);
        let fold = Fold {
            recorder: self.inner.tower.recorder.clone(),
            sequence,
            newer: Arc::default(),
            layer: NameSet::default(),
            maker: writer.maker(),
            parts,
            differing: Vec::new(),
        };
        let folding = async {
            let mut quiet = |_| ();
            let (fold, _) = read(&self.source, &point, Depth::AboveBase, fold, &mut quiet).await?;
            blocking(move || fold.finish()).await
        };
        let uploading = async {
            while let Some(part) = sealed.recv().await {
                writer.sealed(&part);
                upload.put(part).await?;
            }
            // Whoever folds must not wait for an upload that has failed.
            Ok::<_, Error>(())
        };
        let (differing, ()) = tokio::try_join!(folding, uploading)?;
        let posted = |name: &EntryName| self.watch.contains(name);
        let keys = differing.iter().filter(|name| !posted(name)).count() as u64;
        if keys > 0 {
            return Err(backup::Error::Differs { keys }.into());
        }
        self.finish(writer, upload, (sequence, sequence)).await
    }
}

/// Of each key the newest change.
struct Fold {
    recorder: Arc<Recorder>,
    /// The moment at which the dump will stand.
    sequence: u64,
    newer: Arc<NameSet>,
    /// Names of the present layer.
    layer: NameSet,
    maker: PartMaker,
    parts: mpsc::Sender<SealedPart>,
    /// Keys that the store holds otherwise, though no change of them is waiting.
    differing: Vec<EntryName>,
}

/// A run of entries that no newer layer has decided.
struct Folded {
    entries: Vec<Entry>,
    differing: Vec<EntryName>,
}

impl Sink for Fold {
    type Done = Folded;

    fn worker(&self) -> Worker<Folded> {
        let (newer, recorder, sequence) =
            (self.newer.clone(), self.recorder.clone(), self.sequence);
        Arc::new(move |run| {
            let mut entries = run.into_entries()?;
            entries.retain(|entry| !newer.contains(&entry.name));
            let differing = recorder.differing(&entries, sequence)?;
            Ok(Folded { entries, differing })
        })
    }

    fn take(&mut self, folded: Folded) -> Result<()> {
        for entry in &folded.entries {
            self.layer.insert(&entry.name);
        }
        self.differing.extend(folded.differing);
        let parts = self.maker.add(folded.entries)?;
        self.send(parts)
    }

    fn end_layer(&mut self) -> Result<()> {
        Arc::make_mut(&mut self.newer).merge(std::mem::take(&mut self.layer));
        Ok(())
    }

    fn begin_base(&mut self, _: &ObjectRef, digest: EntryDigest) -> Result<(u64, EntryDigest)> {
        Ok((0, digest))
    }

    fn end_part(&mut self, _: &EntryDigest) {}
}

impl Fold {
    fn finish(mut self) -> Result<Vec<EntryName>> {
        let rest = self.maker.rest();
        self.send(rest)?;
        Ok(self.differing)
    }

    fn send(&self, parts: Vec<backup::UnsealedPart>) -> Result<()> {
        for part in parts {
            self.parts.blocking_send(part.seal()?).map_err(|_| Error::Task)?;
        }
        Ok(())
    }
}
