//! Files that a put has begun and that nobody will need any more.
//!
//! A put that fails, or whose future is dropped, leaves the file it has written beside its place. It
//! is removed at once if that can be done; else its path is kept, and a later put removes it. What a
//! process leaves that ends is old one day, and swept by who finds it then.

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Begins the name of a file that is being written.
pub(super) const INCOMING: &str = "incoming-";

/// Nobody writes a file for so long.
pub(super) const OLD: Duration = Duration::from_secs(24 * 3600);

/// So many old ones are removed at once: who puts something waits for that.
pub(super) const SWEPT_AT_ONCE: usize = 32;

/// The paths of files that are to be removed.
pub(super) struct Leftovers<P> {
    paths: Mutex<Vec<P>>,
    swept: AtomicBool,
}

/// The path of a file that is being written. Dropped before its end, it is left over.
pub(super) struct Incoming<'a, P> {
    path: Option<P>,
    leftovers: &'a Leftovers<P>,
}

impl<P> Leftovers<P> {
    pub(super) fn new() -> Self {
        Self { paths: Mutex::default(), swept: AtomicBool::new(false) }
    }

    /// A file is going to be written.
    pub(super) fn begin(&self, path: P) -> Incoming<'_, P> {
        Incoming { path: Some(path), leftovers: self }
    }

    /// All there are; who cannot remove one gives it back with [`Self::begin`].
    pub(super) fn take(&self) -> Vec<P> {
        std::mem::take(&mut *self.paths.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether nobody has looked for old ones yet; asked once.
    pub(super) fn is_unswept(&self) -> bool {
        !self.swept.swap(true, Ordering::Relaxed)
    }
}

impl<P> Incoming<'_, P> {
    /// The file has got its place, or has gone.
    pub(super) fn ended(mut self) {
        self.path = None;
    }
}

impl<P> Drop for Incoming<'_, P> {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            self.leftovers.paths.lock().unwrap_or_else(PoisonError::into_inner).push(path);
        }
    }
}

impl<P> fmt::Debug for Leftovers<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Leftovers")
    }
}
