//! Polling: looking what the other writers of this wallet have put, and merging it.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

use backup::{Head, Merged, ObjectRef, WriterId};
use cloud::CloudBackend;
use serde::Serialize;

use super::{
    HeadSummary,
    catch_up::{CatchUp, Counts},
    head::readable_heads,
    history::Found,
    race,
};
use crate::{
    Error, Event, Result, error::chain, kv, restore::Source, session::Inner, tower::Tower,
    wallet::blocking,
};

/// What one poll found and merged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PollReport {
    /// The newest head of each writer, over all clouds that answered; oldest first.
    pub heads: Vec<HeadSummary>,
    /// The other writers that had something new, or of whom it could not be merged.
    pub writers: Vec<WriterReport>,
    /// Why clouds did not answer, as chains of messages. At least one did.
    pub unreachable: Vec<String>,
    /// Whether this device was unseen for so long that it no longer counts: see
    /// [`crate::Session::rejoin`]. Nothing is merged then.
    pub retired: bool,
}

/// What was merged of one other writer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WriterReport {
    /// Which installation.
    pub writer: String,
    /// Up to which of its changes everything is here.
    pub sequence: u64,
    /// How many keys have another value now, or none.
    pub changes: u64,
    /// Entries that change nothing: the same, or something newer, is here.
    pub kept: u64,
    /// Keys that both sides had changed; each is an [`Event::ConflictResolved`].
    pub conflicts: u64,
    /// Unique indexes in which two records now have the same key, of which one was merged.
    pub unique_conflicts: u64,
    /// Entries of this device, as `PRIMARY/SECONDARY/KEY`, that nobody could read: damaged, and replaced by what
    /// this writer has, which may be older.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
    /// How far its latest stamp lies in the future of this device's clock, in milliseconds.
    pub clock_ahead_ms: u64,
    /// It was unseen for so long that it no longer counts; nothing is merged until it rejoins.
    pub retired: bool,
    /// Why it could not be merged, as a chain of messages. Nothing is lost; the next poll tries again.
    pub failure: Option<String>,
}

/// Of each writer the newest heads of all clouds, newest first: where clouds differ, and what the
/// newest names is not whole, an older one is better than nothing.
type Newest = BTreeMap<WriterId, Vec<(ObjectRef, Head)>>;

/// Looks at the newest head of each writer, over all clouds that answer, and merges what is new. What
/// a look has just found is not asked for again.
#[tracing::instrument(skip_all)]
pub(crate) async fn poll(inner: &Inner, found: Found) -> Result<PollReport> {
    let tower = &inner.tower;
    let clouds = inner.clouds().await?;
    if clouds.is_empty() {
        return Err(Error::NoCloud);
    }
    let _one_at_a_time = inner.polling.lock().await;
    let stores = tower.stores.clone();
    blocking(move || stores.catch_up().map_err(Error::from)).await?;
    inner.tell_shared_keys();
    let mut report = PollReport::default();
    let (newest, lost) = newest(tower, clouds, found, &mut report).await?;
    let mine = tower.recorder.state().writer;
    report.writers.extend(lost.iter().filter(|(object, _)| object.id.writer != mine).map(
        |(object, error)| WriterReport {
            writer: object.id.writer.to_string(),
            sequence: tower.recorder.merged_to(object.id.writer).map_or(0, |head| head.id.to),
            failure: Some(chain(error)),
            ..WriterReport::default()
        },
    ));
    let firsts = || newest.values().filter_map(|heads| heads.first());
    let others = firsts().map(|(object, _)| *object).filter(|o| o.id.writer != mine);
    *inner.seen.lock().unwrap_or_else(PoisonError::into_inner) = others.collect();
    let summaries = firsts().map(|(object, head)| HeadSummary::of(object, head, Some(mine)));
    report.heads = summaries.collect();
    report.heads.sort_by_key(|head| head.time);

    let lost = lost.keys().map(|object| object.id.writer);
    let writers: Vec<WriterId> = newest.keys().copied().chain(lost).collect();
    for (_, head) in firsts().filter(|(object, _)| object.id.writer != mine) {
        let (recorder, head) = (tower.recorder.clone(), head.clone());
        blocking(move || Ok::<_, Error>(recorder.adopt_retired(&head)?)).await?;
    }
    report.retired = tower.recorder.is_retired().is_some();
    if report.retired {
        return Ok(report);
    }
    for (writer, heads) in newest.into_iter().filter(|(writer, _)| *writer != mine) {
        let first = heads.first().map(|(object, _)| *object);
        if tower.recorder.merged_to(writer) != first {
            report.writers.extend(merge(inner, clouds, heads).await);
        }
    }
    report.retired = tower.recorder.is_retired().is_some();
    let (recorder, settings) = (tower.recorder.clone(), tower.settings.clone());
    blocking(move || {
        let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        recorder.retire_unseen(ms(settings.retire_unseen_after))?;
        recorder.trim_tombstones(&writers, ms(settings.keep_tombstones_for))?;
        Ok::<_, Error>(())
    })
    .await?;
    Ok(report)
}

