//! The algorithm of the W3C text, word for word, beside the code.

use std::{
    collections::BTreeSet,
    ops::{Bound, RangeBounds},
};

use proptest::prelude::*;
use records::{Cursor, Direction, KeyRange, Query, RecordKey};

use super::{Move, Person, go};
use crate::common::{mem, open};

/// An entry of the list of records: key and primary key.
type Entry = (RecordKey, RecordKey);

/// "Iterate a cursor" (section 6.7), step by step over a plain list.
struct Spec {
    records: Vec<Entry>,
    range: (Bound<RecordKey>, Bound<RecordKey>),
    source_is_index: bool,
    direction: Direction,
    position: Option<Entry>,
    got_value: bool,
}

impl Spec {
    fn iterate(&mut self, key: Option<&RecordKey>, primary: Option<&RecordKey>, count: usize) {
        let mut position = self.position.clone();
        let mut found = None;
        for _ in 0..count {
            found = self.find(position.as_ref(), key, primary);
            if found.is_none() {
                break;
            }
            position.clone_from(&found);
        }
        self.got_value = found.is_some();
        if found.is_some() {
            self.position = found;
        }
    }

    fn find(
        &self,
        position: Option<&Entry>,
        key: Option<&RecordKey>,
        primary: Option<&RecordKey>,
    ) -> Option<Entry> {
        let forward = matches!(self.direction, Direction::Forward | Direction::ForwardUnique);
        let every = matches!(self.direction, Direction::Forward | Direction::Backward);
        // "greater than" for the one direction, "less than" for the other.
        let beyond = |a: &RecordKey, b: &RecordKey| if forward { a > b } else { a < b };
        let satisfies = |(k, p): &&Entry| {
            key.is_none_or(|key| k == key || beyond(k, key))
                && primary.is_none_or(|primary| {
                    key.is_some_and(|key| {
                        (k == key && (p == primary || beyond(p, primary))) || beyond(k, key)
                    })
                })
                && position.is_none_or(|(at, at_primary)| {
                    beyond(k, at)
                        || (every && self.source_is_index && k == at && beyond(p, at_primary))
                })
                && self.range.contains(k)
        };
        let mut satisfying = self.records.iter().filter(satisfies);
        let found = if forward { satisfying.next() } else { satisfying.next_back() }?;
        if self.direction == Direction::BackwardUnique {
            return self.records.iter().find(|(k, _)| *k == found.0).cloned();
        }
        Some(found.clone())
    }

    /// What the methods of `IDBCursor` check, and then do. `None`: an exception.
    fn go(&mut self, to: &Move) -> Option<bool> {
        let forward = matches!(self.direction, Direction::Forward | Direction::ForwardUnique);
        let every = matches!(self.direction, Direction::Forward | Direction::Backward);
        let ahead = |a: &RecordKey, b: &RecordKey| if forward { a > b } else { a < b };
        match to {
            Move::Step if !self.got_value => return Some(false),
            Move::Step => self.iterate(None, None, 1),
            Move::Advance(count) => {
                if *count == 0 || !self.got_value {
                    return None;
                }
                self.iterate(None, None, *count);
            }
            Move::To(key) => {
                if !self.got_value || !ahead(key, &self.position.as_ref()?.0) {
                    return None;
                }
                self.iterate(Some(key), None, 1);
            }
            Move::ToRecord(key, primary) => {
                if !self.source_is_index || !every || !self.got_value {
                    return None;
                }
                let (at, at_primary) = self.position.as_ref()?;
                if !(ahead(key, at) || (key == at && ahead(primary, at_primary))) {
                    return None;
                }
                self.iterate(Some(key), Some(primary), 1);
            }
        }
        Some(self.got_value)
    }
}

const NAMES: [&str; 6] = ["", "a", "ab", "b", "b\u{0}", "c"];

fn any_name() -> impl Strategy<Value = String> {
    prop::sample::select(NAMES.to_vec()).prop_map(str::to_owned)
}

fn any_person() -> impl Strategy<Value = Person> {
    let friends = prop::collection::vec(any_name(), 0..4);
    (0u32..12, any_name(), friends).prop_map(|(id, name, friends)| Person { id, name, friends })
}

/// Keys of the source, more or less.
fn any_key(by_index: bool) -> BoxedStrategy<RecordKey> {
    if by_index {
        any_name().prop_map(RecordKey::from).boxed()
    } else {
        (0u32..13).prop_map(RecordKey::from).boxed()
    }
}

fn any_run() -> impl Strategy<Value = (usize, Bound<RecordKey>, Bound<RecordKey>, Vec<Move>)> {
    (0usize..3).prop_flat_map(|source| {
        let key = move || any_key(source > 0);
        let bound = move || {
            prop_oneof![
                3 => Just(Bound::Unbounded),
                1 => key().prop_map(Bound::Included),
                1 => key().prop_map(Bound::Excluded),
            ]
        };
        let step = prop_oneof![
            3 => Just(Move::Step),
            1 => (0usize..4).prop_map(Move::Advance),
            2 => key().prop_map(Move::To),
            2 => (key(), 0u32..13).prop_map(|(key, id)| Move::ToRecord(key, id.into())),
        ];
        (Just(source), bound(), bound(), prop::collection::vec(step, 0..12))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_cursor_moves_as_the_algorithm_of_the_w3c_text(
        people in prop::collection::vec(any_person(), 0..12),
        (source, low, high, moves) in any_run(),
        direction in prop::sample::select(vec![
            Direction::Forward, Direction::ForwardUnique, Direction::Backward, Direction::BackwardUnique,
        ]),
    ) {
        let store = open::<Person>(&mem());
        store.put_many(&people).unwrap().wait().unwrap();
        let mut records: Vec<Entry> = Vec::new();
        for person in store.get_all().unwrap() {
            let keys: BTreeSet<RecordKey> = match source {
                0 => [person.id.into()].into(),
                1 => [(&person.name).into()].into(),
                _ => person.friends.iter().map(RecordKey::from).collect(),
            };
            records.extend(keys.into_iter().map(|key| (key, person.id.into())));
        }
        records.sort();
        let query = match source {
            0 => Query::all(),
            1 => Query::index("name"),
            _ => Query::index("friend"),
        };
        let range = (low, high);
        let query = query.range(KeyRange::within(range.clone())).direction(direction);
        let mut cursor = store.cursor(&query).unwrap();
        let mut spec = Spec {
            records, range, source_is_index: source > 0, direction, position: None, got_value: true,
        };
        // BTreeMap-like ranges that are the wrong way round hold no key, as ours.
        spec.iterate(None, None, 1);
        let place = |cursor: &Cursor<Person>| cursor.key().zip(cursor.primary_key());
        let at = |spec: &Spec| spec.position.clone().filter(|_| spec.got_value);
        prop_assert_eq!(place(&cursor), at(&spec));
        for to in &moves {
            prop_assert_eq!(go(&mut cursor, to), spec.go(to), "{:?}", to);
            prop_assert_eq!(place(&cursor), at(&spec), "{:?}", to);
        }
    }
}
