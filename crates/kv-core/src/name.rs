//! Validated names: namespaces and keys.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// The longest primary namespace, secondary namespace or key, in characters (and bytes: names are ASCII).
pub const MAX_NAME_LEN: usize = 120;

/// Two levels of names under which keys live.
///
/// The rules are those of LDK's `KVStore`, so that any LDK data fits: characters from
/// `A-Z a-z 0-9 _ -`, at most [`MAX_NAME_LEN`] of them, and an empty primary namespace forces an
/// empty secondary one. Ordered by primary, then secondary, bytewise.
#[derive(Clone, Eq)]
pub struct Namespace {
    /// Both levels one after the other, in one allocation: clones are counted where threads meet.
    text: Arc<str>,
    /// Where the second begins.
    secondary: u8,
}

/// The name of a value within a [`Namespace`]; the rules of a namespace, but never empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// A key with its first bytes beside it, for those who keep many of them in order: most comparisons
/// need not look up the text. Ordered as keys are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortKey {
    /// Big-endian, padded with zeros, which no key contains: the order is that of the texts.
    begin: u128,
    key: Key,
}

/// A name breaks the rules; the message says which one. Change the name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// A key must have at least one character.
    #[error("a key must not be empty")]
    EmptyKey,
    /// An empty primary namespace cannot have a secondary one.
    #[error("an empty primary namespace needs an empty secondary namespace")]
    EmptyPrimary,
    /// More than [`MAX_NAME_LEN`] characters.
    #[error("a name has {found} characters, at most {MAX_NAME_LEN} are allowed")]
    TooLong {
        /// How many characters the name has.
        found: usize,
    },
    /// A character outside `A-Z a-z 0-9 _ -`.
    #[error("a name contains {found:?}, allowed are letters, digits, '_' and '-'")]
    Character {
        /// The first character that is not allowed.
        found: char,
    },
    /// A name for Strongroom's own layers must begin with `~`.
    #[error("a reserved name must begin with '~'")]
    NotReserved,
    /// The namespace belongs to a layer below.
    #[error("this namespace belongs to a layer of the store")]
    Taken,
    /// The entries of the namespace merge between devices or have a single writer, and here the
    /// other one is meant. Use the other store, or move them.
    #[error("the entries of this namespace are of another class")]
    OtherClass,
}

impl Namespace {
    /// Checks the rules and makes a namespace.
    pub fn new(primary: &str, secondary: &str) -> Result<Self, InvalidName> {
        check(primary)?;
        check(secondary)?;
        if primary.is_empty() && !secondary.is_empty() {
            return Err(InvalidName::EmptyPrimary);
        }
        Ok(Self::trusted(primary, secondary))
    }

    /// A namespace for one of Strongroom's own layers: `primary` begins with `~`, which
    /// [`Namespace::new`] refuses, so it can never collide with a user's.
    pub fn reserved(primary: &str, secondary: &str) -> Result<Self, InvalidName> {
        check(primary.strip_prefix('~').ok_or(InvalidName::NotReserved)?)?;
        check(secondary)?;
        if primary.len() > MAX_NAME_LEN {
            return Err(InvalidName::TooLong { found: primary.len() });
        }
        Ok(Self::trusted(primary, secondary))
    }

    /// Accepts what either [`Namespace::new`] or [`Namespace::reserved`] accepts: for layers that
    /// read names back from bytes they wrote themselves.
    pub fn any(primary: &str, secondary: &str) -> Result<Self, InvalidName> {
        if primary.starts_with('~') {
            Self::reserved(primary, secondary)
        } else {
            Self::new(primary, secondary)
        }
    }

    fn trusted(primary: &str, secondary: &str) -> Self {
        // At most MAX_NAME_LEN, which is checked.
        let begin = primary.len() as u8;
        Self { text: [primary, secondary].concat().into(), secondary: begin }
    }

    /// The first level.
    pub fn primary(&self) -> &str {
        self.text.get(..usize::from(self.secondary)).unwrap_or_default()
    }

    /// The second level.
    pub fn secondary(&self) -> &str {
        self.text.get(usize::from(self.secondary)..).unwrap_or_default()
    }

    /// A copy that shares nothing with this one: threads that clone one namespace over and over wait
    /// for each other to count.
    pub fn unshared(&self) -> Self {
        Self { text: Arc::from(&*self.text), secondary: self.secondary }
    }

    /// Whether this namespace belongs to one of Strongroom's own layers (its primary begins with `~`).
    pub fn is_reserved(&self) -> bool {
        self.text.starts_with('~')
    }
}

