//! Envelope v1: XChaCha20-Poly1305 with a key commitment and a checksum over the clear part.
//!
//! The bytes are specified in `docs/src/formats/envelope-v1.md`.

use std::{fmt, io, vec};

use subtle::ConstantTimeEq;

use crate::{
    Aad, NoRandomness,
    cipher::{Cipher, NONCE, TAG},
    kdf,
    mac::MacKey,
    random,
};

const MAGIC: [u8; 4] = *b"SRen";
/// The newest version of the envelope that is read, and the one that is written.
const VERSION: u8 = 1;
/// XChaCha20-Poly1305, HKDF-SHA256 commitment.
const CIPHERS: u8 = 1;
/// Version and suite, as they come first in the associated data of every class.
pub(crate) const SUITE: [u8; 2] = [VERSION, CIPHERS];
const COMMITMENT: usize = 32;
/// Magic, version, suite, nonce, commitment; then four bytes of CRC-32C over all of them.
const CHECKED: usize = 4 + 1 + 1 + NONCE + COMMITMENT;

/// How many bytes an envelope is longer than what it holds.
pub const ENVELOPE_OVERHEAD: usize = CHECKED + 4 + TAG;

/// A key that seals and opens envelopes. Wiped when dropped.
pub struct ContentKey {
    cipher: Cipher,
    /// Extracted, so that each commitment takes the second half of HKDF only.
    commitment: MacKey,
}

/// Why nothing was sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The bytes are not what was sealed, or were sealed for another place. Use another copy.
    #[error("a sealed object is damaged or in the wrong place")]
    Damaged,
    /// Sealed with another key. Ask for the right one.
    #[error("a sealed object belongs to another key")]
    WrongKey,
    /// Sealed by a newer version. Upgrade.
    #[error("envelope version {version}, suite {suite} is too new")]
    TooNew {
        /// The version found.
        version: u8,
        /// The suite found.
        suite: u8,
    },
    /// The operating system gave no random bytes for a nonce; nothing was sealed. Try again.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// More than the 256 GiB that one nonce may encrypt. Split it.
    #[error("an object is too large to be sealed")]
    TooLarge,
}

/// Seals `plaintext` for the place that `aad` names, under a fresh random nonce.
pub fn seal(key: &ContentKey, aad: &Aad, plaintext: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    seal_one_of(&mut Nonces::for_values(1), key, aad, plaintext)
}

/// As [`seal`], of pieces one after the other, and zeros behind them up to `len` bytes in all: so nobody
/// need put them together before.
pub fn seal_padded(
    key: &ContentKey,
    aad: &Aad,
    pieces: &[&[u8]],
    len: usize,
) -> Result<Vec<u8>, EnvelopeError> {
    seal_with(key, Nonces::for_values(1).take()?, aad, pieces, len)
}

/// As [`seal`], of one of several values.
pub(crate) fn seal_one_of(
    nonces: &mut Nonces,
    key: &ContentKey,
    aad: &Aad,
    plaintext: &[u8],
) -> Result<Vec<u8>, EnvelopeError> {
    seal_with(key, nonces.take()?, aad, &[plaintext], plaintext.len())
}

/// Random nonces for several values, asked for at once: each call of the operating system costs as
/// much as sealing a small value.
pub(crate) struct Nonces {
    left: vec::IntoIter<[u8; NONCE]>,
    /// For how many values to ask.
    values: usize,
}

impl Nonces {
    /// For about so many values. Asks for nothing before it must.
    pub(crate) fn for_values(values: usize) -> Self {
        Self { left: Vec::new().into_iter(), values: values.clamp(1, MOST_NONCES) }
    }

    fn take(&mut self) -> Result<[u8; NONCE], NoRandomness> {
        loop {
            if let Some(nonce) = self.left.next() {
                return Ok(nonce);
            }
            let mut nonces = vec![[0; NONCE]; self.values];
            random::fill(nonces.as_flattened_mut())?;
            self.left = nonces.into_iter();
        }
    }
}

/// No more at once: 24 KiB.
const MOST_NONCES: usize = 1024;

/// Opens what [`seal`] made with the same key and the same `aad`.
pub fn open(key: &ContentKey, aad: &Aad, sealed: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    let mut plaintext = Vec::new();
    open_into(&mut plaintext, key, aad, sealed)?;
    Ok(plaintext)
}

