//! A cloud that is a map, and the plainest driver: back up, and restore from the key alone.

use std::{collections::BTreeMap, sync::Arc};

use backup::{
    Body, ChainWalk, Class, DumpIndex, DumpPart, DumpWriter, Entry, EntryDigest, Error, Head,
    Merged, ObjectHash, ObjectId, ObjectName, ObjectRef, ObjectSealer, Recorder, Restored,
    Restorer, Result, Sealed, SegmentBody, WriterId, check_dump, class_prefix, newest_head,
};
use bytes::Bytes;
use kv_core::KvStore;

use super::rules;

#[derive(Debug, Clone, Default)]
pub struct Cloud(pub BTreeMap<ObjectName, Bytes>);

impl Cloud {
    pub fn put(&mut self, object: &Sealed) {
        self.0.insert(object.name().clone(), object.bytes().clone());
    }

    pub fn of_class(&self, sealer: &ObjectSealer, class: Class) -> Vec<ObjectRef> {
        let tag = sealer.tag();
        let prefix = class_prefix(&tag, class);
        let names = self.0.keys().filter(|name| name.is_below(&prefix));
        names.filter_map(|name| ObjectRef::parse(&tag, name).ok()).collect()
    }

    pub fn open<T: Body>(
        &self,
        sealer: &ObjectSealer,
        object: &ObjectRef,
        previous: ObjectHash,
    ) -> Result<T> {
        let name = object.name(&sealer.tag());
        let bytes = self.0.get(&name).ok_or(Error::Missing { name })?;
        sealer.open(object, previous, bytes)
    }

    pub fn heads(&self, sealer: &ObjectSealer) -> Result<Vec<(ObjectRef, Head)>> {
        let heads = self.of_class(sealer, Class::Head).into_iter();
        heads.map(|object| Ok((object, self.open(sealer, &object, ObjectHash::NONE)?))).collect()
    }
}

/// Puts everything up: a dump first if there is none or one is asked for, then a segment, then the head.
pub fn back_up(recorder: &Arc<Recorder>, cloud: &mut Cloud, full: bool) {
    back_up_while(recorder, cloud, full, || ());
}

/// The same; `meanwhile` runs between two pages of a dump.
pub fn back_up_while(
    recorder: &Arc<Recorder>,
    cloud: &mut Cloud,
    full: bool,
    mut meanwhile: impl FnMut(),
) {
    let sealer = super::sealer();
    let mut state = recorder.state();
    if full || state.dump.is_none() {
        let mut reader = recorder.dump().unwrap();
        let from = reader.from();
        let mut writer = DumpWriter::new(&sealer, state.writer, from, 1).unwrap();
        while let Some(page) = reader.next_page().unwrap() {
            writer.add(page).unwrap().iter().for_each(|part| cloud.put(part));
            meanwhile();
        }
        let to = reader.end().unwrap();
        let (objects, index) = writer.finish(to, state.newest.clone(), 2).unwrap();
        objects.iter().for_each(|object| cloud.put(object));
        state.dump = Some(index);
        if state.newest.is_none() {
            state.backed_up = from;
        }
    }
    if let Some(cut) = recorder.cut(state.backed_up).unwrap() {
        state.backed_up = cut.to;
        let segment = sealer.seal_segment(state.writer, cut, state.newest.as_ref()).unwrap();
        segment.objects.iter().for_each(|object| cloud.put(object));
        state.newest = Some(segment.link);
    }
    let dump = state.dump.unwrap();
    let newest = state.newest.as_ref().map_or(0, |link| link.range().1);
    let sequence = newest.max(dump.id.from);
    let head = Head {
        time: recorder.head_time(),
        sequence,
        dump,
        newest: state.newest.clone(),
        previous: state.head,
        seen: recorder.seen_at(sequence),
        extensions: recorder.head_extensions(sequence),
    };
    let class = Class::Head;
    let id =
        ObjectId { class, writer: state.writer, epoch: 0, from: sequence, to: sequence, part: 0 };
    let (head, sealed) = sealer.seal(id, ObjectHash::NONE, &head).unwrap();
    cloud.put(&sealed);
    state.head = Some(head);
    recorder.acknowledge(state).unwrap();
}

