//! The rules on cursors as a table.

use std::ops::Bound;

use records::{Cursor, Direction, KeyRange, ObjectStore, Query, RecordKey};

use super::{Move, Person, go};
use crate::common::{mem, open};

fn people(names: &[&str]) -> ObjectStore<Person> {
    let store = open::<Person>(&mem());
    for (id, name) in (0..).zip(names) {
        let person = Person { id, name: (*name).to_owned(), friends: Vec::new() };
        store.put(&person).unwrap().wait().unwrap();
    }
    store
}

fn place(cursor: &Cursor<Person>) -> Option<String> {
    let RecordKey::String(name) = cursor.key()? else { return Some(format!("{}", id(cursor)?)) };
    Some(format!("{name}:{}", id(cursor)?))
}

fn id(cursor: &Cursor<Person>) -> Option<u32> {
    let person = cursor.record()?;
    assert_eq!(cursor.primary_key(), Some(person.id.into()));
    assert_eq!(cursor.found().unwrap(), *person);
    Some(person.id)
}

/// One row: the rule, the direction, the range, the moves, and where the cursor stands at first and
/// after each move: a place, "end", or "no" if the move is refused and the cursor stays.
type Row = (&'static str, Direction, KeyRange, Vec<Move>, &'static str);

/// Sections are those of the Indexed Database API 3.0 (W3C).
#[test]
fn the_rules_of_the_w3c_text_on_cursors_hold() {
    use Direction::{Backward, BackwardUnique, Forward, ForwardUnique};
    use Move::{Advance, Step, To, ToRecord};
    let store = people(&["Alice", "Bob", "Bob", "Bob", "Greg", "Zoe"]);
    let all = KeyRange::all;
    let steps = |count| vec![Step; count];
    let to = |name: &str| To(name.into());
    let record = |name: &str, id: u32| ToRecord(name.into(), id.into());
    let bob = RecordKey::from("Bob");
    let (up_to_bob, bob_on) = (KeyRange::within(..=&bob), KeyRange::within(&bob..));
    let behind_bob = KeyRange::within((Bound::Excluded(bob.clone()), Bound::Unbounded));
    let rows: Vec<Row> = vec![
        (
            "2.10 next: all records, in ascending order of keys, equal keys by primary key",
            Forward,
            all(),
            steps(6),
            "Alice:0 Bob:1 Bob:2 Bob:3 Greg:4 Zoe:5 end",
        ),
        (
            "2.10 nextunique: of each key the first record",
            ForwardUnique,
            all(),
            steps(4),
            "Alice:0 Bob:1 Greg:4 Zoe:5 end",
        ),
        (
            "2.10 prev: all records, in descending order",
            Backward,
            all(),
            steps(6),
            "Zoe:5 Greg:4 Bob:3 Bob:2 Bob:1 Alice:0 end",
        ),
        (
            "2.10 prevunique: of each key the first record, not the last",
            BackwardUnique,
            all(),
            steps(4),
            "Zoe:5 Greg:4 Bob:1 Alice:0 end",
        ),
        (
            "6.7 next: the record's key is in range",
            Forward,
            bob_on.clone(),
            steps(1),
            "Bob:1 Bob:2",
        ),
        (
            "6.7 prev: the record's key is in range",
            Backward,
            up_to_bob.clone(),
            steps(3),
            "Bob:3 Bob:2 Bob:1 Alice:0",
        ),
        (
            "6.7 prevunique: the record's key is in range",
            BackwardUnique,
            up_to_bob,
            steps(2),
            "Bob:1 Alice:0 end",
        ),
        (
            "6.7 nextunique: the record's key is in range",
            ForwardUnique,
            behind_bob.clone(),
            steps(2),
            "Greg:4 Zoe:5 end",
        ),
        (
            "6.7 no record: the cursor has no key, no primary key, no value",
            Forward,
            KeyRange::only("Carol"),
            vec![],
            "end",
        ),
        (
            "6.7 next, key: the first record with that key",
            Forward,
            all(),
            vec![to("Bob"), Step],
            "Alice:0 Bob:1 Bob:2",
        ),
        ("6.7 next, key: or a greater one", Forward, all(), vec![to("Carol")], "Alice:0 Greg:4"),
        ("6.7 next, key: no such record", Forward, all(), vec![to("Zoe2")], "Alice:0 end"),
        (
            "6.7 nextunique, key: greater than or equal",
            ForwardUnique,
            all(),
            vec![to("Bob"), Step],
            "Alice:0 Bob:1 Greg:4",
        ),
        (
            "6.7 prev, key: the last record with that key",
            Backward,
            all(),
            vec![to("Bob"), Step],
            "Zoe:5 Bob:3 Bob:2",
        ),
        ("6.7 prev, key: or a lesser one", Backward, all(), vec![to("Carol")], "Zoe:5 Bob:3"),
        (
            "6.7 prevunique, key: the first record of the last key that fits",
            BackwardUnique,
            all(),
            vec![to("Carol"), Step],
            "Zoe:5 Bob:1 Alice:0",
        ),
        (
            "6.7 next, key beyond the range",
            Forward,
            KeyRange::within(..=&bob),
            vec![to("Greg")],
            "Alice:0 end",
        ),
        ("6.7 prev, key beyond the range", Backward, behind_bob, vec![to("Alice")], "Zoe:5 end"),
        (
            "6.7 next, key and primary key: equal",
            Forward,
            all(),
            vec![record("Bob", 2), Step],
            "Alice:0 Bob:2 Bob:3",
        ),
        (
            "6.7 next, key and primary key: greater primary key, then greater key",
            Forward,
            all(),
            vec![record("Bob", 9)],
            "Alice:0 Greg:4",
        ),
        (
            "6.7 prev, key and primary key: equal",
            Backward,
            all(),
            vec![record("Bob", 2), Step],
            "Zoe:5 Bob:2 Bob:1",
        ),
        (
            "6.7 prev, key and primary key: lesser primary key, then lesser key",
            Backward,
            all(),
            vec![record("Bob", 0)],
            "Zoe:5 Alice:0",
        ),
        (
            "6.7 next, key and primary key: within the same key",
            Forward,
            bob_on,
            vec![record("Bob", 3)],
            "Bob:1 Bob:3",
        ),
        (
            "6.7 count: so many records further",
            Forward,
            all(),
            vec![Advance(2), Advance(3)],
            "Alice:0 Bob:2 Zoe:5",
        ),
        (
            "6.7 count: so many keys further",
            ForwardUnique,
            all(),
            vec![Advance(2), Advance(1)],
            "Alice:0 Greg:4 Zoe:5",
        ),
        ("6.7 count, prev", Backward, all(), vec![Advance(3), Advance(2)], "Zoe:5 Bob:2 Alice:0"),
        (
            "6.7 count, prevunique",
            BackwardUnique,
            all(),
            vec![Advance(2), Advance(9)],
            "Zoe:5 Bob:1 end",
        ),
        ("6.7 count: beyond the end", Forward, all(), vec![Advance(6)], "Alice:0 end"),
        (
            "IDBCursor advance(): a count of 0 is an error",
            Forward,
            all(),
            vec![Advance(0), Step],
            "Alice:0 no Bob:1",
        ),
        (
            "IDBCursor advance(): at the end it is an error",
            Forward,
            all(),
            vec![Advance(6), Advance(1)],
            "Alice:0 end no",
        ),
        (
            "IDBCursor continue(): next, a key equal to the position is an error",
            Forward,
            all(),
            vec![to("Alice")],
            "Alice:0 no",
        ),
        (
            "IDBCursor continue(): next, a key behind the position is an error",
            Forward,
            all(),
            vec![to("Greg"), to("Bob"), Step],
            "Alice:0 Greg:4 no Zoe:5",
        ),
        (
            "IDBCursor continue(): prev, a key equal to the position is an error",
            Backward,
            all(),
            vec![to("Zoe")],
            "Zoe:5 no",
        ),
        (
            "IDBCursor continue(): prev, a key behind the position is an error",
            Backward,
            all(),
            vec![to("Bob"), to("Greg")],
            "Zoe:5 Bob:3 no",
        ),
        (
            "IDBCursor continue(): at the end it is an error",
            Forward,
            all(),
            vec![to("Zz"), to("Zzz")],
            "Alice:0 end no",
        ),
        (
            "IDBCursor continuePrimaryKey(): a key behind the position is an error",
            Forward,
            all(),
            vec![to("Greg"), record("Bob", 9)],
            "Alice:0 Greg:4 no",
        ),
        (
            "IDBCursor continuePrimaryKey(): the same key and primary key are an error",
            Forward,
            all(),
            vec![to("Bob"), record("Bob", 1)],
            "Alice:0 Bob:1 no",
        ),
        (
            "IDBCursor continuePrimaryKey(): a primary key behind is an error",
            Backward,
            all(),
            vec![to("Bob"), record("Bob", 4)],
            "Zoe:5 Bob:3 no",
        ),
        (
            "IDBCursor continuePrimaryKey(): not with nextunique",
            ForwardUnique,
            all(),
            vec![record("Bob", 2)],
            "Alice:0 no",
        ),
        (
            "IDBCursor continuePrimaryKey(): not with prevunique",
            BackwardUnique,
            all(),
            vec![record("Bob", 2)],
            "Zoe:5 no",
        ),
    ];
    for (rule, direction, range, moves, expected) in rows {
        let query = Query::index("name").range(range).direction(direction);
        let mut cursor = store.cursor(&query).unwrap();
        let show = |cursor: &Cursor<Person>| place(cursor).unwrap_or_else(|| "end".to_owned());
        let mut seen = vec![show(&cursor)];
        for to in &moves {
            let before = place(&cursor);
            seen.push(match go(&mut cursor, to) {
                None => {
                    assert_eq!(place(&cursor), before, "{rule}: it stays");
                    "no".to_owned()
                }
                Some(found) => {
                    assert_eq!(found, cursor.record().is_some(), "{rule}");
                    show(&cursor)
                }
            });
        }
        assert_eq!(seen.join(" "), expected, "{rule}");
    }
}

#[test]
fn over_the_records_themselves_keys_are_unique_anyway() {
    let store = people(&["Alice", "Bob", "Bob"]);
    for (direction, expected) in [
        (Direction::Forward, "0 1 2"),
        (Direction::ForwardUnique, "0 1 2"),
        (Direction::Backward, "2 1 0"),
        (Direction::BackwardUnique, "2 1 0"),
    ] {
        let mut cursor = store.cursor(&Query::all().direction(direction)).unwrap();
        assert_eq!(go(&mut cursor, &Move::ToRecord(1u32.into(), 1u32.into())), None, "no index");
        let mut seen = Vec::new();
        while let Some(id) = id(&cursor) {
            assert_eq!(cursor.key(), cursor.primary_key());
            seen.push(id.to_string());
            cursor.step();
        }
        assert_eq!(seen.join(" "), expected);
    }
}
