//! One cloud: every object of the wallet, every restore point, and this device against its newest.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use backup::{
    ChainWalk, Class, DumpIndex, DumpPart, EntryDigest, Head, Link, ObjectHash, ObjectRef,
    Suspicion, WriterId,
};
use cloud::CloudBackend;
use kv_core::Severity;

use super::{CloudReport, STORE, compare::compare};
use crate::{
    Error, HeadSummary, Result,
    in_order::InOrder,
    replicate,
    restore::{Source, newest_point},
    session::Inner,
};

/// Reads every object of the wallet, then checks every restore point, then compares.
pub(super) async fn scrub(
    inner: &Inner,
    all: &[Arc<dyn CloudBackend>],
    cloud: &Arc<dyn CloudBackend>,
    name: &str,
) -> Result<CloudReport> {
    let tower = &inner.tower;
    let at_once = tower.settings.fetch_at_once;
    let source = Source::new(tower.sealer.clone(), [cloud.clone()], at_once);
    let mut scrub = Scrub {
        source,
        tag: tower.sealer.tag(),
        out: CloudReport::default(),
        good: BTreeSet::new(),
        reached: BTreeSet::new(),
        newest: BTreeMap::new(),
        everywhere: Source::new(tower.sealer.clone(), all.iter().cloned(), at_once),
    };
    // Watched from before the newest head is looked up: what is backed up since is no difference.
    let watch = inner.watches.begin();
    let mine = tower.recorder.state().head;
    scrub.read_everything(&**cloud).await?;
    let heads = scrub.heads().await?;
    if let Some(mine) = mine
        && !scrub.good.contains(&mine)
    {
        scrub.lacks_newest(inner, name, &mine);
    }
    for heads in heads.values() {
        scrub.writer(heads).await?;
    }
    scrub.fence(inner, (&**cloud, name), &heads).await?;
    scrub.note_gaps(inner, name)?;
    scrub.unreached();
    let all: Vec<(ObjectRef, Head)> = heads.values().flatten().cloned().collect();
    let newest = match mine {
        Some(mine) => all.iter().find(|(object, _)| *object == mine),
        // This device has put nothing yet: there is nothing to compare it with.
        None => backup::newest_head(&all),
    };
    if let (Some(_), Some((_, head))) = (mine, newest) {
        match newest_point(head) {
            Ok(point) => compare(inner, &scrub.source, &point, &watch, &mut scrub.out).await?,
            Err(error) => scrub.damage(error.to_string()),
        }
    }
    if !scrub.out.report.is_damaged() {
        let me = tower.recorder.state().writer;
        scrub.out.whole = newest.map(|(object, head)| HeadSummary::of(object, head, Some(me)));
    }
    Ok(scrub.out)
}

/// How many of its heads a writer keeps in any case.
const HEADS: usize = 4;

struct Scrub {
    source: Source,
    tag: [u8; 16],
    out: CloudReport,
    /// Objects whose bytes are those of their name.
    good: BTreeSet<ObjectRef>,
    /// Objects that a restore point needs.
    reached: BTreeSet<ObjectRef>,
    /// The newest head of each writer, by its sequence number, and whether all it needs is whole.
    newest: BTreeMap<WriterId, (u64, bool)>,
    /// All clouds.
    everywhere: Source,
}

impl Scrub {
    fn damage(&mut self, what: String) {
        self.out.report.push(Severity::Damage, STORE, what);
    }

    fn notice(&mut self, what: String) {
        self.out.report.push(Severity::Notice, STORE, what);
    }

    /// The newest head of this device is not here: was it, or has this cloud yet to get it?
    fn lacks_newest(&mut self, inner: &Inner, name: &str, mine: &ObjectRef) {
        let backed_up = inner.tower.recorder.state().last_backup;
        let mark = inner.with_history(|history| history.mark(name, mine.id.writer).copied());
        let had = mark.map(|mark| (mark.head.id.to, Some(mark.time)));
        if had.is_some_and(|had| had >= (mine.id.to, backed_up)) {
            return self.damage(format!(
                "the newest head of this device is missing: {}; whoever restores from here gets an \
                 older state; back up again to put a new one",
                mine.name(&self.tag)
            ));
        }
        let own = self.good.iter().filter(|object| object.id.class == Class::Head);
        let own = own.filter(|object| object.id.writer == mine.id.writer);
        let has = own.map(|object| object.id.to).max();
        if let Some(mark) = mark.filter(|mark| has < Some(mark.head.id.to)) {
            let name = mark.head.name(&self.tag);
            return self.damage(format!(
                "a head of this device that was here is missing: {name}; back up again to put a \
                 new one"
            ));
        }
        self.notice(format!(
            "this cloud has not yet got everything: the backups of this device end with change {}, \
             here with {}; it gets the rest with the next backups",
            mine.id.to,
            has.map_or_else(|| "none".to_owned(), |has| has.to_string())
        ));
    }