/// Restores the newest head into an empty store: newest layer first.
pub fn restore(cloud: &Cloud, sealer: &ObjectSealer, store: Arc<dyn KvStore>) -> Result<Restored> {
    let heads = cloud.heads(sealer)?;
    let (object, head) = backup::newest_head(&heads).ok_or(Error::NoBackup)?;
    let mut restorer = Restorer::new(store, rules())?;
    let mut walk = ChainWalk::new(head)?;
    while let Some(link) = walk.next_link()?.cloned() {
        let parts = link.parts.iter().map(|part| cloud.open(sealer, part, link.previous));
        let bodies: Vec<SegmentBody> = parts.collect::<Result<_>>()?;
        restorer.apply(walk.opened(bodies)?)?;
        restorer.end_layer()?;
    }
    let writer = head.dump.id.writer;
    let mut dump = head.dump;
    loop {
        let index: DumpIndex = cloud.open(sealer, &dump, ObjectHash::NONE)?;
        let base = check_dump(writer, &dump, &index)?;
        if base.is_none() {
            restorer.begin_base(&dump)?;
        }
        let mut digest = EntryDigest::new(sealer)?;
        for part in &index.parts {
            let part: DumpPart = cloud.open(sealer, part, ObjectHash::NONE)?;
            part.entries.iter().for_each(|entry| digest.add(entry));
            restorer.apply(part.entries)?;
        }
        index.check(digest)?;
        restorer.end_layer()?;
        let Some(base) = base else { break };
        dump = base;
    }
    heads.iter().for_each(|(_, head)| restorer.saw_head(head));
    restorer.based_on_head(*object, head);
    restorer.finish(heads.iter().map(|(object, _)| *object).collect())
}

/// The newest head of each writer.
pub fn newest_heads(cloud: &Cloud, sealer: &ObjectSealer) -> Result<Vec<(ObjectRef, Head)>> {
    let mut newest = BTreeMap::new();
    for (object, head) in cloud.heads(sealer)? {
        let key = |object: &ObjectRef, head: &Head| (head.sequence, head.time, object.hash);
        let kept = newest.entry(object.id.writer).or_insert_with(|| (object, head.clone()));
        if key(&object, &head) > key(&kept.0, &kept.1) {
            *kept = (object, head);
        }
    }
    Ok(newest.into_values().collect())
}

/// Merges what the others have put.
pub fn poll(recorder: &Arc<Recorder>, cloud: &Cloud) -> Result<Merged> {
    poll_until(recorder, cloud, usize::MAX)
}

/// The same, interrupted after so many steps.
pub fn poll_until(recorder: &Arc<Recorder>, cloud: &Cloud, mut steps: usize) -> Result<Merged> {
    let sealer = super::sealer();
    let mut merged = Merged::default();
    for (object, head) in newest_heads(cloud, &sealer)? {
        let is_done = recorder.merged_to(object.id.writer) == Some(object);
        if object.id.writer == recorder.state().writer || is_done {
            continue;
        }
        let mut merger = recorder.merger(object, head.clone())?;
        for entries in missing(cloud, &sealer, &head, merger.have())? {
            if steps == 0 {
                return Ok(merged);
            }
            steps -= 1;
            merger.apply(entries, &mut merged)?;
        }
        if steps == 0 {
            return Ok(merged);
        }
        merger.finish(&mut merged)?;
    }
    Ok(merged)
}

/// What a head holds behind `have`, oldest first: segments, or a dump and segments.
fn missing(
    cloud: &Cloud,
    sealer: &ObjectSealer,
    head: &Head,
    have: u64,
) -> Result<Vec<Vec<Entry>>> {
    let mut walk = ChainWalk::new(head)?;
    let mut steps = Vec::new();
    loop {
        let Some(link) = walk.next_link()?.cloned() else {
            if head.dump.id.from > have {
                let mut dump = Some(head.dump);
                while let Some(object) = dump {
                    let index: DumpIndex = cloud.open(sealer, &object, ObjectHash::NONE)?;
                    for part in index.parts.iter().rev() {
                        let part: DumpPart = cloud.open(sealer, part, ObjectHash::NONE)?;
                        steps.push(part.entries);
                    }
                    dump = index.base;
                }
            }
            break;
        };
        if link.range().1 <= have {
            break;
        }
        let parts = link.parts.iter().map(|part| cloud.open(sealer, part, link.previous));
        steps.push(walk.opened(parts.collect::<Result<_>>()?)?);
    }
    steps.reverse();
    Ok(steps)
}

/// Takes the state of the newest head that counts, as a writer that does not.
pub fn rejoin(recorder: &Arc<Recorder>, cloud: &Cloud) -> Result<WriterId> {
    let sealer = super::sealer();
    let us = recorder.state().writer;
    let heads = newest_heads(cloud, &sealer)?;
    let (object, head) = newest_head(&heads).filter(|(o, _)| o.id.writer != us).unwrap().clone();
    let mut rejoin = recorder.rejoin(object, head.clone());
    for entries in missing(cloud, &sealer, &head, 0)?.into_iter().rev() {
        rejoin.apply(entries, &mut Merged::default())?;
        rejoin.end_layer();
    }
    rejoin.finish(&mut Merged::default())
}
