//! Catching up with another writer: from its head back to what is here already, then forwards.

use std::sync::Arc;

use backup::{
    ChainWalk, DumpIndex, DumpPart, Entry, Head, Link, Merged, Merger, NameSet, ObjectHash,
    ObjectRef, Recorder, SegmentBody,
};

use kv_core::{Key, Namespace};

use crate::{Error, Result, follow::Follower, restore::Source, wallet::blocking};

/// How many bytes of entries to keep on the way back. What does not fit is fetched again on the
/// way forwards.
const HELD_BYTES: usize = 32 << 20;

/// What catching up needs.
pub(crate) struct CatchUp<'a> {
    pub(crate) recorder: &'a Arc<Recorder>,
    pub(crate) source: &'a Source,
    /// Who hears of each step, before it is counted.
    pub(crate) follower: Option<Follower>,
}

/// How much was merged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) changes: u64,
    pub(crate) kept: u64,
    pub(crate) conflicts: u64,
    pub(crate) ahead: u64,
    pub(crate) unique_conflicts: u64,
    /// `PRIMARY/SECONDARY/KEY`.
    pub(crate) damaged: Vec<String>,
}

impl Counts {
    pub(crate) fn add(&mut self, merged: &Merged) {
        self.changes += merged.changes.len() as u64;
        self.kept += merged.kept;
        self.conflicts += merged.conflicts.len() as u64;
        self.ahead = self.ahead.max(merged.ahead);
        let name = |(ns, key): &(Namespace, Key)| {
            format!("{}/{}/{}", ns.primary(), ns.secondary(), key.as_str())
        };
        self.damaged.extend(merged.damaged.iter().map(name));
    }
}

impl CatchUp<'_> {
    /// Merges everything of a head that is not here yet, and counts it; `each` hears of every step
    /// once it is durable.
    pub(crate) async fn run(
        &self,
        object: ObjectRef,
        head: Head,
        counts: &mut Counts,
        each: impl Fn(&Merged),
    ) -> Result<()> {
        let (recorder, of) = (self.recorder.clone(), head.clone());
        let mut merger = blocking(move || recorder.merger(object, of).map_err(Error::from)).await?;
        let mut note = |(merged, unique): (Merged, u64)| {
            each(&merged);
            counts.add(&merged);
            counts.unique_conflicts += unique;
        };
        let (links, reaches_dump) = self.missing(&head, merger.have()).await?;
        if reaches_dump {
            let mut newer = NameSet::default();
            let mut next = Some(head.dump);
            while let Some(object) = next {
                let index: DumpIndex = self.source.open(&object, ObjectHash::NONE).await?.0;
                next = backup::check_dump(head.dump.id.writer, &object, &index)?;
                for part in &index.parts {
                    let part: DumpPart = self.source.open(part, ObjectHash::NONE).await?.0;
                    let mut entries = part.entries;
                    if index.base.is_some() {
                        entries.iter().for_each(|entry| _ = newer.insert(&entry.name));
                    } else {
                        // Of what a delta dump names the full dump below has an older state.
                        entries.retain(|entry| !newer.contains(&entry.name));
                    }
                    let (next, merged, outcome) = self.step(merger, entries).await?;
                    merger = next;
                    note(merged);
                    outcome?;
                }
            }
        }
        for (link, entries) in links.into_iter().rev() {
            let entries = match entries {
                Some(entries) => entries,
                None => {
                    let bodies = self.bodies(&link).await?;
                    bodies.into_iter().flat_map(|body| body.mergeable).collect()
                }
            };
            let (next, merged, outcome) = self.step(merger, entries).await?;
            merger = next;
            note(merged);
            outcome?;
        }
        let follower = self.follower.clone();
        let finish = move || {
            let mut merged = Merged::default();
            let outcome = merger.finish(&mut merged);
            Ok::<_, Error>((followed(follower, merged), outcome))
        };
        let (merged, outcome) = blocking(finish).await?;
        note(merged);
        Ok(outcome?)
    }

    /// What is merged is told also if the rest cannot be: it is durable, and will not be told again.
    async fn step(
        &self,
        mut merger: Merger,
        entries: Vec<Entry>,
    ) -> Result<(Merger, (Merged, u64), backup::Result<()>)> {
        let follower = self.follower.clone();
        blocking(move || {
            let mut merged = Merged::default();
            let outcome = merger.apply(entries, &mut merged);
            Ok((merger, followed(follower, merged), outcome))
        })
        .await
    }

    /// The segments behind `have`, newest first, and whether they begin at the dump instead.
    async fn missing(
        &self,
        head: &Head,
        have: u64,
    ) -> Result<(Vec<(Link, Option<Vec<Entry>>)>, bool)> {
        if head.sequence <= have {
            return Ok((Vec::new(), false));
        }
        let mut walk = ChainWalk::new(head)?;
        let mut missing = Vec::new();
        let mut held = 0;
        while let Some(link) = walk.next_link()?.cloned() {
            if link.range().1 <= have {
                return Ok((missing, false));
            }
            let bodies = self.bodies(&link).await?;
            let entries: Vec<Entry> =
                bodies.iter().flat_map(|body| &body.mergeable).cloned().collect();
            walk.opened(bodies)?;
            held += entries.iter().map(bytes).sum::<usize>();
            missing.push((link, (held <= HELD_BYTES).then_some(entries)));
        }
        Ok((missing, head.dump.id.from > have))
    }

    async fn bodies(&self, link: &Link) -> Result<Vec<SegmentBody>> {
        let mut bodies = Vec::new();
        for part in &link.parts {
            bodies.push(self.source.open(part, link.previous).await?.0);
        }
        Ok(bodies)
    }
}

fn followed(follower: Option<Follower>, merged: Merged) -> (Merged, u64) {
    let unique = follower.map_or(0, |follower| follower.follow(&merged));
    (merged, unique)
}

fn bytes(entry: &Entry) -> usize {
    match &entry.content {
        backup::Content::Value(bytes) | backup::Content::Piece { bytes, .. } => bytes.len(),
        backup::Content::Removed(_) => 0,
    }
}
