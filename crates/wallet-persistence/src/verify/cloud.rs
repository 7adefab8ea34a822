//! One cloud: every object of the wallet, every restore point, and this device against its newest.

mod fence;
mod reach;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use backup::{Class, Head, ObjectHash, ObjectRef, Suspicion, WriterId};
use cloud::CloudBackend;
use kv_core::Severity;

use super::{CloudReport, STORE, compare::compare};
use crate::{
    Error, HeadSummary, Result,
    in_order::InOrder,
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
        gone: BTreeSet::new(),
        reached: BTreeSet::new(),
        newest: BTreeMap::new(),
        everywhere: Source::new(tower.sealer.clone(), all.iter().cloned(), at_once),
    };
    // Watched from before the newest head is looked up: what is backed up since is no difference.
    let watch = inner.watches.begin();
    let mine = tower.recorder.state().head;
    scrub.read_everything(&**cloud).await?;
    let heads = scrub.heads().await?;
    // Listed, and gone when it was read, it must have been replaced.
    let is_replaced =
        |mine| scrub.gone.contains(mine) && tower.recorder.state().head != Some(*mine);
    if let Some(mine) = mine
        && !scrub.good.contains(&mine)
        && !is_replaced(&mine)
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

struct Scrub {
    source: Source,
    tag: [u8; 16],
    out: CloudReport,
    /// Objects whose bytes are those of their name.
    good: BTreeSet<ObjectRef>,
    /// Objects that were listed and are not there any more: other sessions and devices delete what
    /// they no longer need at any time. What a restore point needs is missed there.
    gone: BTreeSet<ObjectRef>,
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
        // Heads go first: a running device replaces them all the time.
        objects.sort_by_key(|object| object.id.class != Class::Head);
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
                    let elsewhere = self.elsewhere(&object).await;
                    self.damage(format!("{} is damaged{elsewhere}", object.name(&self.tag)));
                }
                (object, Err(Error::Backup(backup::Error::Missing { .. }))) => {
                    self.gone.insert(object);
                }
                (object, Err(Error::Backup(error))) => {
                    let elsewhere = self.elsewhere(&object).await;
                    self.damage(format!("{error}{elsewhere}"));
                }
                (_, Err(other)) => return Err(other),
            }
        }
    }

    /// What to add if another cloud has an object whole.
    async fn elsewhere(&self, object: &ObjectRef) -> &'static str {
        match self.everywhere.get(object).await {
            Ok(bytes) if ObjectHash::of(&bytes) == object.hash => {
                "; another cloud of this wallet has it whole, and a restore that is told of both takes \
                 it from there"
            }
            _ => "",
        }
    }

    /// The same for the object that an error is about.
    async fn elsewhere_of(&self, error: &backup::Error) -> &'static str {
        let (backup::Error::Missing { name } | backup::Error::Damaged { name }) = error else {
            return "";
        };
        match ObjectRef::parse(&self.tag, name) {
            Ok(object) => self.elsewhere(&object).await,
            Err(_) => "",
        }
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
