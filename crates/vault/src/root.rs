//! The root secret: the 32 bytes everything else is derived from.

use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE;
use zeroize::Zeroizing;

use crate::{NoRandomness, Words, kdf, random};

/// The wallet's derived key: 32 bytes of full entropy. Whoever has it has the wallet.
///
/// Wiped when dropped; neither `Debug` nor any error shows it.
#[derive(Clone)]
pub struct RootSecret(Zeroizing<[u8; 32]>);

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
    /// Takes 32 bytes that the caller knows to be random.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads 64 hexadecimal digits of either case, as a key file holds them.
    pub fn from_hex(text: &str) -> Result<Self, BadKey> {
        let digits = text.trim().as_bytes();
        if digits.len() != 64 {
            let found = text.trim().chars().count();
            return Err(BadKey::Length { found });
        }
        let mut bytes = Zeroizing::new([0; 32]);
        match HEXLOWER_PERMISSIVE.decode_mut(digits, bytes.as_mut_slice()) {
            Ok(32) => Ok(Self(bytes)),
            _ => Err(BadKey::Digit),
        }
    }

    /// Derives it from the words (and an empty BIP-39 passphrase).
    pub fn from_words(words: &Words) -> Self {
        Self(kdf::derive(words.seed().as_slice(), kdf::BIP39))
    }

    /// Makes a new one.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = Zeroizing::new([0; 32]);
        random::fill(bytes.as_mut_slice())?;
        Ok(Self(bytes))
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
