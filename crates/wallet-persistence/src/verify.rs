//! Verifying: every live byte, here and in the clouds.

use std::{collections::BTreeSet, sync::Arc};

use backup::{
    ChainWalk, Class, DumpIndex, DumpPart, EntryDigest, Head, Link, ObjectHash, ObjectRef,
};
use bytes::Bytes;
use cloud::CloudBackend;
use kv_core::{KvStore, Report, Severity};

use crate::{Error, Result, replicate, session::Inner, tower::Tower, wallet::blocking};

/// What a scrub found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The local store.
    pub local: Report,
    /// Each cloud, in the order they were set; empty unless asked for.
    pub clouds: Vec<CloudReport>,
}

/// What a scrub found in one cloud.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloudReport {
    /// Restore points that are whole: every object they need is there and opens.
    pub restore_points: u64,
    /// What was read, and what is wrong.
    pub report: Report,
}

impl VerifyReport {
    /// Whether anything is damaged.
    pub fn is_damaged(&self) -> bool {
        self.local.is_damaged() || self.clouds.iter().any(|cloud| cloud.report.is_damaged())
    }
}

const STORE: &str = "cloud";

pub(crate) async fn run(inner: &Arc<Inner>, with_clouds: bool) -> Result<VerifyReport> {
    let scrubbed = inner.clone();
    let local = blocking(move || local(&scrubbed.tower)).await?;
    let mut clouds = Vec::new();
    if with_clouds {
        let backends = inner.clouds().await?;
        if backends.is_empty() {
            return Err(Error::NoCloud);
        }
        for cloud in backends {
            clouds.push(scrub(&inner.tower, &**cloud).await?);
        }
    }
    Ok(VerifyReport { local, clouds })
}

fn local(tower: &Tower) -> Result<Report> {
    let mut report = match tower.recorder.capabilities().verify {
        Some(verify) => verify.verify(&mut |_| ())?,
        None => Report::default(),
    };
    for records in &tower.reports {
        for skipped in &records.skipped {
            report.push(Severity::Damage, "records", format!("{skipped:?}"));
        }
    }
    Ok(report)
}

/// Reads every object of the wallet, then checks every restore point.
async fn scrub(tower: &Tower, cloud: &dyn CloudBackend) -> Result<CloudReport> {
    let tag = tower.sealer.tag();
    let mut scrub = Scrub {
        tower,
        cloud,
        tag,
        out: CloudReport::default(),
        good: BTreeSet::new(),
        reached: BTreeSet::new(),
    };
    let mut heads = Vec::new();
    for meta in cloud::poll_backups(cloud, &backup::wallet_prefix(&tag)).await? {
        let Ok(object) = ObjectRef::parse(&tag, &meta.name) else {
            scrub.out.report.push(
                Severity::Notice,
                STORE,
                format!("{} is not an object of this version", meta.name),
            );
            continue;
        };
        if let Some(bytes) = scrub.read(&object).await? {
            scrub.good.insert(object);
            if object.id.class == Class::Head
                && let Some(head) = scrub.open::<Head>(&object, ObjectHash::NONE, &bytes)
            {
                heads.push((object, head));
            }
        }
    }
    if let Some(mine) = tower.recorder.state().head
        && !scrub.good.contains(&mine)
    {
        let what = format!("the newest head of this device is missing: {}", mine.name(&tag));
        scrub.out.report.push(Severity::Damage, STORE, what);
    }
    for (_, head) in &heads {
        // This version deletes nothing, so a restore point that is gone was taken.
        if let Some(previous) = head.previous
            && !scrub.good.contains(&previous)
        {
            let what = format!("a restore point is missing: {}", previous.name(&tag));
            scrub.out.report.push(Severity::Damage, STORE, what);
        }
    }
    let mut dumps = BTreeSet::new();
    for (object, head) in &heads {
        scrub.reached.insert(*object);
        match scrub.restore_point(head, &mut dumps).await {
            Ok(()) => scrub.out.restore_points += 1,
            Err(Error::Backup(error)) => {
                let what = format!("{} cannot be restored: {error}", object.name(&tag));
                scrub.out.report.push(Severity::Damage, STORE, what);
            }
            Err(other) => return Err(other),
        }
    }
    let garbage = scrub.good.difference(&scrub.reached).count();
    if garbage > 0 {
        let what = format!(
            "{garbage} objects belong to no restore point (an interrupted backup leaves such)"
        );
        scrub.out.report.push(Severity::Notice, STORE, what);
    }
    Ok(scrub.out)
}