/// As [`open`], into memory that is used again. After an error it holds nothing.
pub fn open_into(
    plaintext: &mut Vec<u8>,
    key: &ContentKey,
    aad: &Aad,
    sealed: &[u8],
) -> Result<(), EnvelopeError> {
    plaintext.clear();
    let parts = Parts::split(sealed)?;
    if !bool::from(key.commit(&parts.nonce).ct_eq(&parts.commitment)) {
        return Err(EnvelopeError::WrongKey);
    }
    plaintext.extend_from_slice(parts.ciphertext);
    if key.cipher.open(&parts.nonce, aad.bound(), plaintext, parts.tag).is_err() {
        plaintext.clear();
        return Err(EnvelopeError::Damaged);
    }
    Ok(())
}

impl ContentKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let encryption = kdf::derive::<32>(key, kdf::ENVELOPE_ENCRYPTION);
        Self {
            cipher: Cipher::new(&encryption),
            commitment: MacKey::new(&kdf::extract(
                kdf::derive::<32>(key, kdf::ENVELOPE_COMMITMENT).as_slice(),
            )),
        }
    }

    /// Commits to the key: finding a second key with the same commitment means finding a collision
    /// of SHA-256. It differs from message to message, so it links none.
    pub(crate) fn commit(&self, nonce: &[u8; NONCE]) -> [u8; COMMITMENT] {
        // The first and only step of HKDF's expansion: the label, the nonce, the number of the step.
        const LABEL: &[u8] = kdf::ENVELOPE_COMMITMENT.as_bytes();
        let mut info = [1; LABEL.len() + NONCE + 1];
        let (label, rest) = info.split_at_mut(LABEL.len());
        label.copy_from_slice(LABEL);
        if let Some(place) = rest.first_chunk_mut() {
            *place = *nonce;
        }
        self.commitment.mac(&info)
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentKey(..)")
    }
}

impl EnvelopeError {
    /// The same, as the error of a store.
    pub(crate) fn into_store_error(self, store: &'static str) -> kv_core::Error {
        match self {
            Self::WrongKey => kv_core::Error::WrongKey { store },
            Self::TooNew { version, .. } => {
                kv_core::Error::TooNew { store, found: version.into(), newest: VERSION.into() }
            }
            Self::NoRandomness(NoRandomness { source }) => {
                kv_core::Error::io(store, kv_core::Operation::Write, source)
            }
            Self::TooLarge => kv_core::Error::io(
                store,
                kv_core::Operation::Write,
                io::Error::other(Self::TooLarge),
            ),
            Self::Damaged => kv_core::Error::corrupt(store, Self::Damaged),
        }
    }
}

fn seal_with(
    key: &ContentKey,
    nonce: [u8; NONCE],
    aad: &Aad,
    pieces: &[&[u8]],
    len: usize,
) -> Result<Vec<u8>, EnvelopeError> {
    let mut out = Vec::with_capacity(ENVELOPE_OVERHEAD + len);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&SUITE);
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&key.commit(&nonce));
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    pieces.iter().for_each(|piece| out.extend_from_slice(piece));
    out.resize(out.len().max(CHECKED + 4 + len), 0);
    let (_, body) = out.split_at_mut(CHECKED + 4);
    let tag = key.cipher.seal(&nonce, aad.bound(), body).map_err(|_| EnvelopeError::TooLarge)?;
    out.extend_from_slice(&tag);
    Ok(out)
}

struct Parts<'a> {
    nonce: [u8; NONCE],
    commitment: [u8; COMMITMENT],
    ciphertext: &'a [u8],
    tag: [u8; TAG],
}

impl<'a> Parts<'a> {
    /// Takes an envelope apart. The checksum is looked at first, so that a damaged byte is never
    /// taken for a newer version or for another key.
    fn split(sealed: &'a [u8]) -> Result<Self, EnvelopeError> {
        let damaged = EnvelopeError::Damaged;
        let Some((checked, rest)) = sealed.split_first_chunk::<CHECKED>() else {
            return Err(damaged);
        };
        let Some((crc, rest)) = rest.split_first_chunk() else {
            return Err(damaged);
        };
        if crc32c::crc32c(checked) != u32::from_le_bytes(*crc) {
            return Err(damaged);
        }
        let [m0, m1, m2, m3, version, suite, keyed @ ..] = checked;
        if [*m0, *m1, *m2, *m3] != MAGIC || *version == 0 || *suite == 0 {
            return Err(damaged);
        }
        if [*version, *suite] != SUITE {
            return Err(EnvelopeError::TooNew { version: *version, suite: *suite });
        }
        let (Some((nonce, commitment)), Some((ciphertext, tag))) =
            (keyed.split_first_chunk(), rest.split_last_chunk())
        else {
            return Err(damaged);
        };
        Ok(Self {
            nonce: *nonce,
            commitment: commitment.try_into().map_err(|_| damaged)?,
            ciphertext,
            tag: *tag,
        })
    }
}

#[cfg(test)]
mod tests;
