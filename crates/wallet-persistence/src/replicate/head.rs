//! Heads: putting this installation's, and opening those a cloud holds.

use std::collections::BTreeMap;

use backup::{Class, Head, ObjectHash, ObjectId, ObjectRef, WriterId};
use cloud::CloudBackend;

use super::{fetch, history::SESSION_EXTENSION, post::Post, put::KeptHead};
use crate::{Result, session::Inner};

impl Post<'_> {
    /// Puts the head of what went up; it, and its time.
    pub(super) async fn head(
        &mut self,
        inner: &Inner,
        seen: Vec<ObjectRef>,
    ) -> Result<(ObjectRef, u64)> {
        let no_dump = backup::Error::BrokenChain { what: "a head needs a dump" };
        let dump = self.state.dump.ok_or(no_dump)?;
        let newest = self.state.newest.clone();
        let kept = self.tower.kept.head().filter(|k| k.object.id.writer == self.state.writer);
        if let Some(kept) = kept {
            let says_all = (kept.head.dump, &kept.head.newest) == (dump, &newest);
            self.put_head(&kept, seen.clone()).await?;
            if says_all {
                return Ok((kept.object, kept.head.time));
            }
        }
        let sequence = newest.as_ref().map_or(0, |link| link.range().1).max(dump.id.from);
        // Never behind a head this device has seen, whatever its clock says.
        let time = self.tower.recorder.head_time();
        let previous = self.state.head;
        let mut extensions = self.tower.recorder.head_extensions(sequence);
        extensions.push((SESSION_EXTENSION, inner.fence_session().to_vec()));
        let head = Head {
            time,
            sequence,
            dump,
            newest,
            previous,
            seen: self.tower.recorder.seen_at(sequence),
            extensions,
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
        let kept = KeptHead { object, head, sealed };
        self.tower.kept.keep_head(kept.clone());
        self.put_head(&kept, seen).await?;
        Ok((object, time))
    }

    async fn put_head(&mut self, head: &KeptHead, seen: Vec<ObjectRef>) -> Result<()> {
        self.put_all(vec![head.sealed.clone()]).await?;
        self.state.head = Some(head.object);
        self.state.last_backup = Some(head.head.time);
        self.state.seen = seen;
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
