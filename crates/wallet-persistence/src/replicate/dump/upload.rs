//! The parts of a dump on their way: put into every cloud, read back, and folded.

use std::sync::Arc;

use backup::{DumpIndex, DumpPart, EntryDigest, ObjectHash, ObjectRef, Sealed, SealedPart};
use cloud::CloudBackend;
use tokio::task::JoinSet;

use super::super::fetch;
use crate::{Error, Result, restore::Source};

/// Puts parts, several at once. Dropped, it stops.
pub(super) struct Upload {
    clouds: Vec<Arc<dyn CloudBackend>>,
    source: Source,
    running: JoinSet<Result<Vec<EntryDigest>>>,
    /// What came back from each cloud.
    read_back: Vec<EntryDigest>,
    pub(super) objects: u64,
    pub(super) bytes: u64,
}

impl Upload {
    pub(super) fn new(clouds: &[Arc<dyn CloudBackend>], source: &Source) -> Result<Self> {
        let digests = clouds.iter().map(|_| EntryDigest::new(&source.sealer));
        Ok(Self {
            clouds: clouds.to_vec(),
            source: source.clone(),
            running: JoinSet::new(),
            read_back: digests.collect::<Result<_, _>>()?,
            objects: 0,
            bytes: 0,
        })
    }

    /// Puts a part once there is room for it.
    pub(super) async fn put(&mut self, part: SealedPart) -> Result<()> {
        while self.running.len() >= self.source.at_once.max(1) {
            self.settle().await?;
        }
        self.count(&part.sealed);
        let (clouds, source) = (self.clouds.clone(), self.source.clone());
        self.running.spawn(async move {
            let mut digests = Vec::with_capacity(clouds.len());
            for cloud in &clouds {
                cloud::put_backup(&**cloud, &part.sealed).await?;
                digests.push(read_back(&source, &**cloud, part.object).await?);
            }
            Ok(digests)
        });
        Ok(())
    }

    /// Puts the index when all parts are there, reads it back, and compares: how many live entries
    /// each cloud now holds in this dump.
    pub(super) async fn finish(&mut self, index: ObjectRef, sealed: &Sealed) -> Result<DumpIndex> {
        while !self.running.is_empty() {
            self.settle().await?;
        }
        self.count(sealed);
        let mut first = None;
        for (cloud, digest) in self.clouds.iter().zip(self.read_back.drain(..)) {
            cloud::put_backup(&**cloud, sealed).await?;
            let bytes = fetch(&**cloud, &self.source.sealer.tag(), &index).await?;
            let opened: DumpIndex = self.source.sealer.open(&index, ObjectHash::NONE, &bytes)?;
            opened.check(digest)?;
            first.get_or_insert(opened);
        }
        first.ok_or(Error::NoCloud)
    }

    async fn settle(&mut self) -> Result<()> {
        let Some(done) = self.running.join_next().await else { return Ok(()) };
        let digests = done.map_err(|_| Error::Task)??;
        for (sum, digest) in self.read_back.iter_mut().zip(&digests) {
            sum.merge(digest);
        }
        Ok(())
    }

    fn count(&mut self, sealed: &Sealed) {
        self.objects += 1;
        self.bytes += sealed.bytes().len() as u64;
    }
}

/// What the entries of a part fold into, as a cloud has it.
async fn read_back(
    source: &Source,
    cloud: &dyn CloudBackend,
    part: ObjectRef,
) -> Result<EntryDigest> {
    let bytes = fetch(cloud, &source.sealer.tag(), &part).await?;
    let sealer = source.sealer.clone();
    source.work(move || Ok(DumpPart::fold(&sealer, &part, &bytes)?)).await
}
