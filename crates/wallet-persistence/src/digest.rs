//! One hash over all live data: equal digests mean equal wallets. Specified in `digest-v1`.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use kv_core::{Error as StoreError, KvStore, Namespace};
use sha2::{Digest as _, Sha256};

use crate::{Result, registry};

/// The digest of a wallet that holds nothing: SHA-256 of no bytes.
pub const EMPTY_DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The digest of all live data of a wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Digest {
    /// Lower-case hex.
    pub hex: String,
    /// How many entries each namespace holds.
    pub entries: BTreeMap<Namespace, u64>,
}

const PAGE: usize = 1000;

/// Entries ascending by namespace, then key; of each the primary and secondary namespace, the key
/// and the value, each with its length before it (u32, little-endian).
pub(crate) fn of(kv: &dyn KvStore) -> Result<Digest> {
    let mut hash = Sha256::new();
    let mut entries = BTreeMap::new();
    for ns in kv.namespaces()?.into_iter().filter(registry::is_user_data) {
        let mut after = None;
        loop {
            let keys = kv.list(&ns, after.as_ref(), PAGE)?;
            for key in &keys {
                // Removed since it was listed: then it is not live.
                let Some(value) = kv.read(&ns, key)? else { continue };
                for part in [
                    ns.primary().as_bytes(),
                    ns.secondary().as_bytes(),
                    key.as_str().as_bytes(),
                    &value,
                ] {
                    let len = u32::try_from(part.len())
                        .map_err(|_| StoreError::corrupt("digest", "a value has 4 GiB or more"))?;
                    hash.update(len.to_le_bytes());
                    hash.update(part);
                }
                *entries.entry(ns.clone()).or_default() += 1;
            }
            after = keys.last().cloned();
            if keys.len() < PAGE {
                break;
            }
        }
    }
    Ok(Digest { hex: HEXLOWER.encode(&hash.finalize()), entries })
}
