//! Trying a cloud out from end to end, for a person who wants to know whether it will do.

use std::{sync::Arc, time::Duration};

use backup::ObjectName;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use tokio::time::Instant;

use crate::{
    CloudBackend, CloudError, Limits, Probe, PutMode, Result, error::boxed, poll_backups, probe,
};

/// What became of trying a cloud out with [`check`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Check {
    /// What was tried, in this order; the first that fails is the last.
    pub steps: Vec<CheckStep>,
    /// What the service was seen to honour, if it came to that.
    pub probe: Option<Probe>,
    /// What it can take, as far as is known without asking it.
    pub limits: Limits,
}

/// One call, or several that belong together.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CheckStep {
    /// `put`, `get`, `list`, `delete` or `conditions`.
    pub name: &'static str,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub outcome: Result<()>,
}

/// Bytes of the object that is put: as large as a small backup.
const SIZE: usize = 64 * 1024;

/// Puts an object of random bytes below `probe/`, reads it, finds it in a listing, deletes it, and
/// tries out which conditions are honoured. Nothing stays behind, unless deleting fails.
pub async fn check(cloud: &Arc<dyn CloudBackend>) -> Check {
    let mut check = Check { steps: Vec::new(), probe: None, limits: cloud.limits() };
    let (folder, object, bytes) = match material() {
        Ok(material) => material,
        Err(error) => {
            check.add("put", Instant::now(), Err(error));
            return check;
        }
    };
    if !check.all(cloud, &folder, &object, bytes).await {
        // Whatever went wrong: it may have landed.
        let _ = cloud.delete(&object).await;
    }
    check
}

impl Check {
    /// Why the cloud will not do, if something failed.
    pub fn failure(&self) -> Option<&CloudError> {
        self.steps.iter().find_map(|step| step.outcome.as_ref().err())
    }

    /// Whether all went well.
    async fn all(
        &mut self,
        cloud: &Arc<dyn CloudBackend>,
        folder: &ObjectName,
        object: &ObjectName,
        bytes: Bytes,
    ) -> bool {
        let begin = Instant::now();
        let put = cloud.put(object, bytes.clone(), PutMode::CreateOnly).await.map(drop);
        if !self.add("put", begin, put) {
            return false;
        }
        let begin = Instant::now();
        let read = match cloud.get(object).await {
            Ok(Some((found, _))) if found == bytes => Ok(()),
            Ok(Some(_)) => Err(CloudError::Damaged { name: object.clone() }),
            Ok(None) => Err(CloudError::NotFound { name: object.clone() }),
            Err(error) => Err(error),
        };
        if !self.add("get", begin, read) {
            return false;
        }
        let begin = Instant::now();
        let listed = match poll_backups(&**cloud, folder).await {
            Ok(found) if matches!(&found[..], [one] if one.name == *object && one.size == SIZE as u64) => {
                Ok(())
            }
            Ok(_) => Err(CloudError::TooOld { source: boxed("its listing lacks what was put") }),
            Err(error) => Err(error),
        };
        if !self.add("list", begin, listed) {
            return false;
        }
        let begin = Instant::now();
        let deleted = match cloud.delete(object).await {
            Ok(()) => match cloud.get(object).await {
                Ok(None) => Ok(()),
                Ok(Some(_)) => Err(CloudError::TooOld { source: boxed("it did not delete") }),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        if !self.add("delete", begin, deleted) {
            return false;
        }
        let begin = Instant::now();
        let probed = probe(cloud).await.map(|probe| self.probe = Some(probe));
        self.add("conditions", begin, probed)
    }

    fn add(&mut self, name: &'static str, begin: Instant, outcome: Result<()>) -> bool {
        let is_good = outcome.is_ok();
        self.steps.push(CheckStep { name, took: begin.elapsed(), outcome });
        is_good
    }
}

/// A folder of its own, an object in it, and bytes that compress as badly as a backup.
fn material() -> Result<(ObjectName, ObjectName, Bytes)> {
    let mut bytes = vec![0; SIZE];
    getrandom::fill(&mut bytes)
        .map_err(|_| CloudError::unavailable("the system has no randomness"))?;
    let folder = format!("probe/{}", HEXLOWER.encode(bytes.get(..16).unwrap_or_default()));
    let name = |name: &str| {
        ObjectName::new(name).map_err(|error| CloudError::unavailable(error.to_string()))
    };
    Ok((name(&folder)?, name(&format!("{folder}/object"))?, bytes.into()))
}
