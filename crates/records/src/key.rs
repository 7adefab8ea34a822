//! Keys as IndexedDB has them: numbers, dates, strings, binary and arrays of these.

use std::cmp::Ordering;

use kv_core::Timestamp;

/// The key of a record, or of its place in an index.
///
/// Ordered as the W3C text orders keys (Indexed Database API 3.0, section 2.4): every number comes
/// before every date, then strings, binary, arrays. Make one with `into()`; a tuple becomes an
/// array: `(chain, hash).into()`.
// Keys are a user's private data: `Debug` is for tests and developers; no layer logs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordKey {
    /// A number.
    Number(Number),
    /// A moment, in milliseconds since the Unix epoch; negative before it.
    Date(i64),
    /// Text, ordered by UTF-16 code units as JavaScript orders it.
    String(String),
    /// Bytes, ordered as unsigned bytes.
    Binary(Vec<u8>),
    /// A compound key, ordered element by element; a beginning comes before what goes on.
    Array(Vec<RecordKey>),
}

/// A number in a key: any double but NaN, and any `i64` or `u64` exactly.
///
/// IndexedDB has doubles only; integers beyond 2^53 keep their place in the same order here, so
/// that two different integers are always two different keys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number {
    /// The greatest double not above the number; never NaN, never -0.
    pub(crate) floor: f64,
    /// What is missing to the number: 0 for doubles, below 2^11 for integers of 64 bits.
    pub(crate) rest: u16,
}

/// NaN is no key. Leave the record out of the index, or use another value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key cannot hold NaN")]
pub struct NotANumber;

impl RecordKey {
    fn rank(&self) -> u8 {
        match self {
            Self::Number(_) => 0,
            Self::Date(_) => 1,
            Self::String(_) => 2,
            Self::Binary(_) => 3,
            Self::Array(_) => 4,
        }
    }
}

impl Ord for RecordKey {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.cmp(b),
            (Self::Date(a), Self::Date(b)) => a.cmp(b),
            (Self::String(a), Self::String(b)) => a.encode_utf16().cmp(b.encode_utf16()),
            (Self::Binary(a), Self::Binary(b)) => a.cmp(b),
            (Self::Array(a), Self::Array(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for RecordKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Number {}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        // No NaN and no -0: the total order is the usual one.
        self.floor.total_cmp(&other.floor).then(self.rest.cmp(&other.rest))
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl TryFrom<f64> for Number {
    type Error = NotANumber;

    fn try_from(number: f64) -> Result<Self, NotANumber> {
        if number.is_nan() {
            return Err(NotANumber);
        }
        // Adding 0 turns -0 into 0: the W3C text calls them equal.
        Ok(Self { floor: number + 0.0, rest: 0 })
    }
}

impl TryFrom<f64> for RecordKey {
    type Error = NotANumber;

    fn try_from(number: f64) -> Result<Self, NotANumber> {
        Number::try_from(number).map(Self::Number)
    }
}

macro_rules! from_integers {
    ($($integer:ty)*) => {$(
        impl From<$integer> for Number {
            fn from(integer: $integer) -> Self {
                let integer = i128::from(integer);
                let mut floor = integer as f64; // to the nearest, so perhaps above
                if floor as i128 > integer {
                    floor = floor.next_down();
                }
                // Doubles are at most 2^11 apart below 2^64.
                Self { floor, rest: (integer - floor as i128) as u16 }
            }
        }

        impl From<$integer> for RecordKey {
            fn from(integer: $integer) -> Self {
                Self::Number(integer.into())
            }
        }
    )*};
}

from_integers!(u8 u16 u32 u64 i8 i16 i32 i64);

impl From<Timestamp> for RecordKey {
    /// A date; moments after the year 292,000,000 count as its last millisecond.
    fn from(time: Timestamp) -> Self {
        Self::Date(i64::try_from(time.0).unwrap_or(i64::MAX))
    }
}

impl From<String> for RecordKey {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<&str> for RecordKey {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<&String> for RecordKey {
    fn from(text: &String) -> Self {
        Self::String(text.clone())
    }
}

impl From<Vec<u8>> for RecordKey {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

impl From<&[u8]> for RecordKey {
    fn from(bytes: &[u8]) -> Self {
        Self::Binary(bytes.to_owned())
    }
}

impl<const N: usize> From<[u8; N]> for RecordKey {
    fn from(bytes: [u8; N]) -> Self {
        Self::Binary(bytes.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for RecordKey {
    fn from(bytes: &[u8; N]) -> Self {
        Self::Binary(bytes.to_vec())
    }
}

impl From<Vec<RecordKey>> for RecordKey {
    fn from(keys: Vec<RecordKey>) -> Self {
        Self::Array(keys)
    }
}

macro_rules! from_tuples {
    ($(($($name:ident)*))*) => {$(
        impl<$($name: Into<RecordKey>),*> From<($($name,)*)> for RecordKey {
            fn from(($($name,)*): ($($name,)*)) -> Self {
                Self::Array(vec![$($name.into()),*])
            }
        }
    )*};
}

// The type parameters double as variable names.
mod tuples {
    #![expect(non_snake_case, reason = "type parameters double as variable names")]
    use super::RecordKey;

    from_tuples! { (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) }
}
