//! A body that tells how far it has got, so that a slow line is told from a dead one.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::Progress;

/// So much is handed to the connection at once.
const CHUNK: usize = 64 * 1024;

/// How much of a request and its answer has moved.
pub(super) struct Moved {
    bytes: AtomicU64,
    /// Who watches. The body goes up in a task of the connection.
    watcher: Option<Progress>,
}

impl Moved {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { bytes: AtomicU64::new(0), watcher: Progress::current() })
    }

    pub(super) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some(watcher) = &self.watcher {
            watcher.note();
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Bytes on their way up.
pub(super) struct Counted {
    rest: Bytes,
    moved: Arc<Moved>,
}

impl Counted {
    /// `moved` counts the bytes that the connection has taken.
    pub(super) fn new(bytes: Bytes, moved: Arc<Moved>) -> Self {
        Self { rest: bytes, moved }
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(CHUNK);
        let chunk = self.rest.split_to(length);
        self.moved.add(length);
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
