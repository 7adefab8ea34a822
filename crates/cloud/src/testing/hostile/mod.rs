//! A decorator that lies, as a cloud in an attacker's hands would.

mod history;
mod lie;
mod malice;

use std::sync::Arc;

use async_trait::async_trait;
use backup::ObjectName;
use bytes::Bytes;

use self::{
    history::{Content, Seen},
    malice::{Decision, Judged, Late},
};
pub use self::{
    lie::{Fault, Lie, Temper},
    malice::{Call, Deed, Malice},
};
use crate::{CloudBackend, CloudError, Limits, ObjectMeta, PutMode, Result, Tag};

/// One device's handle to a cloud that does what its [`Malice`] wills. Without malice it is the
/// cloud it wraps, to the last law.
///
/// It remembers what passes through its handles, and can lie about that; what was in the cloud
/// before is served as it is.
#[derive(Debug, Clone)]
pub struct HostileCloud {
    inner: Arc<dyn CloudBackend>,
    malice: Arc<Malice>,
    device: u8,
}

/// Names per page while a lie stands.
const PAGE: usize = 100;

impl HostileCloud {
    /// The handle of a device; all handles of one cloud share `inner` and `malice`.
    pub fn new(inner: Arc<dyn CloudBackend>, malice: Arc<Malice>, device: u8) -> Self {
        Self { inner, malice, device }
    }

    /// Lands now what was answered with an error and would land later.
    pub async fn settle(&self) {
        let late = self.malice.take_late();
        self.land(late).await;
    }

    /// Deletes an object for good.
    pub async fn destroy(&self, name: &ObjectName) -> Result<()> {
        self.inner.delete(name).await?;
        self.malice.was_destroyed(name);
        Ok(())
    }

    /// Deletes everything for good.
    pub async fn destroy_all(&self) -> Result<()> {
        for name in self.malice.names() {
            self.destroy(&name).await?;
        }
        Ok(())
    }

    async fn begin(&self, act: &'static str, name: &ObjectName) -> Decision {
        let mut decision = self.malice.decide(self.device, act, name);
        self.land(std::mem::take(&mut decision.due)).await;
        if let Some(name) = &decision.destroy {
            // A cloud that cannot even delete has done no harm.
            let _ = self.destroy(name).await;
        }
        decision
    }

    async fn land(&self, late: Vec<Late>) {
        for Late { device, name, put, .. } in late {
            // Its condition may not hold any more: then it has no effect.
            match put {
                Some((bytes, how)) => {
                    if let Ok(tag) = self.inner.put(&name, bytes.clone(), how).await {
                        self.malice.landed(device, &name, Some((bytes, tag)));
                    }
                }
                None => {
                    if self.inner.delete(&name).await.is_ok() {
                        self.malice.landed(device, &name, None);
                    }
                }
            }
        }
    }

    async fn store(
        &self,
        call: &Call,
        name: &ObjectName,
        bytes: Bytes,
        how: PutMode,
    ) -> Result<Tag> {
        let how = match self.malice.judge(call, name, how) {
            Judged::By(how) => how,
            Judged::Refused => return Err(CloudError::Conflict { name: name.clone() }),
            Judged::StoredNowhere => return Ok(Deed::tag_of_nothing()),
        };
        let tag = self.inner.put(name, bytes.clone(), how).await?;
        self.malice.landed(self.device, name, Some((bytes, tag.clone())));
        Ok(tag)
    }

    async fn remove(&self, name: &ObjectName) -> Result<()> {
        self.inner.delete(name).await?;
        self.malice.landed(self.device, name, None);
        Ok(())
    }

    /// What this device is shown under a name.
    fn shown(&self, name: &ObjectName, truth: Content) -> Content {
        let state = self.malice.state();
        for lie in state.lies_to(self.device) {
            match state.history.seen(lie, self.device, name) {
                Seen::Truth => {}
                Seen::Past(content) => return content,
            }
        }
        truth
    }

    async fn serve(&self, call: &Call, name: &ObjectName) -> Result<Content> {
        let truth = self.inner.get(name).await?;
        let mut served = self.shown(name, truth.clone());
        let lies: Vec<Lie> = self.malice.state().lies_to(self.device).cloned().collect();
        for lie in lies {
            match lie {
                Lie::Exchange { name: lied, with: other }
                | Lie::Plant { name: lied, like: other }
                    if lied == *name =>
                {
                    served = self.inner.get(&other).await?;
                }
                Lie::Cut { name: lied, to } if lied == *name => {
                    served = served.map(|(bytes, tag)| (bytes.slice(..to.min(bytes.len())), tag));
                }
                Lie::FlipBit { name: lied } if lied == *name => {
                    served = served.map(|(bytes, tag)| (flip(&bytes), tag));
                }
                _ => {}
            }
        }
        if served != truth {
            self.malice.note(call, "served something else".to_owned());
        }
        Ok(served)
    }

