//! The passphrase: what a person types to unlock a wallet on one device.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// A passphrase. It encrypts no data: it wraps the root secret on one device, so a device that is
/// lost needs the words, not this.
///
/// Wiped when dropped; neither `Debug` nor any error shows it.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

/// The text cannot be a passphrase; it is not repeated. Ask for another one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadPassphrase {
    /// Fewer than 8 characters. Stretching makes each guess dear, but not a handful of them.
    #[error("a passphrase has at least {least} characters, found {found}")]
    TooShort {
        /// How many there are.
        found: usize,
        /// How many there must be.
        least: usize,
    },
    /// More than 1,024 bytes: probably the wrong file.
    #[error("a passphrase has at most {most} bytes")]
    TooLong {
        /// How many there may be.
        most: usize,
    },
    /// More than one line, or another control character: probably the wrong file.
    #[error("a passphrase is one line of text")]
    NotALine,
}

/// NIST SP 800-63B, section 5.1.1.1, asks for as many.
const LEAST: usize = 8;
const MOST: usize = 1024;

impl Passphrase {
    /// Takes a line of text. One line ending at its end is left out, all other white space counts.
    ///
    /// The text is normalised (NFKD, as BIP-39 does), so that it does not depend on how a keyboard
    /// puts an accented letter together.
    pub fn new(text: &str) -> Result<Self, BadPassphrase> {
        let line = text.strip_suffix('\n').unwrap_or(text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.chars().any(char::is_control) {
            return Err(BadPassphrase::NotALine);
        }
        if line.len() > MOST {
            return Err(BadPassphrase::TooLong { most: MOST });
        }
        let found = line.chars().count();
        if found < LEAST {
            return Err(BadPassphrase::TooShort { found, least: LEAST });
        }
        // Its final length is reserved at once: text that grows leaves copies behind.
        let len = line.nfkd().map(char::len_utf8).sum();
        let mut normal = Zeroizing::new(String::with_capacity(len));
        normal.extend(line.nfkd());
        Ok(Self(normal))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_one_line_of_eight_characters_or_more() {
        let bytes = |text| Passphrase::new(text).map(|p| p.as_bytes().to_vec());
        assert_eq!(bytes("correct horse\r\n").unwrap(), b"correct horse");
        assert_eq!(bytes("  two spaces \n").unwrap(), b"  two spaces ");
        assert_eq!(bytes("seven 7").unwrap_err(), BadPassphrase::TooShort { found: 7, least: 8 });
        assert_eq!(bytes("").unwrap_err(), BadPassphrase::TooShort { found: 0, least: 8 });
        assert_eq!(bytes("two lines\nof text").unwrap_err(), BadPassphrase::NotALine);
        assert_eq!(bytes("two endings\n\n").unwrap_err(), BadPassphrase::NotALine);
        let long = "x".repeat(MOST + 1);
        assert_eq!(bytes(&long).unwrap_err(), BadPassphrase::TooLong { most: MOST });
        assert!(bytes(&long[1..]).is_ok());
    }

    #[test]
    fn the_keyboard_does_not_matter() {
        let [whole, parts] =
            ["caf\u{e9} au lait", "cafe\u{301} au lait"].map(|t| Passphrase::new(t).unwrap());
        assert_eq!(whole.as_bytes(), parts.as_bytes());
        let ligature = Passphrase::new("o\u{fb03}ce chair").unwrap();
        assert_eq!(ligature.as_bytes(), b"office chair");
    }

    #[test]
    fn no_error_repeats_it() {
        let errors =
            ["secret7", "secret words\tin columns"].map(|t| Passphrase::new(t).unwrap_err());
        let said: Vec<String> = errors.iter().map(|e| format!("{e} {e:?}")).collect();
        assert!(said.iter().all(|said| !said.contains("secret")), "{said:?}");
        assert_eq!(errors[0].to_string(), "a passphrase has at least 8 characters, found 7");
        assert_eq!(errors[1].to_string(), "a passphrase is one line of text");
        let long = BadPassphrase::TooLong { most: MOST };
        assert_eq!(long.to_string(), "a passphrase has at most 1024 bytes");
        let shown = format!("{:?}", Passphrase::new("secret words").unwrap());
        assert_eq!(shown, "Passphrase(..)");
    }
}
