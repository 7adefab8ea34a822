//! The probe tells services that compare and swap from those that only say so.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use cloud::{
    CloudBackend, CloudError, DirCloud, Limits, MemCloud, ObjectMeta, ObjectName, Probe, PutMode,
    Tag, probe,
    testing::{Failure, FlakyCloud, Weather},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// As Garage, s3rver and rclone: 200, and the condition is ignored.
    IgnoresAll,
    /// Creates once, and ignores the tag.
    IgnoresTags,
    /// As s3s-fs and wsgidav: looks, and writes later.
    ChecksTooEarly,
    /// As wsgidav: the tag of bytes of one length stays.
    TagsByLength,
    /// Knows no conditions and says so.
    Refuses,
    /// Puts over what was deleted.
    Resurrects,
    /// Looks and writes in two steps, which those of one process never see of each other.
    Queues(Probe),
}

/// A service with bad manners over one that has none.
#[derive(Debug)]
struct Rude {
    inner: MemCloud,
    manner: Manner,
    looked: Mutex<()>,
}

#[async_trait]
impl CloudBackend for Rude {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag, CloudError> {
        let conflict = || CloudError::Conflict { name: name.clone() };
        let replaces = matches!(how, PutMode::Replace(_));
        match self.manner {
            Manner::IgnoresAll => self.inner.put(name, bytes, PutMode::Overwrite).await,
            Manner::IgnoresTags if replaces => {
                self.inner.put(name, bytes, PutMode::Overwrite).await
            }
            Manner::ChecksTooEarly => {
                let there = self.inner.get(name).await?;
                let allowed = match &how {
                    PutMode::Overwrite => true,
                    PutMode::CreateOnly => there.is_none(),
                    PutMode::Replace(tag) => there.is_some_and(|(_, found)| found == *tag),
                };
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                let _turn = self.looked.lock().unwrap();
                if !allowed {
                    return Err(conflict());
                }
                drop(_turn);
                self.inner.put(name, bytes, PutMode::Overwrite).await
            }
            Manner::TagsByLength => {
                let there = self.get(name).await?;
                let allowed = match &how {
                    PutMode::Overwrite => true,
                    PutMode::CreateOnly => there.is_none(),
                    PutMode::Replace(tag) => there.is_some_and(|(_, found)| found == *tag),
                };
                if !allowed {
                    return Err(conflict());
                }
                let length = bytes.len();
                self.inner.put(name, bytes, PutMode::Overwrite).await?;
                Ok(Tag::new(&length.to_string()))
            }
            Manner::Refuses if replaces => {
                let source: Box<dyn std::error::Error + Send + Sync> = "no conditions".into();
                Err(CloudError::TooOld { source: Arc::from(source) })
            }
            Manner::Resurrects if replaces && self.inner.get(name).await?.is_none() => {
                self.inner.put(name, bytes, PutMode::Overwrite).await
            }
            _ => self.inner.put(name, bytes, how).await,
        }
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>, CloudError> {
        let found = self.inner.get(name).await?;
        Ok(match self.manner {
            Manner::TagsByLength => {
                found.map(|(bytes, _)| (bytes.clone(), Tag::new(&bytes.len().to_string())))
            }
            _ => found,
        })
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>, CloudError> {
        self.inner.list(prefix, after).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), CloudError> {
        self.inner.delete(name).await
    }

    fn limits(&self) -> Limits {
        let can_honour = match self.manner {
            Manner::Queues(can_honour) => can_honour,
            _ => Probe::ALL,
        };
        Limits { can_honour, ..self.inner.limits() }
    }
}

async fn leftovers(cloud: &dyn CloudBackend) -> usize {
    let prefix = ObjectName::new("probe").unwrap();
    cloud::poll_backups(cloud, &prefix).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_clouds_compare_and_swap() {
    let dir = tempfile::tempdir().unwrap();
    let clouds: [Arc<dyn CloudBackend>; 2] =
        [Arc::new(MemCloud::new()), Arc::new(DirCloud::open(dir.path()).unwrap())];
    for cloud in clouds {
        let found = probe(&cloud).await.unwrap();
        assert!(found.is_compare_and_swap(), "{cloud:?}: {found:?}");
        assert_eq!(leftovers(&*cloud).await, 0, "{cloud:?}");
    }
}

/// On one thread, so that the racers that look too early surely all look before one writes.
#[tokio::test]
async fn bad_manners_are_seen() {
    use Manner::{ChecksTooEarly, IgnoresAll, IgnoresTags, Refuses, Resurrects, TagsByLength};
    for (manner, creates_once) in [
        (IgnoresAll, false),
        (IgnoresTags, true),
        (ChecksTooEarly, false),
        (TagsByLength, true),
        (Refuses, true),
        (Resurrects, true),
    ] {
        let inner = MemCloud::new();
        let rude = Rude { inner: inner.clone(), manner, looked: Mutex::default() };
        let cloud: Arc<dyn CloudBackend> = Arc::new(rude);
        let found = probe(&cloud).await.unwrap();
        assert!(!found.is_compare_and_swap(), "{manner:?}");
        assert_eq!(found.creates_once, creates_once, "{manner:?}");
        assert_eq!(leftovers(&inner).await, 0, "{manner:?}");
    }
}

/// Who lets those of one process queue up passes every trial, and is believed no more than it says.
#[tokio::test]
async fn what_no_trial_can_show_the_limits_say() {
    for can_honour in [Probe::NONE, Probe::CREATES_ONCE, Probe::ALL] {
        let (inner, looked) = (MemCloud::new(), Mutex::default());
        let rude = Rude { inner, manner: Manner::Queues(can_honour), looked };
        let cloud: Arc<dyn CloudBackend> = Arc::new(rude);
        assert_eq!(probe(&cloud).await.unwrap(), can_honour);
    }
}

#[tokio::test]
async fn a_cloud_that_does_not_answer_is_not_judged() {
    let weather = Weather::fair();
    let inner: Arc<dyn CloudBackend> = Arc::new(MemCloud::new());
    let cloud: Arc<dyn CloudBackend> = Arc::new(FlakyCloud::new(inner, weather.clone()));
    for nth in 1..=12 {
        weather.fail_nth(nth, Failure::Lost);
        let judged = probe(&cloud).await;
        assert!(matches!(judged, Err(CloudError::Unavailable { .. })), "call {nth}: {judged:?}");
    }
}
