//! The wrapped key: the root secret, sealed under a stretched passphrase.
//!
//! The bytes are specified in `docs/src/formats/sealed-store-v1.md`.

use zeroize::Zeroizing;

use crate::{
    Aad, ContentKey, ENVELOPE_OVERHEAD, EnvelopeError, Passphrase, RootSecret, UnlockError,
    codec::{Malformed, Reader},
    open, random, seal,
    sealed_store::STORE,
    stretch::Cost,
};

/// No passphrase.
pub(crate) const NONE: u8 = 0;
/// Argon2id version 0x13, then an envelope.
pub(crate) const ARGON2ID: u8 = 1;

const SALT: usize = 16;
const SEALED: usize = ENVELOPE_OVERHEAD + 32;

/// A root secret that a passphrase opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrappedKey {
    cost: Cost,
    salt: [u8; SALT],
    sealed: Vec<u8>,
}

impl WrappedKey {
    /// Wraps the root secret of the wallet with this tag.
    pub(crate) fn wrap(
        root: &RootSecret,
        tag: &[u8; 16],
        passphrase: &Passphrase,
        cost: Cost,
    ) -> Result<Self, kv_core::Error> {
        let failed = |e: EnvelopeError| e.into_store_error(STORE);
        let mut salt = [0; SALT];
        random::fill(&mut salt).map_err(|e| failed(e.into()))?;
        let key = ContentKey::new(&*cost.stretch(passphrase, &salt)?);
        let sealed = seal(&key, &aad(tag), root.as_bytes()).map_err(failed)?;
        Ok(Self { cost, salt, sealed })
    }

    /// Opens it. A passphrase that does not is wrong; what it opens and does not fit is damaged.
    pub(crate) fn unwrap(
        &self,
        tag: &[u8; 16],
        passphrase: &Passphrase,
    ) -> Result<RootSecret, UnlockError> {
        let key = ContentKey::new(&*self.cost.stretch(passphrase, &self.salt)?);
        let opened = open(&key, &aad(tag), &self.sealed).map(Zeroizing::new);
        let opened = opened.map_err(|error| match error {
            EnvelopeError::WrongKey => UnlockError::WrongPassphrase,
            other => other.into_store_error(STORE).into(),
        })?;
        RootSecret::from_slice(&opened)
            .ok_or_else(|| kv_core::Error::corrupt(STORE, "the wrapped key has no 32 bytes").into())
    }

    /// What to wrap with instead, if this is weaker than usual.
    pub(crate) fn stronger(&self) -> Option<Cost> {
        self.cost.stronger()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(12 + SALT + SEALED);
        for number in [self.cost.memory, self.cost.passes, self.cost.lanes] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.salt);
        out.extend_from_slice(&self.sealed);
        out
    }

    /// Parameters below the floor or above the ceiling are malformed: no version writes them.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let cost = Cost { memory: reader.u32()?, passes: reader.u32()?, lanes: reader.u32()? };
        let salt = reader.array()?;
        let sealed = reader.bytes(SEALED)?.to_vec();
        reader.end()?;
        if cost.is_sane() { Ok(Self { cost, salt, sealed }) } else { Err(Malformed) }
    }
}

/// Binds it to its wallet. Cost and salt are bound by the key that comes of them.
fn aad(tag: &[u8; 16]) -> Aad {
    Aad::new("wrapped-key").bytes(tag)
}

#[cfg(test)]
mod tests;
