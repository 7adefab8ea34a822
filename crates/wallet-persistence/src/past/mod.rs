//! Older values of a field: read from the restore points in the clouds, and never applied.

mod chain;
mod dump;

use backup::{EntryName, OneKey};
use records::Fields;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Error, RestoreAt, Result, Session,
    replicate::{self, Newest},
    restore,
    session::Inner,
};

/// What a field held over restore points of one device that follow each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PastValue<T> {
    /// In whose chain the restore points lie.
    pub writer: String,
    /// Whether that is this device's.
    pub mine: bool,
    /// What it held; `None`: it was not set.
    pub value: Option<T>,
    /// The oldest of the restore points.
    pub first: Moment,
    /// The newest of them.
    pub last: Moment,
    /// How many there are.
    pub restore_points: u64,
}

/// When a restore point was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Moment {
    /// The last change it holds, by its writer's numbers.
    pub sequence: u64,
    /// Its time in milliseconds since the Unix epoch, by its writer's clock: when the newest one was
    /// put into the cloud, when the last change of an older one was made.
    pub time: u64,
    /// How long ago that was by this device's clock, in milliseconds.
    pub age_ms: u64,
}

impl Session {
    /// What a field has held at each restore point that the clouds keep, of every device, newest
    /// first. Restore points with the same value that follow each other are one item. Empty: it was
    /// set in none of them. Nothing is applied here, and no other call ever answers such a value.
    ///
    /// Fields of an application as well as those of [`crate::ProfileField`], by its name; an age that
    /// follows from the birthday is not stored, and so has no history.
    ///
    /// Reads all segments within the retention, one after the other, and of the oldest dump the
    /// parts that hold fields; in memory are a few objects, and the values of this one field.
    pub async fn field_history<T: DeserializeOwned>(
        &self,
        name: &str,
    ) -> Result<Vec<PastValue<T>>> {
        let name = self.entry_name(name)?;
        let inner = &*self.inner;
        let chains = self.unless_suspended(history(inner, &name)).await?;
        let any = chains.iter().flat_map(|(_, spans)| spans).any(|span| span.value.is_some());
        let mut past = Vec::new();
        for (object, spans) in chains.into_iter().filter(|_| any) {
            for span in spans {
                past.push(span.told(inner, object.id.writer, &name)?);
            }
        }
        past.sort_by_key(|past| std::cmp::Reverse((past.last.time, past.last.sequence)));
        Ok(past)
    }

    /// What a field held at one restore point: the one that [`crate::WalletPersistence::restore_at`]
    /// would bring back. Nothing is applied here.
    ///
    /// Reads what lies between that restore point and its dump, until the field is found.
    ///
    /// # Errors
    /// [`backup::Error::NoRestorePoint`] if none that is kept is old enough.
    pub async fn field_at<T: DeserializeOwned>(
        &self,
        name: &str,
        at: RestoreAt,
    ) -> Result<PastValue<T>> {
        let name = self.entry_name(name)?;
        let inner = &*self.inner;
        let (point, value) = self.unless_suspended(value_at(inner, &name, at)).await?;
        let moment = (point.sequence, point.time);
        let span = chain::Span { value, first: moment, last: moment, points: 1 };
        span.told(inner, point.writer, &name)
    }

    fn entry_name(&self, field: &str) -> Result<EntryName> {
        let (ns, key) = self.tower()?.fields.place(field)?;
        Ok(EntryName::new(&ns, &key))
    }
}

type Chains = Vec<(backup::ObjectRef, Vec<chain::Span>)>;

async fn history(inner: &Inner, name: &EntryName) -> Result<Chains> {
    let Newest { source, heads } = replicate::newest_of_each(inner).await?;
    let mut chains = Vec::new();
    for (object, head) in heads {
        let spans = chain::spans(&source, &head, OneKey::new(name.clone())).await?;
        chains.push((object, spans));
    }
    Ok(chains)
}

async fn value_at(
    inner: &Inner,
    name: &EntryName,
    at: RestoreAt,
) -> Result<(restore::Point, Option<kv_core::Value>)> {
    let tower = &inner.tower;
    let (mut clouds, mut failure) = (Vec::new(), Error::NoCloud);
    for (_, cloud) in inner.each_cloud().await? {
        match cloud {
            Ok(cloud) => clouds.push(cloud),
            Err(error) => failure = error,
        }
    }
    if clouds.is_empty() {
        return Err(failure);
    }
    let (source, point) =
        restore::point_at(&tower.sealer, &clouds, at, tower.settings.fetch_at_once).await?;
    let value = dump::at_point(&source, &point, OneKey::new(name.clone())).await?;
    Ok((point, value))
}

impl chain::Span {
    fn told<T: DeserializeOwned>(
        self,
        inner: &Inner,
        writer: backup::WriterId,
        name: &EntryName,
    ) -> Result<PastValue<T>> {
        let now = inner.tower.clock.now().0;
        let moment = |(sequence, time): (u64, u64)| Moment {
            sequence,
            time,
            age_ms: now.saturating_sub(time),
        };
        let value = self.value.map(|value| Fields::parse(&name.key, &value)).transpose()?;
        Ok(PastValue {
            writer: writer.to_string(),
            mine: writer == inner.tower.recorder.state().writer,
            value,
            first: moment(self.first),
            last: moment(self.last),
            restore_points: self.points,
        })
    }
}
