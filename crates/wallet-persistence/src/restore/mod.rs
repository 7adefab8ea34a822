//! Restoring: from the key and the clouds alone to one consistent moment.

mod layers;
mod offer;
mod point;
mod source;
mod stale;
mod store;

use std::sync::Arc;

use backup::{ObjectRef, ObjectSealer, Position, Recorder, RecorderSettings};
use cloud::CloudBackend;
use kv_core::KvStore;
use serde::Serialize;
use vault::{Keys, RootSecret};

use self::store::Store;
pub(crate) use self::{
    layers::{Depth, Fetched, Point, Sink, Worker, read},
    offer::{Offer, look},
    point::{newest as newest_point, visit_points},
    source::{Segments, Source, list},
    stale::{Choice, Stale, choose, list as list_newer},
};
pub use self::{point::RestoreAt, stale::NewerState};
use crate::{
    HeadSummary, Result, UnlockError, VerifiedRestore, WriterReport, builder::Parts, clock,
    registry, replicate, replicate::CatchUp, tower, verified, wallet::blocking,
};

/// How far a restore has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RestoreProgress {
    /// Bytes fetched and applied.
    pub bytes_done: u64,
    /// Bytes in all, as far as they are known. What an interrupted restore left is not counted again.
    pub bytes_total: u64,
    /// How long the rest will take at the pace so far, in milliseconds; `None`: that is not known yet.
    pub left_ms: Option<u64>,
}