    /// Writes down which newest heads lack something, and which no longer do.
    fn note_gaps(&self, inner: &Inner, name: &str) -> Result<()> {
        inner.change_history(|history, now| {
            let mut new = Vec::new();
            for (&writer, &(head, is_whole)) in &self.newest {
                if is_whole {
                    let of = |what: &Suspicion| matches!(what, Suspicion::Gap { writer: of, .. } if *of == writer);
                    history.resolve(name, of);
                } else {
                    new.extend(history.find(name, Suspicion::Gap { writer, head }, now));
                }
            }
            new
        })
    }

    async fn read_everything(&mut self, cloud: &dyn CloudBackend) -> Result<()> {
        let listed = cloud::poll_backups(cloud, &backup::wallet_prefix(&self.tag)).await?;
        let mut objects = Vec::with_capacity(listed.len());
        for meta in listed {
            if meta.name == backup::fence_name(&self.tag) {
                continue;
            }
            match ObjectRef::parse(&self.tag, &meta.name) {
                Ok(object) => objects.push(object),
                Err(_) => self.notice(format!("{} is not an object of this version", meta.name)),
            }
        }
        let mut left = objects.into_iter();
        let mut running = InOrder::new(self.source.at_once);
        loop {
            while running.has_room()
                && let Some(object) = left.next()
            {
                let source = self.source.clone();
                running.push(async move { Ok((object, check(&source, object).await)) });
            }
            let Some(done) = running.next().await else { return Ok(()) };
            match done? {
                (object, Ok(Some(bytes))) => {
                    self.out.report.entries += 1;
                    self.out.report.bytes += bytes;
                    self.good.insert(object);
                }
                (object, Ok(None)) => {
                    self.out.report.entries += 1;
                    self.damage(format!("{} is damaged", object.name(&self.tag)));
                }
                // Heads that newer ones replaced go at any time.
                (object, Err(Error::Backup(backup::Error::Missing { .. })))
                    if object.id.class == Class::Head => {}
                (_, Err(Error::Backup(error))) => self.damage(error.to_string()),
                (_, Err(other)) => return Err(other),
            }
        }
    }

