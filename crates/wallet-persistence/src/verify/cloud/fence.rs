//! The fencing head of one cloud.

use std::collections::BTreeMap;

use backup::{Head, ObjectHash, ObjectRef, WriterId};
use cloud::CloudBackend;

use super::Scrub;
use crate::{Error, Result, replicate, session::Inner};

impl Scrub {
    /// The fencing head: it is there if it ever was, opens, is no older than it was, and what it
    /// names can be restored.
    pub(super) async fn fence(
        &mut self,
        inner: &Inner,
        (cloud, name): (&dyn CloudBackend, &str),
        writers: &BTreeMap<WriterId, Vec<(ObjectRef, Head)>>,
    ) -> Result<()> {
        let found = match replicate::read_fence(cloud, &self.source.sealer).await {
            Ok(found) => found.map(|(fence, _)| fence),
            Err(Error::Backup(error)) => {
                self.damage(format!("the fencing head: {error}; back up again to put a new one"));
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        let state = inner.tower.recorder.fence_state();
        let had = inner.with_history(|history| history.fence_mark(name));
        let Some(fence) = found else {
            if had.is_some() {
                self.damage(
                    "the fencing head is missing: this cloud cannot say whose single-writer data \
                     counts; back up again to put a new one, after a look at the findings"
                        .to_owned(),
                );
            } else if state.acknowledged.is_some() {
                self.notice(
                    "there is no fencing head yet: other clouds have acknowledged single-writer \
                     data, and this one gets it with the next backups of such"
                        .to_owned(),
                );
            }
            return Ok(());
        };
        self.out.report.entries += 1;
        if had > Some(fence.progress()) {
            self.damage(format!(
                "the fencing head is of epoch {} and was further before: this cloud serves an old \
                 state",
                fence.epoch
            ));
        }
        let Some(at) = fence.at.filter(|at| !self.reached.contains(&at.head)) else {
            return Ok(());
        };
        // A holder that has put heads of its own is restored through those.
        let is_needed = !writers.contains_key(&fence.writer);
        let whole = match self.source.open::<Head>(&at.head, ObjectHash::NONE).await {
            Ok((head, _)) => {
                self.reached.insert(at.head);
                self.restore_point(&head, false).await
            }
            Err(error) => Err(error),
        };
        match whole {
            Err(Error::Backup(error)) if is_needed => self.damage(format!(
                "single-writer data cannot be restored from what the fencing head names: {error}; \
                 back up again on the device that took over"
            )),
            Err(Error::Backup(_)) | Ok(()) => {}
            Err(other) => return Err(other),
        }
        Ok(())
    }
}
