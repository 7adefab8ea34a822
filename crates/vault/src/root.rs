//! The root secret: the 32 bytes everything else is derived from.

use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE;
use zeroize::Zeroizing;

use crate::{NoRandomness, Words, kdf, random, wipe::wiped};

/// The wallet's derived key: 32 bytes of full entropy. Whoever has it has the wallet.
///
/// Wiped when dropped; neither `Debug` nor any error shows it.
// Boxed, so that whoever moves it copies a pointer and not the secret.
#[derive(Clone)]
pub struct RootSecret(Box<Zeroizing<[u8; 32]>>);

/// The text is not a key; what it holds is not repeated. Ask for the key file again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadKey {
    /// A key has 64 hexadecimal digits (white space around them is ignored).
    #[error("a key has 64 hexadecimal digits, found {found} characters")]
    Length {
        /// How many characters there are.
        found: usize,
    },
    /// A character is not a hexadecimal digit.
    #[error("a character of the key is not a hexadecimal digit")]
    Digit,
}

impl RootSecret {
    /// Takes 32 bytes that the caller knows to be random, and has to wipe.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self::make(|root| root.copy_from_slice(&bytes))
    }

    /// Reads 64 hexadecimal digits of either case, as a key file holds them.
    pub fn from_hex(text: &str) -> Result<Self, BadKey> {
        let digits = text.trim().as_bytes();
        if digits.len() != 64 {
            let found = text.trim().chars().count();
            return Err(BadKey::Length { found });
        }
        let mut good = false;
        let root = Self::make(|root| {
            good = HEXLOWER_PERMISSIVE.decode_mut(digits, root) == Ok(root.len());
        });
        if good { Ok(root) } else { Err(BadKey::Digit) }
    }

    /// Derives it from the words (and an empty BIP-39 passphrase).
    pub fn from_words(words: &Words) -> Self {
        wiped(|| {
            let seed = words.seed();
            Self::make(|root| kdf::derive_into(seed.as_slice(), kdf::BIP39, &[], root))
        })
    }

    /// Makes a new one.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut outcome = Ok(());
        let root = Self::make(|root| outcome = random::fill(root));
        outcome.map(|()| root)
    }

    /// Derives it from the two scalars of a signature.
    pub(crate) fn from_signature(scalars: &[u8; 64]) -> Self {
        Self::make(|root| kdf::derive_into(scalars, kdf::EVM_SIGNATURE, &[], root))
    }

    /// A copy of 32 bytes; nothing of any other number.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == 32).then(|| Self::make(|root| root.copy_from_slice(bytes)))
    }

    /// Fills it where it stays.
    fn make(fill: impl FnOnce(&mut [u8])) -> Self {
        let mut root = Box::new(Zeroizing::new([0; 32]));
        fill(root.as_mut_slice());
        Self(root)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl fmt::Debug for RootSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_of_either_case_and_nothing_else() {
        let text = "00ff".repeat(16);
        let secret = RootSecret::from_hex(&format!(" {}\n", text.to_uppercase())).unwrap();
        assert_eq!(secret.as_bytes(), [0x00, 0xff].repeat(16));
        assert_eq!(RootSecret::from_hex("abc").unwrap_err(), BadKey::Length { found: 3 });
        let odd = text.replace("00", "0g");
        let error = RootSecret::from_hex(&odd).unwrap_err();
        assert_eq!(error, BadKey::Digit);
        let length = "a key has 64 hexadecimal digits, found 3 characters";
        assert_eq!(BadKey::Length { found: 3 }.to_string(), length);
        let digit = "a character of the key is not a hexadecimal digit";
        assert_eq!(error.to_string(), digit);
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", RootSecret::from_bytes([7; 32])), "RootSecret(..)");
    }
}
