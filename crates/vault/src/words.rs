//! BIP-39 words: the form of the root secret that fits on paper.

use std::fmt;

use bip39::{Language, Mnemonic};
use zeroize::Zeroizing;

use crate::{NoRandomness, random, wipe::wiped};

/// 12 to 24 English BIP-39 words with a valid checksum.
///
/// Wiped when dropped; neither `Debug` nor any error shows a word.
// Boxed, so that whoever moves them copies a pointer and not the words.
#[derive(Clone)]
pub struct Words(Box<Mnemonic>);

/// The text is not a list of BIP-39 words; it is not repeated. Ask for the words again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadWords {
    /// There are 12, 15, 18, 21 or 24 words.
    #[error("found {found} words, expected 12, 15, 18, 21 or 24")]
    Count {
        /// How many there are.
        found: usize,
    },
    /// A word is not in the English list: probably a slip of the pen.
    #[error("word number {position} is not in the list")]
    Unknown {
        /// Which one, counted from 1.
        position: usize,
    },
    /// All words exist, but not in this combination: one is wrong or two have changed places.
    #[error("the checksum of the words does not fit")]
    Checksum,
}

impl Words {
    /// Makes 24 new words.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut entropy = Zeroizing::new([0; 32]);
        random::fill(entropy.as_mut_slice())?;
        Ok(wiped(|| {
            let words = Mnemonic::from_entropy_in(Language::English, entropy.as_slice());
            Self(Box::new(words.expect("32 bytes are an allowed length")))
        }))
    }

    /// Reads words; case and the kind and amount of white space do not matter.
    pub fn parse(text: &str) -> Result<Self, BadWords> {
        let lower = Zeroizing::new(text.to_lowercase());
        let parsed =
            wiped(|| Mnemonic::parse_in_normalized(Language::English, &lower).map(Box::new));
        match parsed {
            Ok(words) => Ok(Self(words)),
            Err(bip39::Error::UnknownWord(index)) => Err(BadWords::Unknown { position: index + 1 }),
            Err(bip39::Error::InvalidChecksum) => Err(BadWords::Checksum),
            Err(_) => Err(BadWords::Count { found: text.split_whitespace().count() }),
        }
    }

    /// The words in order, to show them to their owner once.
    pub fn iter(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.words()
    }

    /// The words in one line, to write them into a file.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(24 * 9));
        for word in self.iter() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        text
    }

    /// The 64-byte BIP-39 seed with an empty passphrase.
    pub(crate) fn seed(&self) -> Zeroizing<[u8; 64]> {
        wiped(|| Zeroizing::new(self.0.to_seed_normalized("")))
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Words(..)")
    }
}

#[cfg(test)]
mod tests;
