//! Every change to the database passes here, so that tests can fail it, before or after, or end the world.

use kv_core::Result;

/// Lets work through. With the feature `testing` it may fail it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate {
    #[cfg(feature = "testing")]
    pub(crate) faults: Option<crate::testing::Pass>,
}

impl Gate {
    #[cfg(feature = "testing")]
    pub(crate) fn pass<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        match &self.faults {
            Some(pass) => pass.through(work),
            None => work(),
        }
    }

    #[cfg(not(feature = "testing"))]
    #[expect(clippy::unused_self, reason = "the other one needs it")]
    pub(crate) fn pass<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        work()
    }
}