/// One writer's part, with its events; `None`: it had nothing to say, or nothing newer than what is here.
async fn merge(
    inner: &Inner,
    clouds: &[Arc<dyn CloudBackend>],
    heads: Vec<(ObjectRef, Head)>,
) -> Option<WriterReport> {
    let tower = &inner.tower;
    let us = tower.recorder.state().writer;
    let tell = |merged: &Merged| {
        for conflict in &merged.conflicts {
            let namespace = kv::called(&tower.data.kv_namespaces, &conflict.ns);
            inner.tell(Event::conflict_resolved(conflict, namespace, us));
        }
    };
    let at_once = tower.settings.fetch_at_once;
    let source = Source::new(tower.sealer.clone(), clouds.iter().cloned(), at_once);
    let (recorder, follower) = (&tower.recorder, Some(tower.follower()));
    let catch_up = CatchUp { recorder, source: &source, follower };
    let report = merge_writer(&catch_up, heads, tell).await;
    inner.tell_shared_keys();
    let report = report?;
    inner.tell_clock(&report);
    if report.changes > 0 {
        let (writer, sequence, changes) = (report.writer.clone(), report.sequence, report.changes);
        inner.tell(Event::Merged { writer, sequence, changes });
    }
    Some(report)
}

/// Merges one writer up to the first of its heads that is whole; a failure is part of the report.
pub(crate) async fn merge_writer(
    catch_up: &CatchUp<'_>,
    heads: Vec<(ObjectRef, Head)>,
    tell: impl Fn(&Merged),
) -> Option<WriterReport> {
    let (writer, recorder) = (heads.first()?.0.id.writer, catch_up.recorder);
    let mut counts = Counts::default();
    let mut outcome = Ok(());
    for (object, head) in heads {
        // Older ones are only for what is not here yet, and judge nobody.
        let is_news = recorder.merged_to(writer).is_none_or(|here| here.id.to < object.id.to);
        if outcome.is_err() && !(is_news && recorder.counts(&object, &head)) {
            continue;
        }
        let merged = catch_up.run(object, head, &mut counts, &tell).await;
        let is_enough = matches!(merged, Ok(()) | Err(Error::Backup(backup::Error::Retired(_))));
        outcome = outcome.and(merged);
        if is_enough {
            break;
        }
    }
    let mut report = WriterReport {
        writer: writer.to_string(),
        sequence: recorder.merged_to(writer).map_or(0, |head| head.id.to),
        changes: counts.changes,
        kept: counts.kept,
        conflicts: counts.conflicts,
        unique_conflicts: counts.unique_conflicts,
        clock_ahead_ms: counts.ahead,
        damaged: counts.damaged.clone(),
        ..WriterReport::default()
    };
    match outcome {
        Ok(()) if counts == Counts::default() => return None,
        Ok(()) => {}
        Err(Error::Backup(backup::Error::Retired(_))) => report.retired = true,
        Err(error) => report.failure = Some(chain(&error)),
    }
    Some(report)
}

/// The newest heads of each writer: as found already, else as asked for. A cloud that does not answer is
/// passed over while another one does. Beside them the heads that no cloud has whole: whatever is wrong
/// with one writer's keeps nobody from those of the others.
pub(super) async fn newest(
    tower: &Tower,
    clouds: &[Arc<dyn CloudBackend>],
    found: Found,
    report: &mut PollReport,
) -> Result<(Newest, BTreeMap<ObjectRef, Error>)> {
    let mut newest = Newest::new();
    let mut lost = BTreeMap::new();
    let mut failure = None;
    let mut answered = 0;
    let others = clouds.iter().enumerate().filter(|(i, _)| !found.contains_key(i));
    let works = others.map(|(i, cloud)| {
        let (sealer, cloud) = (tower.sealer.clone(), cloud.clone());
        (i, async move { readable_heads(&sealer, &*cloud, false).await })
    });
    // One that does not answer must not hide what the others have.
    let asked = race(works).await;
    let found = found.into_iter().map(|(i, heads)| (i, Ok((heads, Vec::new()))));
    for (_, found) in found.chain(asked) {
        let (found, unreadable) = match found {
            Ok(found) => found,
            Err(error) => {
                report.unreachable.push(chain(&error));
                failure = Some(error);
                continue;
            }
        };
        answered += 1;
        lost.extend(unreadable);
        for (object, head) in found {
            let heads = newest.entry(object.id.writer).or_default();
            if heads.iter().all(|(known, _)| *known != object) {
                heads.push((object, head));
            }
        }
    }
    for heads in newest.values_mut() {
        heads.sort_by_key(|(object, head)| Reverse((head.sequence, head.time, object.hash)));
    }
    lost.retain(|lost: &ObjectRef, _| {
        let heads = newest.get(&lost.id.writer);
        heads.is_none_or(|heads| heads.iter().all(|(whole, _)| whole != lost))
    });
    match failure {
        Some(error) if answered == 0 => Err(error),
        _ => Ok((newest, lost)),
    }
}
