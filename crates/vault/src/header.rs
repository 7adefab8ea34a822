//! The header: the one unsealed record of a sealed store, kept twice.
//!
//! The bytes are specified in `docs/src/formats/sealed-store-v1.md`.

use kv_core::{Batch, Error, Finding, Key, KvStore, Namespace, Severity};

use crate::{
    Keys, RootSecret, Secret, UnlockError,
    codec::{Malformed, Reader},
    hidden::OWN,
    sealed_store::STORE,
    wrap::{self, WrappedKey},
};

const MAGIC: [u8; 4] = *b"SRhd";
/// The newest sealed format that is read, and the one that is written.
pub(crate) const VERSION: u8 = 1;
const SUITE: u8 = 1;

/// What the header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// Grows with every replacement, so that of two valid copies the newer one counts.
    pub(crate) generation: u64,
    pub(crate) wallet_tag: [u8; 16],
    /// What kind of wrapped key there is.
    wrap: u8,
    /// Kept as it is, so that a kind of a later version survives for those who have the root secret.
    wrapped: Vec<u8>,
}

/// What one copy of the header turned out to be.
#[derive(Debug)]
enum Copy {
    Good(Header, Vec<u8>),
    TooNew(u8),
    Damaged,
    Missing,
}

impl Header {
    /// The first header of a wallet, without a passphrase.
    pub(crate) fn new(wallet_tag: [u8; 16]) -> Self {
        Self { generation: 1, wallet_tag, wrap: wrap::NONE, wrapped: Vec::new() }
    }

    /// What replaces this header when the passphrase changes or goes.
    pub(crate) fn next(&self, wrapped: Option<&WrappedKey>) -> Self {
        Self {
            generation: self.generation.saturating_add(1),
            wallet_tag: self.wallet_tag,
            wrap: if wrapped.is_some() { wrap::ARGON2ID } else { wrap::NONE },
            wrapped: wrapped.map(WrappedKey::encode).unwrap_or_default(),
        }
    }

    /// Whether a passphrase is set.
    pub(crate) fn has_passphrase(&self) -> bool {
        self.wrap != wrap::NONE
    }

    /// The wrapped key, if there is one.
    pub(crate) fn wrapped(&self) -> Result<Option<WrappedKey>, UnlockError> {
        match self.wrap {
            wrap::NONE => Ok(None),
            wrap::ARGON2ID => match WrappedKey::decode(&self.wrapped) {
                Ok(wrapped) => Ok(Some(wrapped)),
                Err(_) => Err(damaged("the wrapped key is one that no version writes")),
            },
            newer => {
                Err(UnlockError::TooNew { found: newer.into(), newest: wrap::ARGON2ID.into() })
            }
        }
    }

    /// The root secret and its keys, if `secret` opens this wallet.
    pub(crate) fn unlock(&self, secret: &Secret) -> Result<(RootSecret, Keys), UnlockError> {
        let root = match secret {
            Secret::Root(root) => root.clone(),
            Secret::Passphrase(passphrase) => {
                let wrapped = self.wrapped()?.ok_or(UnlockError::NoPassphrase)?;
                wrapped.unwrap(&self.wallet_tag, passphrase)?
            }
        };
        let keys = Keys::derive(&root);
        match secret {
            _ if keys.wallet_tag() == self.wallet_tag => Ok((root, keys)),
            Secret::Root(_) => Err(UnlockError::OtherWallet),
            Secret::Passphrase(_) => Err(damaged("the wrapped key belongs to another wallet")),
        }
    }

    /// The change that writes both copies.
    pub(crate) fn write(&self) -> Batch {
        let bytes = self.encode();
        let batch = Batch::new().put(&place(), &Key::number(0), bytes.as_slice());
        batch.put(&place(), &Key::number(1), bytes)
    }

    /// Reads both copies; a damaged or missing one is replaced by the other, which is then a finding.
    pub(crate) fn read(inner: &dyn KvStore) -> Result<(Self, Option<Finding>), UnlockError> {
        let copies = [read_copy(inner, 0)?, read_copy(inner, 1)?];
        if let Some(found) = copies.iter().filter_map(Copy::newer_version).max() {
            return Err(UnlockError::TooNew { found: found.into(), newest: VERSION.into() });
        }
        let [first, second] = &copies;
        match (first, second) {
            (Copy::Good(a, x), Copy::Good(b, y)) => {
                if x == y {
                    Ok((a.clone(), None))
                } else if a.generation > b.generation {
                    Ok((a.clone(), Some(heal(inner, 1, x, "older")?)))
                } else if b.generation > a.generation {
                    Ok((b.clone(), Some(heal(inner, 0, y, "older")?)))
                } else {
                    Err(damaged("the two copies of the header contradict each other"))
                }
            }
            (Copy::Good(a, x), bad) => Ok((a.clone(), Some(heal(inner, 1, x, bad.describe())?))),
            (bad, Copy::Good(b, y)) => Ok((b.clone(), Some(heal(inner, 0, y, bad.describe())?))),
            (Copy::Missing, Copy::Missing) if inner.namespaces()?.is_empty() => {
                Err(UnlockError::Empty)
            }
            (Copy::Missing, Copy::Missing) => Err(damaged("the header is missing")),
            _ => Err(damaged("both copies of the header are damaged")),
        }
    }

