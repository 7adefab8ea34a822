//! Work that runs at once and is taken in order.

use std::{collections::VecDeque, future::Future};

use tokio::task::JoinHandle;

use crate::{Error, Result};

/// Up to so many pieces of work under way; dropped, they stop at their next await.
#[derive(Debug)]
pub(crate) struct InOrder<T> {
    running: VecDeque<JoinHandle<Result<T>>>,
    at_once: usize,
}

impl<T: Send + 'static> InOrder<T> {
    pub(crate) fn new(at_once: usize) -> Self {
        Self { running: VecDeque::new(), at_once: at_once.max(1) }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.running.len() < self.at_once
    }

    pub(crate) fn push(&mut self, work: impl Future<Output = Result<T>> + Send + 'static) {
        self.running.push_back(tokio::spawn(work));
    }

    /// The oldest that was not taken; `None` if there is none.
    pub(crate) async fn next(&mut self) -> Option<Result<T>> {
        let done = self.running.front_mut()?.await;
        self.running.pop_front();
        Some(done.unwrap_or(Err(Error::Task)))
    }
}

impl<T> Drop for InOrder<T> {
    fn drop(&mut self) {
        self.running.iter().for_each(JoinHandle::abort);
    }
}
