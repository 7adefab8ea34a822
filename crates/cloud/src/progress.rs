//! Whether bytes move: what is slow is told from what has stopped.
//!
//! Only who moves the bytes of a call knows, and only who waits for the call wants to. So the one
//! notes, and the other watches: what is noted belongs to the call of this task.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

tokio::task_local! {
    static WATCHED: Progress;
}

/// When bytes of a call have moved last. Clones share it.
#[derive(Debug, Clone)]
pub struct Progress(Arc<Watch>);

#[derive(Debug)]
struct Watch {
    last: Mutex<Option<Instant>>,
    /// Who watches a call that this one is part of.
    around: Option<Progress>,
}

impl Progress {
    /// Nothing has moved yet. What will, is also noted for whoever watches here already.
    pub fn begin() -> Self {
        Self(Arc::new(Watch { last: Mutex::default(), around: Self::current() }))
    }

    /// Runs a call and watches it.
    pub async fn watch<F: Future>(&self, call: F) -> F::Output {
        WATCHED.scope(self.clone(), call).await
    }

    /// Who watches the call of this task, for a part of it that runs in another one.
    pub fn current() -> Option<Self> {
        WATCHED.try_with(Self::clone).ok()
    }

    /// Bytes have moved.
    pub fn note(&self) {
        let now = Instant::now();
        let mut next = Some(self);
        while let Some(Self(watch)) = next {
            *watch.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
            next = watch.around.as_ref();
        }
    }

    /// When bytes have moved last; `None`: not one has.
    pub fn last(&self) -> Option<Instant> {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes that bytes of the call of this task have moved, for whoever watches it.
#[cfg(any(feature = "sftp", test))]
pub(crate) fn note() {
    if let Some(progress) = Progress::current() {
        progress.note();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_moves_is_noted_for_all_who_watch() {
        let (outer, begin) = (Progress::begin(), Instant::now());
        note();
        assert_eq!(outer.last(), None, "nobody watches");
        let inner = outer
            .watch(async {
                let inner = Progress::begin();
                inner
                    .watch(async {
                        sleep(Duration::from_secs(3)).await;
                        let here = Progress::current().unwrap();
                        tokio::spawn(async move { here.note() }).await.unwrap();
                    })
                    .await;
                inner
            })
            .await;
        let moved = Some(begin + Duration::from_secs(3));
        assert_eq!((outer.last(), inner.last()), (moved, moved));
    }
}
