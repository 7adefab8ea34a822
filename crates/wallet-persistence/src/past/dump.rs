//! One key at one restore point: newest layer first, until one names it.

use backup::{ChainWalk, DumpIndex, DumpPart, KeyState, ObjectHash, ObjectRef, OneKey, WriterId};
use kv_core::Value;

use crate::{
    Result,
    in_order::InOrder,
    restore::{Point, Segments, Source},
};

/// How many parts of a dump to fetch at once: mostly the first ones are enough.
const AT_ONCE: usize = 2;

/// What the key held at a restore point.
pub(super) async fn at_point(
    source: &Source,
    point: &Point,
    mut key: OneKey,
) -> Result<Option<Value>> {
    let range = (point.dump.id.from, point.sequence);
    let mut segments = Segments::new(source, point.writer, range).await?;
    let mut walk = ChainWalk::back_to(point.writer, point.newest.clone(), range.0);
    while let Some(link) = walk.next_link()?.cloned() {
        let (bodies, _) = segments.bodies(&link).await?;
        let entries = walk.opened(bodies)?;
        key.look(entries.into())?;
        if let Some(state) = key.end_layer()? {
            return Ok(value(state));
        }
    }
    drop(segments);
    Ok(in_dump(source, point.writer, point.dump, key).await?.1)
}

/// What the key holds in a dump and what that builds on.
pub(super) async fn in_dump(
    source: &Source,
    writer: WriterId,
    object: ObjectRef,
    mut key: OneKey,
) -> Result<(OneKey, Option<Value>)> {
    let index: DumpIndex = source.open(&object, ObjectHash::NONE).await?.0;
    let base = backup::check_dump(writer, &object, &index)?;
    let mut said;
    (key, said) = in_layer(source, &index, key).await?;
    if let (None, Some(base)) = (&said, base) {
        let index: DumpIndex = source.open(&base, ObjectHash::NONE).await?.0;
        if backup::check_dump(writer, &base, &index)?.is_some() {
            return Err(backup::Error::BrokenChain { what: "a delta dump on a delta dump" }.into());
        }
        (key, said) = in_layer(source, &index, key).await?;
    }
    Ok((key, said.and_then(value)))
}

/// What the parts of one dump say of the key. A full dump begins with what is small, and its index
/// counts what each namespace has: so it is read only as far as there is something of that.
async fn in_layer(
    source: &Source,
    index: &DumpIndex,
    mut key: OneKey,
) -> Result<(OneKey, Option<KeyState>)> {
    let is_full = index.base.is_none();
    let name = key.name();
    let mut stores = index.stores.iter();
    let store = stores.find(|s| s.primary == name.primary && s.secondary == name.secondary);
    let live = store.map_or(0, |store| store.entries);
    let mut left = index.parts.iter().copied();
    let mut running = InOrder::new(AT_ONCE.min(source.at_once));
    // What a full dump does not hold is not there; whether it was removed makes no difference.
    let is_over = |key: &OneKey| is_full && key.neighbours() >= live;
    while !is_over(&key) && !is_decided(&key, is_full) {
        while running.has_room()
            && let Some(part) = left.next()
        {
            let source = source.clone();
            running.push(async move {
                let sealed = source.get(&part).await?;
                let sealer = source.sealer.clone();
                source.work(move || Ok(DumpPart::open_run(&sealer, &part, &sealed)?.0)).await
            });
        }
        let Some(run) = running.next().await else { break };
        let run = run?;
        key = source
            .work(move || {
                key.look(run)?;
                Ok(key)
            })
            .await?;
    }
    let said = key.end_layer()?;
    Ok((key, said))
}

/// A delta names each key once; in a full dump a value may follow a removal.
fn is_decided(key: &OneKey, is_full: bool) -> bool {
    match key.found() {
        Some(KeyState::Value(_)) => true,
        Some(KeyState::Removed) => !is_full,
        None => false,
    }
}

fn value(state: KeyState) -> Option<Value> {
    match state {
        KeyState::Value(value) => Some(value),
        KeyState::Removed => None,
    }
}
