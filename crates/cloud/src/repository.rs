//! What all clouds share: putting backups and polling for them.

use backup::{ObjectName, Sealed};

use crate::{CloudBackend, CloudError, ObjectMeta, PutMode, Result, error::boxed};

/// How a backup came to be in the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// It was stored now.
    Stored,
    /// The same bytes were there already: an earlier put landed and its answer was lost.
    AlreadyThere,
}

/// Puts a sealed object where its name says, never over another one. Putting it again is safe.
///
/// If other bytes are there the answer is [`CloudError::Damaged`]: report it, and rebuild the
/// object under a new name.
#[tracing::instrument(level = "debug", skip_all, err(level = "debug"),
    fields(name = %sealed.name(), bytes = sealed.bytes().len()))]
pub async fn put_backup(cloud: &dyn CloudBackend, sealed: &Sealed) -> Result<PutOutcome> {
    let (name, bytes) = (sealed.name(), sealed.bytes());
    if bytes.len() as u64 > cloud.limits().largest_object {
        return Err(CloudError::Refused {
            name: name.clone(),
            source: boxed("larger than this cloud allows"),
        });
    }
    match cloud.put(name, bytes.clone(), PutMode::CreateOnly).await {
        Ok(_) => Ok(PutOutcome::Stored),
        Err(CloudError::Conflict { .. }) => match cloud.get(name).await? {
            Some((found, _)) if found == bytes => Ok(PutOutcome::AlreadyThere),
            Some(_) => Err(CloudError::Damaged { name: name.clone() }),
            // Deleted meanwhile, or a service that answers a conflict when it was only busy.
            None => Err(CloudError::unavailable("the object comes and goes")),
        },
        Err(e) => Err(e),
    }
}

/// Lists everything below a prefix, ascending, over all pages. One such call is the whole poll when
/// the prefix is that of a wallet's heads; with few names it is one call of the cloud.
#[tracing::instrument(level = "debug", skip_all, err(level = "debug"), fields(prefix = %prefix))]
pub async fn poll_backups(
    cloud: &dyn CloudBackend,
    prefix: &ObjectName,
) -> Result<Vec<ObjectMeta>> {
    let full = cloud.limits().full_page;
    let mut all: Vec<ObjectMeta> = Vec::new();
    loop {
        let page = cloud.list(prefix, all.last().map(|meta| &meta.name)).await?;
        let is_last = page.is_empty() || full.is_some_and(|full| page.len() < full);
        for meta in page {
            // Checked for each entry: a service that ignores `after` would never end, and one that
            // skips silently would look like one without backups.
            let ascends = all.last().is_none_or(|last| last.name < meta.name);
            if !ascends || !meta.name.is_below(prefix) {
                return Err(CloudError::TooOld { source: boxed("its listing is not in order") });
            }
            all.push(meta);
        }
        if is_last {
            return Ok(all);
        }
    }
}
