//! A cloud that answers at some time, if only that it does not answer.

use std::{pin::pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use cloud::{
    CloudBackend, CloudError, Limits, ObjectMeta, ObjectName, Progress, PutMode, Result, Tag,
};
use tokio::time::{Instant, timeout, timeout_at};

/// No call takes longer in which not a byte moves. One that moves bytes takes as long as it takes: on
/// a slow line each of several large objects does.
const LONGEST_SILENCE: Duration = Duration::from_secs(600);

/// No listing takes longer, whatever moves: a service may have more and more pages.
const LONGEST_LISTING: Duration = Duration::from_secs(3600);

/// Ends calls that hang.
#[derive(Debug)]
pub(super) struct Patient(pub(super) Arc<dyn CloudBackend>);

impl Patient {
    async fn call<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let (progress, began) = (Progress::begin(), Instant::now());
        let moved = || progress.last().unwrap_or(began);
        let mut call = pin!(progress.watch(call));
        loop {
            let since = moved();
            match timeout_at(since + LONGEST_SILENCE, &mut call).await {
                Ok(answer) => return answer,
                Err(_) if moved() > since => {}
                Err(_) => {
                    return Err(CloudError::unavailable("not a byte has moved for ten minutes"));
                }
            }
        }
    }
}

#[async_trait]
impl CloudBackend for Patient {
    async fn put(&self, name: &ObjectName, bytes: Bytes, how: PutMode) -> Result<Tag> {
        self.call(self.0.put(name, bytes, how)).await
    }

    async fn get(&self, name: &ObjectName) -> Result<Option<(Bytes, Tag)>> {
        self.call(self.0.get(name)).await
    }

    async fn list(
        &self,
        prefix: &ObjectName,
        after: Option<&ObjectName>,
    ) -> Result<Vec<ObjectMeta>> {
        let none = |_| Err(CloudError::unavailable("no end of the list within an hour"));
        let listing = self.call(self.0.list(prefix, after));
        timeout(LONGEST_LISTING, listing).await.unwrap_or_else(none)
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        self.call(self.0.delete(name)).await
    }

    fn limits(&self) -> Limits {
        self.0.limits()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    fn patient() -> Patient {
        Patient(Arc::new(cloud::MemCloud::new()))
    }

    #[tokio::test(start_paused = true)]
    async fn what_moves_takes_as_long_as_it_takes_and_what_stands_ends() {
        let slow = async {
            for _ in 0..100 {
                sleep(Duration::from_secs(100)).await;
                Progress::current().unwrap().note();
            }
            Ok(())
        };
        assert!(patient().call(slow).await.is_ok());
        let begin = Instant::now();
        let stands = async {
            sleep(Duration::from_secs(100)).await;
            Progress::current().unwrap().note();
            std::future::pending::<Result<()>>().await
        };
        assert!(patient().call(stands).await.unwrap_err().is_transient());
        assert_eq!(begin.elapsed().as_secs(), 700);
    }
}
