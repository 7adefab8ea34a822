//! The encoded primary key of a record in memory.

use std::ops::Deref;

/// The bytes of a key, most of them within the record's own memory: a search looks at many keys, and
/// each look elsewhere is a wait.
pub(crate) enum Primary {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Box<[u8]>),
}

/// Enough for a number and a hash of 32 bytes.
const SHORT: usize = 54;

impl From<&[u8]> for Primary {
    fn from(key: &[u8]) -> Self {
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..key.len()), u8::try_from(key.len())) {
            (Some(short), Ok(len)) => {
                short.copy_from_slice(key);
                Self::Short { len, bytes }
            }
            _ => Self::Long(key.into()),
        }
    }
}

impl Deref for Primary {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_all_lengths_are_what_they_were() {
        assert_eq!(size_of::<Primary>(), 56);
        for len in [0, 1, SHORT - 1, SHORT, SHORT + 1, 255, 256, 300] {
            let key: Vec<u8> = (0..len).map(|n| n as u8).collect();
            let primary = Primary::from(key.as_slice());
            assert_eq!(*primary, *key);
            assert_eq!(matches!(primary, Primary::Short { .. }), len <= SHORT);
        }
    }
}
