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

/// So much is handed to the connection at once.
const CHUNK: usize = 64 * 1024;

/// Bytes on their way up.
pub(super) struct Counted {
    rest: Bytes,
    sent: Arc<AtomicU64>,
}

impl Counted {
    /// `sent` counts the bytes that the connection has taken.
    pub(super) fn new(bytes: Bytes, sent: Arc<AtomicU64>) -> Self {
        Self { rest: bytes, sent }
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
        self.sent.fetch_add(length as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
