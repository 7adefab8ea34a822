//! A full dump: several threads read the store, seal and compress, while others go on writing.

use std::sync::{Arc, Mutex, PoisonError};

use backup::{DumpPlace, DumpReader, DumpWriter, PartMaker, SealedPart};
use tokio::{sync::mpsc, task::JoinSet};

use super::{Made, Making, upload::Upload};
use crate::{Error, Result, wallet::blocking};

/// How many sealed parts may wait for their upload.
const WAITING: usize = 2;

impl Making<'_> {
    /// Makes it, and reads it back.
    pub(super) async fn full(&self) -> Result<Made> {
        let recorder = self.inner.tower.recorder.clone();
        let reader = blocking(move || recorder.dump().map_err(Error::from)).await?;
        let place = DumpPlace {
            writer: self.state.writer,
            from: reader.from(),
            base: None,
            began: self.now(),
        };
        let from = place.from;
        let writer = DumpWriter::at(&self.source.sealer, place)?;
        let mut writer = writer.keeping(self.state.dumps.kept.clone(), self.window());
        let mut upload = Upload::new(&self.clouds, &self.source)?;
        let reader = Arc::new(Mutex::new(reader));
        // Small namespaces first; a restore writes them first, too.
        for bulk in [false, true] {
            let (parts, mut sealed) = mpsc::channel(WAITING);
            let mut workers = JoinSet::new();
            for _ in 0..threads() {
                let (reader, maker, parts) = (reader.clone(), writer.maker(), parts.clone());
                workers.spawn_blocking(move || make_parts(&reader, bulk, maker, &parts));
            }
            drop(parts);
            while let Some(part) = sealed.recv().await {
                writer.sealed(&part);
                upload.put(part).await?;
            }
            while let Some(done) = workers.join_next().await {
                done.map_err(|_| Error::Task)??;
            }
        }
        let reader = Arc::into_inner(reader).ok_or(Error::Task)?;
        let reader = reader.into_inner().unwrap_or_else(PoisonError::into_inner);
        let to = blocking(move || reader.end().map_err(Error::from)).await?;
        self.finish(writer, upload, (from, to)).await
    }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// Reads and seals until nothing of the kind is left, or nobody takes it any more.
fn make_parts(
    reader: &Mutex<DumpReader>,
    bulk: bool,
    mut maker: PartMaker,
    parts: &mpsc::Sender<SealedPart>,
) -> Result<()> {
    loop {
        let chunk = {
            let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            if reader.is_bulk() == bulk { reader.next_chunk()? } else { None }
        };
        let Some(mut chunk) = chunk else { break };
        while let Some(full) = chunk.add_to(&mut maker)? {
            for part in full {
                if parts.blocking_send(part.seal()?).is_err() {
                    return Ok(());
                }
            }
        }
    }
    for part in maker.rest() {
        if parts.blocking_send(part.seal()?).is_err() {
            break;
        }
    }
    Ok(())
}
