//! Random bytes from the operating system.

use std::io;

/// The operating system gave no random bytes. Nothing was made or written; try again, and if it
/// stays so, do not use this machine for secrets.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoRandomness {
    #[source]
    pub(crate) source: io::Error,
}

pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    getrandom::fill(bytes).map_err(|e| NoRandomness { source: e.into() })
}
