//! Rejoining: a device that no longer counts takes the state of the others.

use backup::{
    ChainWalk, DumpIndex, DumpPart, Entry, Link, Merged, ObjectHash, Rejoin, SegmentBody,
};
use serde::Serialize;

use super::{
    history::Found,
    poll::{PollReport, newest},
};
use crate::{
    Error, Event, Result, follow::Follower, restore::Source, session::Inner, wallet::blocking,
};

/// What rejoining did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RejoinReport {
    /// The id under which this device goes on.
    pub writer: String,
    /// Whose state was taken.
    pub from: String,
    /// How many keys have another value now, or none.
    pub changes: u64,
}

/// Takes the state of the newest head that counts, keeps what nobody has merged, and goes on under a
/// new writer id. `None`: this device counts, and nothing was done.
#[tracing::instrument(skip_all)]
pub(crate) async fn rejoin(inner: &Inner) -> Result<Option<RejoinReport>> {
    let tower = &inner.tower;
    let clouds = inner.clouds().await?;
    let _no_poll = inner.polling.lock().await;
    let _no_backup = inner.posting.lock().await;
    let Some(retired) = tower.recorder.is_retired() else { return Ok(None) };
    let (found, lost) = newest(tower, clouds, Found::new(), &mut PollReport::default()).await?;
    // What is taken is the whole state of somebody: not an older one in place of the newest.
    if let Some((_, error)) = lost.into_iter().next() {
        return Err(error);
    }
    // What does not count may well have the newest head: this device goes on putting its own.
    let mut passed_over = tower.recorder.retired();
    passed_over.push(retired);
    let counts = |writer| passed_over.iter().all(|retired| retired.writer != writer);
    let mut heads: Vec<_> = found.into_values().flatten().collect();
    heads.retain(|(object, _)| counts(object.id.writer));
    let (object, head) = backup::newest_head(&heads).cloned().ok_or(backup::Error::NoBackup)?;
    let at_once = tower.settings.fetch_at_once;
    let source = Source::new(tower.sealer.clone(), clouds.iter().cloned(), at_once);

    let mut taking = Taking {
        rejoin: tower.recorder.rejoin(object, head.clone()),
        follower: tower.follower(),
        changes: 0,
    };
    let mut walk = ChainWalk::new(&head)?;
    while let Some(link) = walk.next_link()?.cloned() {
        let entries = walk.opened(bodies(&source, &link).await?)?;
        taking = taking.apply(entries).await?;
        taking.rejoin.end_layer();
    }
    let mut next = Some(head.dump);
    while let Some(object) = next {
        let index: DumpIndex = source.open(&object, ObjectHash::NONE).await?.0;
        next = backup::check_dump(head.dump.id.writer, &object, &index)?;
        for part in &index.parts {
            let part: DumpPart = source.open(part, ObjectHash::NONE).await?.0;
            taking = taking.apply(part.entries).await?;
        }
        taking.rejoin.end_layer();
    }
    let Taking { rejoin, follower, mut changes } = taking;
    let (writer, last) = blocking(move || {
        let mut merged = Merged::default();
        let outcome = rejoin.finish(&mut merged);
        follower.follow(&merged);
        Ok::<_, Error>((outcome?, merged.changes.len() as u64))
    })
    .await?;
    changes += last;
    inner.tell_shared_keys();
    let from = object.id.writer.to_string();
    inner.tell(Event::Merged { writer: from.clone(), sequence: head.sequence, changes });
    Ok(Some(RejoinReport { writer: writer.to_string(), from, changes }))
}

struct Taking {
    rejoin: Rejoin,
    follower: Follower,
    changes: u64,
}

impl Taking {
    async fn apply(mut self, entries: Vec<Entry>) -> Result<Self> {
        blocking(move || {
            let mut merged = Merged::default();
            let outcome = self.rejoin.apply(entries, &mut merged);
            self.follower.follow(&merged);
            outcome?;
            self.changes += merged.changes.len() as u64;
            Ok(self)
        })
        .await
    }
}

async fn bodies(source: &Source, link: &Link) -> Result<Vec<SegmentBody>> {
    let mut bodies = Vec::new();
    for part in &link.parts {
        bodies.push(source.open(part, link.previous).await?.0);
    }
    Ok(bodies)
}
