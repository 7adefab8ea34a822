//! The parts of a dump on their way: put into every cloud, read back, and folded.

use std::{collections::BTreeMap, sync::Arc};

use backup::{DumpIndex, EntryDigest, ObjectHash, ObjectRef, Sealed, SealedPart, Spare};
use cloud::CloudBackend;
use tokio::task::JoinSet;

use super::super::{fetch, race};
use crate::{Error, Result, error::chain, restore::Source};

/// Puts parts, several at once. Dropped, it stops. A cloud that fails, or takes far longer than
/// another one, is left out, and must get the dump from the others; the last one is not.
pub(super) struct Upload {
    /// Those that are not left out, and what came back from each.
    clouds: BTreeMap<usize, (Arc<dyn CloudBackend>, EntryDigest)>,
    source: Source,
    spare: Spare,
    running: JoinSet<Vec<(usize, Result<EntryDigest>)>>,
    pub(super) objects: u64,
    pub(super) bytes: u64,
}

impl Upload {
    pub(super) fn new(clouds: &[(usize, Arc<dyn CloudBackend>)], source: &Source) -> Result<Self> {
        let clouds = clouds
            .iter()
            .map(|(i, cloud)| Ok((*i, (cloud.clone(), EntryDigest::new(&source.sealer)?))));
        Ok(Self {
            clouds: clouds.collect::<Result<_>>()?,
            source: source.clone(),
            spare: Spare::default(),
            running: JoinSet::new(),
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
        let part = Arc::new(part);
        let works: Vec<_> = self
            .clouds
            .iter()
            .map(|(i, (cloud, _))| {
                let (cloud, part, source) = (cloud.clone(), part.clone(), self.source.clone());
                let spare = self.spare.clone();
                let work = async move {
                    cloud::put_backup(&*cloud, &part.sealed).await?;
                    read_back(&source, spare, &*cloud, part).await
                };
                (*i, work)
            })
            .collect();
        self.running.spawn(race(works));
        Ok(())
    }

    /// Puts the index when all parts are there, reads it back, and compares: how many live entries
    /// each cloud now holds in this dump.
    pub(super) async fn finish(&mut self, index: ObjectRef, sealed: &Sealed) -> Result<DumpIndex> {
        while !self.running.is_empty() {
            self.settle().await?;
        }
        self.count(sealed);
        let works: Vec<_> = self
            .clouds
            .iter()
            .map(|(i, (cloud, digest))| {
                let (cloud, digest, source) = (cloud.clone(), digest.clone(), self.source.clone());
                let sealed = sealed.clone();
                let work = async move {
                    cloud::put_backup(&*cloud, &sealed).await?;
                    let bytes = fetch(&*cloud, &source.sealer.tag(), &index).await?;
                    let opened: DumpIndex = source.sealer.open(&index, ObjectHash::NONE, &bytes)?;
                    opened.check(digest)?;
                    Ok(opened)
                };
                (*i, work)
            })
            .collect();
        let mut first = None;
        for (i, outcome) in race(works).await {
            match outcome {
                Ok(opened) => drop(first.get_or_insert(opened)),
                Err(error) => self.leave_out(i, error)?,
            }
        }
        first.ok_or(Error::NoCloud)
    }

    /// The clouds that have all of it.
    pub(super) fn holders(&self) -> Vec<usize> {
        self.clouds.keys().copied().collect()
    }

    async fn settle(&mut self) -> Result<()> {
        let Some(done) = self.running.join_next().await else { return Ok(()) };
        for (i, digest) in done.map_err(|_| Error::Task)? {
            match digest {
                Ok(digest) => {
                    if let Some((_, sum)) = self.clouds.get_mut(&i) {
                        sum.merge(&digest);
                    }
                }
                Err(error) => self.leave_out(i, error)?,
            }
        }
        Ok(())
    }

    fn leave_out(&mut self, i: usize, error: Error) -> Result<()> {
        if self.clouds.remove(&i).is_none() {
            return Ok(());
        }
        if self.clouds.is_empty() {
            return Err(error);
        }
        tracing::warn!(cloud = i, error = chain(&error), "a cloud is left out of this dump");
        Ok(())
    }

    fn count(&mut self, sealed: &Sealed) {
        self.objects += 1;
        self.bytes += sealed.bytes().len() as u64;
    }
}

/// Whether a cloud has a part as it was put, and what its entries fold into.
async fn read_back(
    source: &Source,
    spare: Spare,
    cloud: &dyn CloudBackend,
    part: Arc<SealedPart>,
) -> Result<EntryDigest> {
    let bytes = fetch(cloud, &source.sealer.tag(), &part.object).await?;
    let sealer = source.sealer.clone();
    source.work(move || Ok(part.read_back(&sealer, &spare, &bytes)?)).await
}
