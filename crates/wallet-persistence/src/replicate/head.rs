//! Heads: putting this installation's, and opening those a cloud holds.

use std::collections::BTreeMap;

use backup::{Class, Head, ObjectHash, ObjectId, ObjectRef, WriterId};
use cloud::CloudBackend;

use super::{fetch, post::Post};
use crate::Result;

impl Post<'_> {
    pub(super) async fn head(&mut self, seen: Vec<ObjectRef>) -> Result<()> {
        let Some(dump) = self.state.dump else { return Ok(()) };
        let newest = self.state.newest.clone();
        let sequence = newest.as_ref().map_or(0, |link| link.range().1).max(dump.id.from);
        // Never behind a head this device has seen, whatever its clock says.
        let time = self.tower.recorder.head_time();
        let previous = self.state.head;
        let head = Head {
            time,
            sequence,
            dump,
            newest,
            previous,
            seen: self.tower.recorder.seen_at(sequence),
            extensions: self.tower.recorder.head_extensions(sequence),
        };
        let id = ObjectId {
            class: Class::Head,
            writer: self.state.writer,
            epoch: 0,
            from: sequence,
            to: sequence,
            part: 0,
        };
        let (object, sealed) = self.tower.sealer.seal(id, ObjectHash::NONE, &head)?;
        self.put(&sealed).await?;
        self.state.head = Some(object);
        self.state.last_backup = Some(time);
        self.state.seen = seen;
        self.tower.recorder.acknowledge(self.state.clone())?;
        self.forget_kept();
        Ok(())
    }
}

/// The heads in a cloud, opened; of each writer only the newest unless `all`. Names that are none of
/// ours are skipped, damaged heads are an error.
pub(crate) async fn heads(
    sealer: &backup::ObjectSealer,
    cloud: &dyn CloudBackend,
    all: bool,
) -> Result<Vec<(ObjectRef, Head)>> {
    let tag = sealer.tag();
    let listed = cloud::poll_backups(cloud, &backup::class_prefix(&tag, Class::Head)).await?;
    let objects: Vec<ObjectRef> =
        listed.iter().filter_map(|meta| ObjectRef::parse(&tag, &meta.name).ok()).collect();
    let mut newest: BTreeMap<WriterId, u64> = BTreeMap::new();
    for object in &objects {
        let sequence = newest.entry(object.id.writer).or_default();
        *sequence = (*sequence).max(object.id.to);
    }
    let mut heads = Vec::new();
    for object in objects {
        if all || newest.get(&object.id.writer) == Some(&object.id.to) {
            let bytes = fetch(cloud, &tag, &object).await?;
            heads.push((object, sealer.open(&object, ObjectHash::NONE, &bytes)?));
        }
    }
    Ok(heads)
}