    /// Reads both copies again, for a scrub.
    pub(crate) fn check(inner: &dyn KvStore) -> kv_core::Result<Vec<&'static str>> {
        let mut bad = Vec::new();
        let copies = [read_copy(inner, 0)?, read_copy(inner, 1)?];
        bad.extend(copies.iter().filter(|c| !matches!(c, Copy::Good(..))).map(Copy::describe));
        if let [Copy::Good(_, first), Copy::Good(_, second)] = &copies
            && first != second
        {
            bad.push("older than the other");
        }
        Ok(bad)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(40 + self.wrapped.len());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[VERSION, SUITE, self.wrap, 0]);
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.wallet_tag);
        out.extend_from_slice(&(self.wrapped.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.wrapped);
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Result<Copy, Malformed> {
        let (checked, crc) = bytes.split_last_chunk().ok_or(Malformed)?;
        if crc32c::crc32c(checked) != u32::from_le_bytes(*crc) {
            return Err(Malformed);
        }
        let mut reader = Reader::new(checked);
        if reader.array()? != MAGIC {
            return Err(Malformed);
        }
        let (version, suite) = (reader.u8()?, reader.u8()?);
        if version == 0 || suite == 0 {
            return Err(Malformed);
        }
        if (version, suite) != (VERSION, SUITE) {
            return Ok(Copy::TooNew(version));
        }
        // The wrapped key is looked into for those who have a passphrase; who has the root secret
        // passes it by.
        let [wrap, _reserved] = reader.array()?;
        let generation = reader.u64()?;
        let wallet_tag = reader.array()?;
        let len = usize::try_from(reader.u32()?).map_err(|_| Malformed)?;
        let wrapped = reader.bytes(len)?.to_vec();
        reader.end()?;
        let header = Self { generation, wallet_tag, wrap, wrapped };
        Ok(Copy::Good(header, bytes.to_vec()))
    }
}

impl Copy {
    fn newer_version(&self) -> Option<u8> {
        match self {
            Self::TooNew(version) => Some(*version),
            _ => None,
        }
    }

    fn describe(&self) -> &'static str {
        match self {
            Self::Good(..) => "good",
            Self::TooNew(_) => "of a newer version",
            Self::Damaged => "damaged",
            Self::Missing => "missing",
        }
    }
}

/// Where both copies lie.
fn place() -> Namespace {
    Namespace::reserved(OWN, "header").expect("a constant that is a valid name")
}

fn read_copy(inner: &dyn KvStore, number: u64) -> kv_core::Result<Copy> {
    match inner.read(&place(), &Key::number(number)) {
        Ok(Some(bytes)) => Ok(Header::decode(&bytes).unwrap_or(Copy::Damaged)),
        Ok(None) => Ok(Copy::Missing),
        // The store below noticed first.
        Err(Error::Corrupt { .. }) => Ok(Copy::Damaged),
        Err(error) => Err(error),
    }
}

/// Replaces one copy. If there is no room for that, the wallet still opens from the other one.
fn heal(
    inner: &dyn KvStore,
    number: u64,
    good: &[u8],
    was: &'static str,
) -> Result<Finding, UnlockError> {
    let batch = Batch::new().put(&place(), &Key::number(number), good);
    let (severity, outcome) = match inner.submit(batch).wait() {
        Ok(()) => (Severity::Healed, "replaced by the other"),
        Err(error) if error.is_refusal() => (Severity::Notice, "could not be replaced"),
        Err(error) => return Err(error.into()),
    };
    let what = format!("copy {number} of the header was {was} and {outcome}");
    tracing::info!(store = STORE, "{what}");
    Ok(Finding { severity, store: STORE, what })
}

fn damaged(what: &'static str) -> UnlockError {
    let source = Error::corrupt(STORE, what);
    UnlockError::Damaged { source }
}

#[cfg(any(test, feature = "testing"))]
impl Header {
    /// What one good copy says.
    pub(crate) fn decode_good(bytes: &[u8]) -> Option<Self> {
        match Self::decode(bytes) {
            Ok(Copy::Good(header, _)) => Some(header),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