    /// The listing as this device is shown it; whole, then cut into pages.
    async fn listing(
        &self,
        call: &Call,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>> {
        let mut truth: Vec<ObjectMeta> = Vec::new();
        loop {
            let page = self.inner.list(prefix, truth.last().map(|meta| &meta.name)).await?;
            if page.is_empty() {
                break;
            }
            truth.extend(page);
        }
        let (mut shown, lies) = self.shown_listing(prefix, &truth);
        if shown != truth {
            self.malice.note(call, "listed something else".to_owned());
        }
        shown.retain(|meta| after.is_none_or(|after| meta.name > *after));
        shown.truncate(PAGE);
        for lie in lies {
            match lie {
                Lie::ReverseListings => shown.reverse(),
                Lie::DoubleListings => {
                    shown = shown.into_iter().flat_map(|meta| [meta.clone(), meta]).collect();
                }
                Lie::EmptyListings => shown.clear(),
                _ => continue,
            }
            self.malice.note(call, format!("{lie:?}"));
        }
        Ok(shown)
    }

    fn shown_listing(
        &self,
        prefix: &ObjectName,
        truth: &[ObjectMeta],
    ) -> (Vec<ObjectMeta>, Vec<Lie>) {
        let state = self.malice.state();
        let lies: Vec<Lie> = state.lies_to(self.device).cloned().collect();
        let mut shown: std::collections::BTreeMap<ObjectName, u64> =
            truth.iter().map(|meta| (meta.name.clone(), meta.size)).collect();
        for name in state.history.names_below(prefix) {
            let past =
                lies.iter().find_map(|lie| match state.history.seen(lie, self.device, name) {
                    Seen::Truth => None,
                    Seen::Past(content) => Some(content),
                });
            match past {
                None => {}
                Some(None) => drop(shown.remove(name)),
                Some(Some((bytes, _))) => drop(shown.insert(name.clone(), bytes.len() as u64)),
            }
        }
        for lie in &lies {
            if let Lie::Plant { name, .. } = lie
                && name.is_below(prefix)
            {
                shown.insert(name.clone(), 1000);
            }
        }
        (shown.into_iter().map(|(name, size)| ObjectMeta { name, size }).collect(), lies)
    }
}

fn flip(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    bytes.into()
}

#[async_trait]
impl CloudBackend for HostileCloud {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag> {
        let Decision { call, fault, .. } = self.begin("put", name).await;
        match fault {
            None => self.store(&call, name, bytes, how).await,
            Some(Fault::AnswerLost) => {
                // Whatever became of it, nobody hears of it.
                let _ = self.store(&call, name, bytes, how).await;
                Err(Fault::AnswerLost.error(name))
            }
            Some(Fault::Late(wait)) => {
                let answer = self.store(&call, name, bytes, how).await;
                tokio::time::sleep(wait).await;
                answer
            }
            Some(Fault::LandsLater { calls }) => {
                self.malice.postpone(&call, calls, name, Some((bytes, how)));
                Err(Fault::Lost.error(name))
            }
            Some(fault) => Err(fault.error(name)),
        }
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>> {
        let Decision { call, fault, .. } = self.begin("get", name).await;
        match fault {
            None => self.serve(&call, name).await,
            Some(Fault::Late(wait)) => {
                let answer = self.serve(&call, name).await;
                tokio::time::sleep(wait).await;
                answer
            }
            Some(Fault::Truncated) => {
                let served = self.serve(&call, name).await?;
                Ok(served.map(|(bytes, tag)| (bytes.slice(..bytes.len() / 2), tag)))
            }
            Some(fault) => Err(fault.error(name)),
        }
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>> {
        let Decision { call, fault, .. } = self.begin("list", prefix).await;
        match fault {
            None | Some(Fault::Late(_)) => {
                let honest = self.malice.state().lies_to(self.device).next().is_none();
                let answer = if honest {
                    self.inner.list(prefix, after).await
                } else {
                    self.listing(&call, prefix, after).await
                };
                if let Some(Fault::Late(wait)) = fault {
                    tokio::time::sleep(wait).await;
                }
                answer
            }
            Some(fault) => Err(fault.error(prefix)),
        }
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        let Decision { call, fault, .. } = self.begin("delete", name).await;
        match fault {
            None => self.remove(name).await,
            Some(Fault::AnswerLost) => {
                // Whatever became of it, nobody hears of it.
                let _ = self.remove(name).await;
                Err(Fault::AnswerLost.error(name))
            }
            Some(Fault::Late(wait)) => {
                let answer = self.remove(name).await;
                tokio::time::sleep(wait).await;
                answer
            }
            Some(Fault::LandsLater { calls }) => {
                self.malice.postpone(&call, calls, name, None);
                Err(Fault::Lost.error(name))
            }
            Some(fault) => Err(fault.error(name)),
        }
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }
}
