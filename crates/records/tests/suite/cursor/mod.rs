//! Cursors move as the W3C text says.

mod algorithm;
mod rules;

use records::{Cursor, Error, Index, Record, RecordKey};
use serde::{Deserialize, Serialize};

/// Somebody with friends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Person {
    id: u32,
    name: String,
    friends: Vec<String>,
}

impl Record for Person {
    const STORE: &'static str = "people";
    const VERSION: u32 = 1;
    const INDEXES: &'static [Index<Self>] = &[
        Index::new("name", |person| Some((&person.name).into())),
        Index::each("friend", |person| person.friends.iter().map(RecordKey::from).collect()),
    ];

    fn key(&self) -> RecordKey {
        self.id.into()
    }
}

#[derive(Debug, Clone)]
enum Move {
    Step,
    Advance(usize),
    To(RecordKey),
    ToRecord(RecordKey, RecordKey),
}

/// Whether a move found a record; `None`: it was refused.
fn go(cursor: &mut Cursor<Person>, to: &Move) -> Option<bool> {
    let went = match to.clone() {
        Move::Step => Ok(cursor.step()),
        Move::Advance(steps) => cursor.advance(steps),
        Move::To(key) => cursor.continue_to(key),
        Move::ToRecord(key, primary) => cursor.continue_to_record(key, primary),
    };
    match went {
        Ok(found) => Some(found),
        Err(Error::Cursor { store: "people", .. }) => None,
        Err(error) => panic!("{error:?}"),
    }
}
