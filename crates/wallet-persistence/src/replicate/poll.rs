//! Looking what the writers of this wallet have put.

use std::{collections::BTreeMap, sync::PoisonError};

use backup::{Head, ObjectRef, WriterId};

use super::{HeadSummary, head::heads};
use crate::{Error, Result, session::Inner, tower::Tower};

/// The newest head of each writer, over all clouds; remembers those of others.
pub(crate) async fn poll(inner: &Inner, tower: &Tower) -> Result<Vec<HeadSummary>> {
    let mut newest: BTreeMap<WriterId, (ObjectRef, Head)> = BTreeMap::new();
    let clouds = inner.clouds().await?;
    if clouds.is_empty() {
        return Err(Error::NoCloud);
    }
    for cloud in clouds {
        for (object, head) in heads(&tower.sealer, &**cloud, false).await? {
            let later = newest
                .get(&object.id.writer)
                .is_none_or(|(_, known)| (head.sequence, head.time) > (known.sequence, known.time));
            if later {
                newest.insert(object.id.writer, (object, head));
            }
        }
    }
    let mine = tower.recorder.state().writer;
    let others = newest.values().map(|(object, _)| *object).filter(|o| o.id.writer != mine);
    *inner.seen.lock().unwrap_or_else(PoisonError::into_inner) = others.collect();
    let mut summaries: Vec<_> =
        newest.into_values().map(|(o, head)| HeadSummary::of(&o, &head, Some(mine))).collect();
    summaries.sort_by_key(|head| head.time);
    Ok(summaries)
}