    /// The fencing head: it is there if it ever was, opens, is no older than it was, and what it
    /// names can be restored.
    async fn fence(
        &mut self,
        inner: &Inner,
        (cloud, name): (&dyn CloudBackend, &str),
        writers: &BTreeMap<WriterId, Vec<(ObjectRef, Head)>>,
    ) -> Result<()> {
        let found = match replicate::read_fence(cloud, &self.source.sealer).await {
            Ok(found) => found.map(|(fence, _)| fence),
            Err(Error::Backup(error)) => {
                self.damage(format!("the fencing head: {error}; back up again to put a new one"));
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        let state = inner.tower.recorder.fence_state();
        let had = inner.with_history(|history| history.fence_mark(name));
        let Some(fence) = found else {
            if had.is_some() {
                self.damage(
                    "the fencing head is missing: this cloud cannot say whose single-writer data \
                     counts; back up again to put a new one, after a look at the findings"
                        .to_owned(),
                );
            } else if state.acknowledged.is_some() {
                self.notice(
                    "there is no fencing head yet: other clouds have acknowledged single-writer \
                     data, and this one gets it with the next backups of such"
                        .to_owned(),
                );
            }
            return Ok(());
        };
        self.out.report.entries += 1;
        if had > Some(fence.progress()) {
            self.damage(format!(
                "the fencing head is of epoch {} and was further before: this cloud serves an old \
                 state",
                fence.epoch
            ));
        }
        let Some(at) = fence.at.filter(|at| !self.reached.contains(&at.head)) else {
            return Ok(());
        };
        // A holder that has put heads of its own is restored through those.
        let is_needed = !writers.contains_key(&fence.writer);
        let whole = match self.source.open::<Head>(&at.head, ObjectHash::NONE).await {
            Ok((head, _)) => {
                self.reached.insert(at.head);
                self.restore_point(&head, false).await
            }
            Err(error) => Err(error),
        };
        match whole {
            Err(Error::Backup(error)) if is_needed => self.damage(format!(
                "single-writer data cannot be restored from what the fencing head names: {error}; \
                 back up again on the device that took over"
            )),
            Err(Error::Backup(_)) | Ok(()) => {}
            Err(other) => return Err(other),
        }
        Ok(())
    }

    /// The heads that are whole, by writer, newest first.
    async fn heads(&mut self) -> Result<BTreeMap<WriterId, Vec<(ObjectRef, Head)>>> {
        let is_head = |object: &&ObjectRef| object.id.class == Class::Head;
        let objects: Vec<ObjectRef> = self.good.iter().filter(is_head).copied().collect();
        let mut writers: BTreeMap<WriterId, Vec<(ObjectRef, Head)>> = BTreeMap::new();
        for object in objects {
            match self.source.open::<Head>(&object, ObjectHash::NONE).await {
                Ok((head, _)) => {
                    writers.entry(object.id.writer).or_default().push((object, head));
                }
                Err(Error::Backup(backup::Error::Missing { .. })) => {}
                Err(Error::Backup(error)) => self.damage(error.to_string()),
                Err(other) => return Err(other),
            }
        }
        for heads in writers.values_mut() {
            heads.sort_by_key(|(object, head)| {
                std::cmp::Reverse((head.sequence, object.id.from, head.time))
            });
        }
        Ok(writers)
    }

    /// All that one writer keeps: what the newest head reaches, then whether the older heads lie on
    /// the same way.
    async fn writer(&mut self, heads: &[(ObjectRef, Head)]) -> Result<()> {
        // Times may be equal: the newest is the one that no other names as the head before it.
        let named: BTreeSet<ObjectRef> =
            heads.iter().filter_map(|(_, head)| head.previous).collect();
        let mut heads: Vec<&(ObjectRef, Head)> = heads.iter().collect();
        heads.sort_by_key(|(object, _)| named.contains(object));
        // Each writer keeps its newest four.
        let mut next = heads.first().copied();
        let mut missing = Vec::new();
        for _ in 1..HEADS {
            let goes_back = next.filter(|(_, head)| !replicate::begins_anew(head));
            let Some(previous) = goes_back.and_then(|(_, head)| head.previous) else { break };
            if !self.good.contains(&previous) {
                missing.push(previous);
            }
            next = heads.iter().copied().find(|(object, _)| *object == previous);
        }
        for (i, (object, head)) in heads.iter().enumerate() {
            self.reached.insert(*object);
            if i > 0 && !self.reached.contains(&head.dump) {
                // The newest head does not keep its dump: its time is over.
                continue;
            }
            let outcome = self.restore_point(head, i == 0).await;
            if i == 0 {
                self.newest.insert(object.id.writer, (object.id.to, outcome.is_ok()));
            }
            match outcome {
                Ok(()) => self.out.restore_points += 1,
                Err(Error::Backup(error)) => self.damage(format!(
                    "{} cannot be restored: {error}; if this is a device of yours that is whole, \
                     let it make a full dump (backup dump --full)",
                    object.name(&self.tag)
                )),
                Err(other) => return Err(other),
            }
        }
        for object in missing {
            self.older_head_is_missing(&object, heads.first().copied()).await;
        }
        Ok(())
    }

    /// An older head is not here. A device that ended before it could note a head that it had put
    /// into some clouds goes on in all of them from what it had noted; such a head never came here,
    /// and lies beside the chain. Any other one was taken away.
    async fn older_head_is_missing(
        &mut self,
        object: &ObjectRef,
        newest: Option<&(ObjectRef, Head)>,
    ) {
        let name = object.name(&self.tag);
        let older = self.everywhere.open::<Head>(object, ObjectHash::NONE).await;
        let lies_beside = |older: &Head, newest: &Head| {
            let link = older.newest.as_ref().filter(|link| link.range().1 > newest.dump.id.from);
            link.is_some_and(|link| !link.parts.iter().all(|part| self.reached.contains(part)))
        };
        match (older, newest) {
            (Ok((older, _)), Some((_, newest))) if lies_beside(&older, newest) => {
                self.notice(format!(
                    "a head that was given up is in another cloud only: {name}; nothing needs it"
                ));
            }
            _ => self.damage(format!("a head is missing: {name}; newer ones do not need it")),
        }
    }

    /// Whether everything a head needs is there and opens; with `older`, also what older restore
    /// points need.
    async fn restore_point(&mut self, head: &Head, older: bool) -> Result<()> {
        ChainWalk::new(head)?;
        let index = self.dump(&head.dump).await?;
        let floor = index.floor(&head.dump);
        if older {
            for kept in &index.older {
                self.dump(&kept.index).await?;
            }
        }
        let down_to = if older { floor } else { head.dump.id.from };
        let mut walk = ChainWalk::back_to(
            head.dump.id.writer,
            head.newest.clone(),
            down_to.min(head.sequence),
        );
        while let Some(link) = walk.next_link()?.cloned() {
            let known = link.parts.iter().all(|part| self.reached.contains(part));
            let bodies = self.bodies(&link).await?;
            walk.opened(bodies)?;
            if known {
                // The rest of this chain was walked from a newer head.
                break;
            }
        }
        Ok(())
    }

    /// A dump and what it builds on, unless they were checked before.
    async fn dump(&mut self, object: &ObjectRef) -> Result<DumpIndex> {
        let (index, _): (DumpIndex, u64) = self.source.open(object, ObjectHash::NONE).await?;
        let base = backup::check_dump(object.id.writer, object, &index)?;
        if self.reached.insert(*object) {
            self.parts(&index).await?;
        }
        if let Some(base) = base
            && !self.reached.contains(&base)
        {
            let (below, _): (DumpIndex, u64) = self.source.open(&base, ObjectHash::NONE).await?;
            if backup::check_dump(object.id.writer, &base, &below)?.is_some() {
                return Err(
                    backup::Error::BrokenChain { what: "a delta dump on a delta dump" }.into()
                );
            }
            self.parts(&below).await?;
            self.reached.insert(base);
        }
        Ok(index)
    }

    async fn parts(&mut self, index: &DumpIndex) -> Result<()> {
        self.reached.extend(&index.parts);
        let mut digest = EntryDigest::new(&self.source.sealer)?;
        let mut left = index.parts.iter().copied();
        let mut running = InOrder::new(self.source.at_once);
        loop {
            while running.has_room()
                && let Some(part) = left.next()
            {
                let source = self.source.clone();
                running.push(async move { fold(&source, part).await });
            }
            let Some(folded) = running.next().await else { break };
            digest.merge(&folded?);
        }
        Ok(index.check(digest)?)
    }

    async fn bodies(&mut self, link: &Link) -> Result<Vec<backup::SegmentBody>> {
        let mut bodies = Vec::new();
        for part in &link.parts {
            self.reached.insert(*part);
            bodies.push(self.source.open(part, link.previous).await?.0);
        }
        Ok(bodies)
    }

    fn unreached(&mut self) {
        let garbage = self.good.difference(&self.reached).count();
        if garbage > 0 {
            self.notice(format!(
                "{garbage} objects belong to no restore point (interrupted backups leave such, \
                 and what is too old to be kept); they go with a later dump"
            ));
        }
    }
}

/// Whether the bytes are those of the name, and how many they are.
async fn check(source: &Source, object: ObjectRef) -> Result<Option<u64>> {
    let bytes = source.get(&object).await?;
    source
        .work(move || {
            let good = ObjectHash::of(&bytes) == object.hash;
            Ok(good.then_some(bytes.len() as u64))
        })
        .await
}

async fn fold(source: &Source, part: ObjectRef) -> Result<EntryDigest> {
    let bytes = source.get(&part).await?;
    let sealer = source.sealer.clone();
    source.work(move || Ok(DumpPart::fold(&sealer, &part, &bytes)?)).await
}
