//! Asking several clouds at once: one that does not answer must not hold up the others.

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

use crate::{Error, Result};

/// What the fastest cloud needs, the others may need four times, and so much more.
const GRACE: Duration = Duration::from_secs(10);

/// How long the others may take when the fastest has needed `fastest`.
pub(crate) fn patience(fastest: Duration) -> Duration {
    GRACE + fastest.saturating_mul(4)
}

/// As [`race`], with so much time more for those that are slow.
pub(crate) async fn patient_race<T: Send + 'static>(
    more: Duration,
    works: impl IntoIterator<Item = (usize, impl Future<Output = Result<T>> + Send + 'static)>,
) -> Vec<(usize, Result<T>)> {
    let began = Instant::now();
    let mut running = JoinSet::new();
    let mut left = Vec::new();
    for (cloud, work) in works {
        left.push(cloud);
        running.spawn(async move { (cloud, work.await) });
    }
    let mut done: Vec<(usize, Result<T>)> = Vec::new();
    let mut limit = None;
    while !running.is_empty() {
        let next = match limit {
            None => running.join_next().await,
            Some(limit) => match timeout_at(limit, running.join_next()).await {
                Ok(next) => next,
                Err(_) => break,
            },
        };
        let Some(Ok((cloud, outcome))) = next else { continue };
        if outcome.is_ok() {
            limit.get_or_insert_with(|| Instant::now() + patience(began.elapsed()) + more);
        }
        left.retain(|other| *other != cloud);
        done.push((cloud, outcome));
    }
    done.extend(left.into_iter().map(|cloud| (cloud, Err(no_answer()))));
    done.sort_by_key(|(cloud, _)| *cloud);
    done
}

/// Runs one piece of work for each cloud. Once one has succeeded, those that take far longer are
/// left: they answer that the cloud does not. While none has, there is no limit but the clouds' own.
pub(crate) async fn race<T: Send + 'static>(
    works: impl IntoIterator<Item = (usize, impl Future<Output = Result<T>> + Send + 'static)>,
) -> Vec<(usize, Result<T>)> {
    patient_race(Duration::ZERO, works).await
}

/// What is said of a cloud that takes far longer than another one.
pub(crate) fn no_answer() -> Error {
    cloud::CloudError::unavailable("it does not answer, and another one does").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn in_secs(secs: u64, outcome: Result<u64>) -> Result<u64> {
        tokio::time::sleep(Duration::from_secs(secs)).await;
        outcome
    }

    async fn raced(works: Vec<(u64, Result<u64>)>) -> (Vec<Option<u64>>, u64) {
        let began = Instant::now();
        let works = works.into_iter().map(|(secs, outcome)| in_secs(secs, outcome));
        let done = race(works.enumerate()).await;
        assert!(done.iter().map(|(cloud, _)| *cloud).eq(0..done.len()));
        (done.into_iter().map(|(_, outcome)| outcome.ok()).collect(), began.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_far_slower_than_the_fastest_is_left() {
        assert_eq!(
            raced(vec![(3, Ok(1)), (24, Ok(2)), (26, Ok(3))]).await,
            (vec![Some(1), Some(2), None], 25)
        );
        // A failure is not an answer that one could go on with.
        assert_eq!(
            raced(vec![(1, Err(Error::Task)), (600, Ok(2))]).await,
            (vec![None, Some(2)], 600)
        );
        assert_eq!(raced(vec![]).await, (vec![], 0));
    }
}
