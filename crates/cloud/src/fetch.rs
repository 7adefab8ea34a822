//! Getting objects that must be there: one, or many in order.

use std::{collections::VecDeque, fmt, panic, sync::Arc, vec};

use backup::ObjectName;
use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::{CloudBackend, CloudError, Result};

/// The bytes of an object; [`CloudError::NotFound`] if there is none.
#[tracing::instrument(level = "debug", skip_all, err(level = "debug"), fields(name = %name))]
pub async fn fetch(cloud: &dyn CloudBackend, name: &ObjectName) -> Result<Bytes> {
    match cloud.get(name).await? {
        Some((bytes, _)) => Ok(bytes),
        None => Err(CloudError::NotFound { name: name.clone() }),
    }
}

/// Fetches objects, up to `at_once` (at least one) at a time, and hands them out in the order of
/// `names`. At most so many objects are in memory.
pub fn fetch_many(
    cloud: Arc<dyn CloudBackend>,
    names: Vec<ObjectName>,
    at_once: usize,
) -> FetchMany {
    FetchMany { cloud, names: names.into_iter(), at_once: at_once.max(1), running: VecDeque::new() }
}

/// Objects on their way, see [`fetch_many`]. Dropping it stops the fetching.
pub struct FetchMany {
    cloud: Arc<dyn CloudBackend>,
    names: vec::IntoIter<ObjectName>,
    at_once: usize,
    running: VecDeque<Running>,
}

struct Running {
    name: ObjectName,
    task: JoinHandle<Result<Bytes>>,
}

impl FetchMany {
    /// The next object, or `None` at the end. After an error the next call goes on with the next
    /// object. A call whose future is dropped loses nothing.
    pub async fn next(&mut self) -> Option<(ObjectName, Result<Bytes>)> {
        while self.running.len() < self.at_once
            && let Some(name) = self.names.next()
        {
            let (cloud, wanted) = (self.cloud.clone(), name.clone());
            let task = tokio::spawn(async move { fetch(&*cloud, &wanted).await });
            self.running.push_back(Running { name, task });
        }
        let first = self.running.front_mut()?;
        let done = (&mut first.task).await;
        let name = first.name.clone();
        self.running.pop_front();
        let result = match done {
            Ok(result) => result,
            Err(stopped) => match stopped.try_into_panic() {
                Ok(panic) => panic::resume_unwind(panic),
                Err(_) => Err(CloudError::unavailable("the runtime is shutting down")),
            },
        };
        Some((name, result))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for FetchMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (running, waiting) = (self.running.len(), self.names.len());
        write!(f, "FetchMany({running} running, {waiting} waiting)")
    }
}
