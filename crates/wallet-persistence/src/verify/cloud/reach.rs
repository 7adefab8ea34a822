//! The restore points of one cloud: what each head needs is there and opens.

use std::collections::{BTreeMap, BTreeSet};

use backup::{
    ChainWalk, Class, DumpIndex, DumpPart, EntryDigest, Head, Link, ObjectHash, ObjectRef, WriterId,
};

use super::Scrub;
use crate::{Error, Result, in_order::InOrder, replicate, restore::Source};

/// How many of its heads a writer keeps in any case.
const HEADS: usize = 4;

impl Scrub {
    /// The heads that are whole, by writer, newest first.
    pub(super) async fn heads(&mut self) -> Result<BTreeMap<WriterId, Vec<(ObjectRef, Head)>>> {
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
    pub(super) async fn writer(&mut self, heads: &[(ObjectRef, Head)]) -> Result<()> {
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
            if !self.good.contains(&previous) && !self.gone.contains(&previous) {
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
            if matches!(outcome, Err(Error::Backup(_))) && self.is_gone(object).await {
                // Replaced meanwhile, with all that only it needed.
                continue;
            }
            if i == 0 {
                self.newest.insert(object.id.writer, (object.id.to, outcome.is_ok()));
            }
            match outcome {
                Ok(()) => self.out.restore_points += 1,
                Err(Error::Backup(error)) => {
                    let elsewhere = self.elsewhere_of(&error).await;
                    self.damage(format!(
                        "{} cannot be restored from here: {error}{elsewhere}; if this is a device of \
                         yours that is whole, let it make a full dump (backup dump --full)",
                        object.name(&self.tag)
                    ));
                }
                Err(other) => return Err(other),
            }
        }
        for object in missing {
            self.older_head_is_missing(&object, heads.first().copied()).await;
        }
        Ok(())
    }

    /// Whether a head that was read is no longer there.
    async fn is_gone(&self, head: &ObjectRef) -> bool {
        let found = self.source.get(head).await;
        matches!(found, Err(Error::Backup(backup::Error::Missing { .. })))
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
        // A newer dump holds what it held: one that came late begins with that.
        let is_covered = |older: &Head, newest: &Head| {
            newest.dump != older.dump && newest.dump.id.from >= older.sequence
        };
        let lies_beside = |older: &Head, newest: &Head| {
            let link = older.newest.as_ref().filter(|link| link.range().1 > newest.dump.id.from);
            link.is_some_and(|link| !link.parts.iter().all(|part| self.reached.contains(part)))
        };
        match (older, newest) {
            (Ok((older, _)), Some((_, newest)))
                if lies_beside(&older, newest) || is_covered(&older, newest) =>
            {
                self.notice(format!(
                    "a head that was given up is in another cloud only: {name}; nothing needs it"
                ));
            }
            _ => self.damage(format!("a head is missing: {name}; newer ones do not need it")),
        }
    }

    /// Whether everything a head needs is there and opens; with `older`, also what older restore
    /// points need.
    pub(super) async fn restore_point(&mut self, head: &Head, older: bool) -> Result<()> {
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
}

async fn fold(source: &Source, part: ObjectRef) -> Result<EntryDigest> {
    let bytes = source.get(&part).await?;
    let sealer = source.sealer.clone();
    source.work(move || Ok(DumpPart::fold(&sealer, &part, &bytes)?)).await
}
