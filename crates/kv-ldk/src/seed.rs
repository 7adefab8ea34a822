//! The seed of a node that was there before its wallet.

use kv_core::{Error, Result};
use lightning::io;
use zeroize::Zeroizing;

use crate::{
    StrongroomStore,
    store::{STORE, place},
    trouble::io_error,
};

/// The key under which a node that was moved into a wallet keeps its seed, without a namespace: what
/// programs on LDK call their file, and `strongroom migrate` the entry it becomes.
pub const SEED_KEY: &str = "keys_seed";

impl StrongroomStore {
    /// The seed for the node's `KeysManager`: the one it was moved here with, else `derived`, which
    /// the wallet's words bring back, such as `Session::app_key("ldk-seed")`.
    ///
    /// A seed that was moved here is in the backup like everything else: it comes back with the words
    /// and a cloud, and not with the words alone.
    ///
    /// # Errors
    /// The store's, and `InvalidData` for a seed that has not 32 bytes: derive the keys from what
    /// lies under [`SEED_KEY`] as the program did that made it.
    pub fn seed_or(&self, derived: &[u8; 32]) -> io::Result<Zeroizing<[u8; 32]>> {
        let seed = match self.get(place("", "", SEED_KEY)) {
            Ok(moved) => as_seed(&Zeroizing::new(moved)),
            Err(Error::NotFound { .. }) => Ok(Zeroizing::new(*derived)),
            Err(error) => Err(error),
        };
        seed.map_err(io_error)
    }
}

fn as_seed(moved: &[u8]) -> Result<Zeroizing<[u8; 32]>> {
    let wrong = |_| Error::corrupt(STORE, "the seed that was moved here has not 32 bytes");
    <[u8; 32]>::try_from(moved).map(Zeroizing::new).map_err(wrong)
}