struct Scrub<'a> {
    tower: &'a Tower,
    cloud: &'a dyn CloudBackend,
    tag: [u8; 16],
    out: CloudReport,
    /// Objects whose bytes are those of their name.
    good: BTreeSet<ObjectRef>,
    /// Objects that a head needs.
    reached: BTreeSet<ObjectRef>,
}

impl Scrub<'_> {
    /// The bytes, if they are those that were put under this name.
    async fn read(&mut self, object: &ObjectRef) -> Result<Option<Bytes>> {
        let bytes = match replicate::fetch(self.cloud, &self.tag, object).await {
            Ok(bytes) => bytes,
            Err(Error::Backup(error)) => {
                self.out.report.push(Severity::Damage, STORE, error.to_string());
                return Ok(None);
            }
            Err(other) => return Err(other),
        };
        self.out.report.entries += 1;
        self.out.report.bytes += bytes.len() as u64;
        if ObjectHash::of(&bytes) == object.hash {
            return Ok(Some(bytes));
        }
        let what = format!("{} is damaged", object.name(&self.tag));
        self.out.report.push(Severity::Damage, STORE, what);
        Ok(None)
    }

    fn open<T: backup::Body>(
        &mut self,
        object: &ObjectRef,
        previous: ObjectHash,
        bytes: &Bytes,
    ) -> Option<T> {
        let opened = self.tower.sealer.open(object, previous, bytes);
        opened
            .map_err(|error| self.out.report.push(Severity::Damage, STORE, error.to_string()))
            .ok()
    }

    /// Whether everything a head needs is there and opens.
    async fn restore_point(&mut self, head: &Head, dumps: &mut BTreeSet<ObjectRef>) -> Result<()> {
        if dumps.insert(head.dump) {
            self.dump(&head.dump).await?;
        }
        let mut walk = ChainWalk::new(head)?;
        while let Some(link) = walk.next_link()?.cloned() {
            let known = link.parts.iter().all(|part| self.reached.contains(part));
            let bodies = self.bodies(&link).await?;
            walk.opened(bodies)?;
            if known {
                // The rest of this chain was walked from an earlier head.
                break;
            }
        }
        Ok(())
    }

    async fn dump(&mut self, index: &ObjectRef) -> Result<()> {
        let bytes = self.fetch(index).await?;
        let opened: DumpIndex = self.tower.sealer.open(index, ObjectHash::NONE, &bytes)?;
        let mut digest = EntryDigest::new(&self.tower.sealer)?;
        for part in &opened.parts {
            let bytes = self.fetch(part).await?;
            let part: DumpPart = self.tower.sealer.open(part, ObjectHash::NONE, &bytes)?;
            part.entries.iter().for_each(|entry| digest.add(entry));
        }
        Ok(opened.check(digest)?)
    }

    async fn bodies(&mut self, link: &Link) -> Result<Vec<backup::SegmentBody>> {
        let mut bodies = Vec::new();
        for part in &link.parts {
            let bytes = self.fetch(part).await?;
            bodies.push(self.tower.sealer.open(part, link.previous, &bytes)?);
        }
        Ok(bodies)
    }

    async fn fetch(&mut self, object: &ObjectRef) -> Result<Bytes> {
        self.reached.insert(*object);
        replicate::fetch(self.cloud, &self.tag, object).await
    }
}