impl Key {
    /// Checks the rules and makes a key.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        if name.is_empty() {
            return Err(InvalidName::EmptyKey);
        }
        check(name)?;
        Ok(Self(name.into()))
    }

    /// A key that is a number, as bookkeeping namespaces use: 20 decimal digits, so that the order
    /// of names is the order of numbers.
    pub fn number(number: u64) -> Self {
        Self(format!("{number:020}").into())
    }

    /// The number, if this key has the form made by [`Key::number`].
    pub fn as_number(&self) -> Option<u64> {
        if self.0.len() == 20 && self.0.bytes().all(|b| b.is_ascii_digit()) {
            self.0.parse().ok()
        } else {
            None
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SortKey {
    /// The key itself.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The key itself, by value.
    pub fn into_key(self) -> Key {
        self.key
    }
}

impl From<Key> for SortKey {
    fn from(key: Key) -> Self {
        let text = key.as_str().as_bytes();
        let begin = text.first_chunk().copied().unwrap_or_else(|| {
            let mut begin = [0; 16];
            begin.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
            begin
        });
        Self { begin: u128::from_be_bytes(begin), key }
    }
}

impl From<&Key> for SortKey {
    fn from(key: &Key) -> Self {
        key.clone().into()
    }
}

// Clones share their text, and most comparisons are of clones: those need not look at it.

impl PartialEq for Namespace {
    fn eq(&self, other: &Self) -> bool {
        self.secondary == other.secondary
            && (Arc::ptr_eq(&self.text, &other.text) || self.text == other.text)
    }
}

impl Hash for Namespace {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.text, self.secondary).hash(state);
    }
}

impl PartialOrd for Namespace {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Namespace {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.text, &other.text) && self.secondary == other.secondary {
            return Ordering::Equal;
        }
        let primary = self.primary().cmp(other.primary());
        primary.then_with(|| self.secondary().cmp(other.secondary()))
    }
}

fn check(name: &str) -> Result<(), InvalidName> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    // Bytes first, since names are ASCII, and all of them, several at a time; which character it is
    // matters only to who is told.
    if !name.bytes().fold(true, |so_far, b| so_far & allowed(b))
        && let Some(found) = name.chars().find(|c| !u8::try_from(*c).is_ok_and(allowed))
    {
        return Err(InvalidName::Character { found });
    }
    if name.len() > MAX_NAME_LEN {
        return Err(InvalidName::TooLong { found: name.len() });
    }
    Ok(())
}

// Names are a user's private data: `Debug` is for tests and developers; no layer logs it.
impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.primary(), self.secondary())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_constructor_keeps_ldks_rules() {
        assert!(Namespace::new("", "").is_ok());
        assert!(Namespace::new("Monitors_1", "a-B").is_ok());
        assert_eq!(Namespace::new("", "x"), Err(InvalidName::EmptyPrimary));
        assert_eq!(Namespace::new("~x", ""), Err(InvalidName::Character { found: '~' }));
        assert_eq!(Namespace::new("a/b", ""), Err(InvalidName::Character { found: '/' }));
        assert_eq!(Namespace::new("é", ""), Err(InvalidName::Character { found: 'é' }));
        assert!(Namespace::new(&"a".repeat(120), "").is_ok());
        assert_eq!(Namespace::new(&"a".repeat(121), ""), Err(InvalidName::TooLong { found: 121 }));
        assert_eq!(Key::new(""), Err(InvalidName::EmptyKey));
        assert_eq!(Key::new("."), Err(InvalidName::Character { found: '.' }));
    }

    #[test]
    fn reserved_names_need_their_tilde() {
        assert!(Namespace::reserved("~vault", "names").is_ok());
        assert_eq!(Namespace::reserved("vault", ""), Err(InvalidName::NotReserved));
        assert!(Namespace::any("~vault", "").is_ok_and(|ns| ns.is_reserved()));
        assert!(Namespace::any("vault", "").is_ok_and(|ns| !ns.is_reserved()));
    }

    #[test]
    fn namespaces_sort_as_their_texts_whether_they_share_them_or_not() {
        let texts = [("", ""), ("a", ""), ("a", "b"), ("a", "c"), ("aa", "b"), ("b", "a")];
        let make = || texts.map(|(primary, secondary)| Namespace::new(primary, secondary).unwrap());
        let (first, second) = (make(), make());
        for (i, a) in first.iter().enumerate() {
            for (j, b) in second.iter().enumerate() {
                assert_eq!(a.cmp(b), texts[i].cmp(&texts[j]));
                assert_eq!(a.cmp(&first[j]), texts[i].cmp(&texts[j]));
                assert_eq!(a == b, i == j);
            }
        }
    }

    /// Names that begin alike, or end where the others go on, among them.
    #[test]
    fn keys_sort_as_their_texts_with_their_beginning_beside_them() {
        let texts = [
            "a",
            "a0",
            "b",
            "exactly-16-bytes",
            "exactly-16-bytes-",
            "exactly-16-bytes0",
            "exactly-16-bytez",
            "-",
            "Z",
            "_",
        ];
        for a in texts {
            for b in texts {
                let sorted = |text| SortKey::from(Key::new(text).unwrap());
                assert_eq!(sorted(a).cmp(&sorted(b)), a.cmp(b), "{a} and {b}");
            }
        }
    }

    /// One text, two ways to cut it.
    #[test]
    fn namespaces_differ_by_where_the_second_level_begins() {
        let [a, b] = [("ab", "c"), ("a", "bc")].map(|(p, s)| Namespace::new(p, s).unwrap());
        assert_ne!(a, b);
        assert_eq!(a.cmp(&b), ("ab", "c").cmp(&("a", "bc")));
        assert_eq!((a.primary(), a.secondary()), ("ab", "c"));
        assert_eq!((b.primary(), b.secondary()), ("a", "bc"));
    }

    #[test]
    fn numbers_sort_as_numbers() {
        assert!(Key::number(9) < Key::number(10));
        assert_eq!(Key::number(u64::MAX).as_number(), Some(u64::MAX));
        assert_eq!(Key::new("12").unwrap().as_number(), None);
    }
}