impl RestoreProgress {
    fn new(now: Fetched, elapsed_ms: u64) -> Self {
        let left = u128::from(now.total.saturating_sub(now.bytes)) * u128::from(elapsed_ms);
        let left = left.checked_div(u128::from(now.bytes)).filter(|_| elapsed_ms > 0);
        let left_ms = left.map(|left| u64::try_from(left).unwrap_or(u64::MAX));
        Self { bytes_done: now.bytes, bytes_total: now.total, left_ms }
    }
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RestoreReport {
    /// Whose chain it was.
    pub writer: String,
    /// The restore point: the last change it holds, by its writer's numbers.
    pub sequence: u64,
    /// Its time in milliseconds since the Unix epoch, by its writer's clock: when the newest one was
    /// put into the cloud, when the last change of an older one was made.
    pub time: u64,
    /// How long ago that was, in milliseconds.
    pub age_ms: u64,
    /// How far it lies in the future of this device's clock, in milliseconds, if that is more than clocks
    /// may differ: one of the two is wrong, and the age says nothing.
    pub clock_ahead_ms: Option<u64>,
    /// Whether an older one was wanted than the newest there is.
    pub at: RestoreAt,
    /// How many clouds were asked and answered.
    pub clouds: usize,
    /// How many of them have the same newest head.
    pub clouds_agreeing: usize,
    /// The newest heads seen, one for each installation.
    pub heads: Vec<HeadSummary>,
    /// How many other installations have backups of their own there.
    pub other_writers: usize,
    /// Changes applied.
    pub changes: u64,
    /// Bytes of their values.
    pub value_bytes: u64,
    /// What was merged of the other installations, or why it could not be. Only into the newest
    /// restore point; into an older one the next poll merges it.
    pub merged: Vec<WriterReport>,
    /// What is known to exist and was not restored, since an older state was accepted.
    pub newer: Vec<NewerState>,
    /// Heads in the clouds, by name, that are damaged everywhere and were passed over, since an older
    /// state was accepted.
    pub passed_over: Vec<String>,
    /// Why clouds did not answer, as chains of messages. At least one did.
    pub unreachable: Vec<String>,
    /// Objects fetched.
    pub objects: u64,
    /// Bytes fetched.
    pub bytes: u64,
}

/// Restores into a store that is empty, or where the same was interrupted.
#[tracing::instrument(skip_all)]
pub(crate) async fn run(
    parts: &Parts,
    offer: &Offer,
    (at, choice): (RestoreAt, &Choice),
    root: &RootSecret,
    store: Arc<dyn KvStore>,
    mut progress: impl FnMut(RestoreProgress) + Send,
) -> Result<RestoreReport, UnlockError> {
    let sealer = ObjectSealer::new(Keys::derive(root));
    let at_once = parts.settings.fetch_at_once;
    let source = Source::new(sealer.clone(), offer.clouds.iter().cloned(), at_once);
    let Choice { point, head: object, newer } = choice;
    let writer = object.id.writer;
    let base = source.open::<backup::DumpIndex>(&point.dump, backup::ObjectHash::NONE).await?.0;
    let base = base.base.unwrap_or(point.dump);
    let secret = root.clone();
    let to = (writer, point.sequence);
    let sink = blocking(move || Store::begin(store, &secret, sealer, &base, to)).await?;
    let (clock, began) = (parts.clock.clone(), parts.clock.now().0);
    let mut told = |now: Fetched| {
        progress(RestoreProgress::new(now, clock.now().0.saturating_sub(began)));
    };
    let (sink, fetched) = read(&source, point, Depth::All, sink, &mut told).await?;
    let Store { mut restorer, sealed, .. } = sink;
    offer.all.iter().for_each(|(_, head)| restorer.saw_head(head));
    let mut known = offer.all.iter().chain([&offer.newest]);
    if let Some((object, head)) = known.find(|(o, _)| o == object)
        && point.sequence == head.sequence
    {
        restorer.based_on_head(*object, head);
    }
    // A takeover is based on this restore point, and single-writer data waits for it.
    restorer.based_on(Position {
        writer,
        sequence: point.sequence,
        segment: point.newest.as_ref().map_or(backup::ObjectHash::NONE, backup::Link::hash),
        head: *object,
    });
    let seen = offer.all.iter().map(|(object, _)| *object).collect();
    let urls = parts.cloud_urls.clone();
    let (clock, rules) = (parts.clock.clone(), registry::rules());
    let (restored, recorder) = blocking(move || {
        let restored = restorer.finish(seen)?;
        tower::write_cloud_urls(&*sealed, &urls)?;
        let recorder = Recorder::open(sealed, rules, clock, RecorderSettings::default())?;
        Ok::<_, UnlockError>((restored, recorder))
    })
    .await?;
    // One moment of one device; and, unless an older one was asked for, what the others have put
    // beside it. Where a newer head of that device was passed over, what it put later is of another
    // moment than its single-writer data; where the fence names an older one, that counts.
    let is_passed_over = *object != offer.newest.0 || !offer.passed_over.is_empty();
    let is_beside =
        |other: &ObjectRef| other != object && !(is_passed_over && other.id.writer == writer);
    let mut merged = Vec::new();
    if at == RestoreAt::Newest {
        let catch_up = CatchUp { recorder: &recorder, source: &source, follower: None };
        for (newest, _) in offer.newest_each.iter().filter(|(other, _)| is_beside(other)) {
            let heads = offer.heads_of(newest.id.writer);
            merged.extend(replicate::merge_writer(&catch_up, heads, |_| ()).await);
        }
    }
    let now = parts.clock.now().0;
    let verified = VerifiedRestore::restored(
        (writer, point.sequence, point.time),
        now,
        (offer.agreeing, offer.clouds.len()),
    );
    blocking(move || verified::remember(&*recorder, verified)).await?;
    Ok(RestoreReport {
        writer: writer.to_string(),
        sequence: point.sequence,
        time: point.time,
        age_ms: now.saturating_sub(point.time),
        clock_ahead_ms: clock::is_wrong(point.time.saturating_sub(now)),
        at,
        clouds: offer.clouds.len(),
        clouds_agreeing: offer.agreeing,
        heads: offer.newest_each.iter().map(|(o, head)| HeadSummary::of(o, head, None)).collect(),
        other_writers: offer.newest_each.iter().filter(|(o, _)| o.id.writer != writer).count(),
        changes: restored.changes,
        value_bytes: restored.bytes,
        merged,
        newer: newer.clone(),
        passed_over: offer.passed_over.iter().map(ToString::to_string).collect(),
        unreachable: offer.unreachable.clone(),
        objects: fetched.objects,
        bytes: fetched.bytes,
    })
}

/// The restore point that a restore would bring back, and where to read it.
pub(crate) async fn point_at(
    sealer: &ObjectSealer,
    clouds: &[Arc<dyn CloudBackend>],
    at: RestoreAt,
    at_once: usize,
) -> Result<(Source, Point)> {
    let offer = look(sealer, clouds, Stale::Refused).await?;
    let source = Source::new(sealer.clone(), offer.clouds.iter().cloned(), at_once);
    let (point, _) = point::find_among(&source, &offer.newest_each, &offer.newest, at).await?;
    Ok((source, point))
}
