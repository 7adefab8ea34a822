//! The numbers that an object store gives its records (the W3C text's key generators, section 2.11).

use kv_core::{Key, Value};

use crate::{Error, RecordKey, Result, codec};

/// Doubles hold every integer up to here, and IndexedDB counts no further.
const LAST: u64 = 1 << 53;

/// The version of the stored count.
const VERSION: u32 = 1;

/// Which number comes next. It never decreases, whatever is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbers {
    next: u64,
    /// What is stored, or on its way.
    stored: u64,
}

impl Numbers {
    /// `stored` is what was found, if anything was.
    pub(crate) fn new(stored: Option<u64>) -> Self {
        let stored = stored.unwrap_or(1);
        Self { next: stored.max(1), stored }
    }

    /// Takes the next number.
    pub(crate) fn take(&mut self, store: &'static str) -> Result<u64> {
        let number = self.next;
        if number > LAST {
            return Err(Error::NoNumbers { store });
        }
        self.next += 1;
        Ok(number)
    }

    /// Goes on behind a key that somebody else chose.
    pub(crate) fn saw(&mut self, key: &RecordKey) {
        let RecordKey::Number(number) = key else { return };
        // Casting saturates: what is below 0 or beyond all integers stays there.
        let whole = (number.floor as u64).saturating_add(u64::from(number.rest)).min(LAST);
        self.next = self.next.max(whole + 1);
    }

    /// Goes on behind the count of another device.
    pub(crate) fn merge(&mut self, stored: u64) {
        self.next = self.next.max(stored.min(LAST + 1));
        self.stored = stored;
    }

    /// What must be stored with the next batch, if anything.
    pub(crate) fn unsaved(&self) -> Option<u64> {
        (self.next != self.stored).then_some(self.next)
    }

    /// The store below took this count.
    pub(crate) fn saved(&mut self, count: u64) {
        self.stored = count;
    }
}

/// What the count is stored under: shorter than the name of any record.
pub(crate) fn name(store: &'static str) -> Result<Key> {
    Key::new("next").map_err(|source| Error::Store { store, source: source.into() })
}

pub(crate) fn to_value(store: &'static str, count: u64) -> Result<Value> {
    codec::to_value(store, VERSION, &count)
}

pub(crate) fn from_value(store: &'static str, name: &Key, bytes: &[u8]) -> Result<u64> {
    codec::Stored::parse(store, name, bytes, VERSION)?.content(store, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: f64) -> RecordKey {
        number.try_into().unwrap()
    }

    /// W3C text, section 2.11: the current number of a key generator.
    #[test]
    fn the_rules_of_key_generators_hold() {
        let mut numbers = Numbers::new(None);
        let mut take = |saw: Option<RecordKey>| {
            saw.iter().for_each(|key| numbers.saw(key));
            numbers.take("test").ok()
        };
        assert_eq!(take(None), Some(1), "it begins with 1");
        assert_eq!(take(None), Some(2), "and counts by one");
        assert_eq!(take(Some(number(10.0))), Some(11), "behind an explicit key");
        assert_eq!(take(Some(number(3.0))), Some(12), "a lesser one changes nothing");
        assert_eq!(take(Some(number(14.9))), Some(15), "fractions are cut off");
        assert_eq!(take(Some(number(-7.0))), Some(16));
        assert_eq!(take(Some(number(f64::NEG_INFINITY))), Some(17));
        assert_eq!(take(Some("99".into())), Some(18), "only numbers count");
        assert_eq!(take(Some(RecordKey::Date(1 << 40))), Some(19), "a date is no number");
        assert_eq!(take(Some((50u8,).into())), Some(20), "nor is an array of one");
        assert_eq!(take(Some(LAST.into())), None, "beyond 2^53 there is none");
        assert_eq!(take(Some(number(f64::INFINITY))), None);
        let mut numbers = Numbers::new(Some(LAST));
        assert_eq!(numbers.take("test").ok(), Some(LAST));
        assert!(matches!(numbers.take("test"), Err(Error::NoNumbers { store: "test" })));
    }

    #[test]
    fn what_is_not_stored_yet_is_told_until_it_is() {
        let mut numbers = Numbers::new(None);
        assert_eq!(numbers.unsaved(), None);
        numbers.take("test").unwrap();
        assert_eq!(numbers.unsaved(), Some(2));
        assert_eq!(numbers.unsaved(), Some(2), "a refused batch does not count");
        numbers.saved(2);
        assert_eq!(numbers.unsaved(), None);
        // Another device has counted further, or less far.
        numbers.merge(9);
        assert_eq!((numbers.unsaved(), numbers.take("test").unwrap()), (None, 9));
        numbers.merge(3);
        assert_eq!((numbers.unsaved(), numbers.take("test").unwrap()), (Some(10), 10));
    }
}
