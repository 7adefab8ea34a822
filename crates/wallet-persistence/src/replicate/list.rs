//! What the clouds hold for a wallet.

use std::{collections::BTreeMap, sync::Arc};

use backup::{Class, Head, ObjectRef, WriterId};
use cloud::CloudBackend;
use serde::Serialize;

use super::head::heads;
use crate::{Error, Result, tower::Tower};

/// A head in a cloud: a restore point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HeadSummary {
    /// Which installation wrote it.
    pub writer: String,
    /// Whether that is this one.
    pub mine: bool,
    /// The last change it holds, by its writer's numbers.
    pub sequence: u64,
    /// When it was put, in milliseconds since the Unix epoch, by its writer's clock.
    pub time: u64,
}

/// What the clouds hold for a wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BackupListing {
    /// Restore points, oldest first, over all clouds.
    pub heads: Vec<HeadSummary>,
    /// Objects by class, over all clouds; the same object in two clouds counts once.
    pub objects: Vec<ObjectSummary>,
}

/// The objects of one class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ObjectSummary {
    /// `head`, `segment`, `dump part` or `dump index`.
    pub class: &'static str,
    /// How many.
    pub objects: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

/// Everything the clouds hold for this wallet.
pub(crate) async fn list(tower: &Tower, clouds: &[Arc<dyn CloudBackend>]) -> Result<BackupListing> {
    if clouds.is_empty() {
        return Err(Error::NoCloud);
    }
    let (sealer, mine) = (&tower.sealer, tower.recorder.state().writer);
    let tag = sealer.tag();
    let mut found: BTreeMap<ObjectRef, u64> = BTreeMap::new();
    let mut heads_by_object = BTreeMap::new();
    for cloud in clouds {
        for meta in cloud::poll_backups(&**cloud, &backup::wallet_prefix(&tag)).await? {
            if let Ok(object) = ObjectRef::parse(&tag, &meta.name) {
                found.insert(object, meta.size);
            }
        }
        for (object, head) in heads(sealer, &**cloud, true).await? {
            heads_by_object.insert(object, HeadSummary::of(&object, &head, Some(mine)));
        }
    }
    let mut heads: Vec<_> = heads_by_object.into_values().collect();
    heads.sort_by_key(|head| (head.time, head.sequence));
    let objects = [Class::Head, Class::Segment, Class::DumpPart, Class::DumpIndex].map(|class| {
        let sizes =
            found.iter().filter(|(object, _)| object.id.class == class).map(|(_, size)| *size);
        let (objects, bytes) = sizes.fold((0, 0), |(n, sum), size| (n + 1, sum + size));
        ObjectSummary { class: class_name(class), objects, bytes }
    });
    Ok(BackupListing { heads, objects: objects.into() })
}

fn class_name(class: Class) -> &'static str {
    match class {
        Class::Head => "head",
        Class::Segment => "segment",
        Class::DumpPart => "dump part",
        Class::DumpIndex => "dump index",
    }
}

impl HeadSummary {
    /// `mine` is this installation, if there is one.
    pub(crate) fn of(object: &ObjectRef, head: &Head, mine: Option<WriterId>) -> Self {
        Self {
            writer: object.id.writer.to_string(),
            mine: Some(object.id.writer) == mine,
            sequence: head.sequence,
            time: head.time,
        }
    }
}
