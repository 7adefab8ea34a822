//! One key in the objects of a chain: what each layer says of it, and nothing else is kept.

use kv_core::Value;

use crate::{
    EntryName, Result, Run, frame,
    pieces::{Pieces, Whole},
};

/// Looks for one mergeable key in runs of entries, in the order of their objects.
#[derive(Debug)]
pub struct OneKey {
    name: EntryName,
    pieces: Pieces,
    found: Option<KeyState>,
    neighbours: u64,
}

/// What a layer says of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyState {
    /// It holds this, as its user wrote it.
    Value(Value),
    /// It is gone.
    Removed,
}

impl OneKey {
    /// Nothing was seen yet.
    pub fn new(name: EntryName) -> Self {
        Self { name, pieces: Pieces::default(), found: None, neighbours: 0 }
    }

    /// Which key.
    pub fn name(&self) -> &EntryName {
        &self.name
    }

    /// Looks through entries of the present layer. Where a dump holds a removal and a value of the
    /// key, the value counts.
    pub fn look(&mut self, run: Run) -> Result<()> {
        run.for_each(|entry, _| {
            let EntryName { primary, secondary, key } = &self.name;
            if entry.name.secondary != secondary || entry.name.primary != primary {
                return Ok(());
            }
            self.neighbours += entry.content.counts().0;
            if entry.name.key != key {
                return Ok(());
            }
            match self.pieces.push(entry.to_owned())? {
                Some((_, Whole::Value(value))) => {
                    let (_, value) = frame::unwrap(value.into())?;
                    self.found = Some(KeyState::Value(value));
                }
                Some((_, Whole::Removed(_))) if self.found.is_none() => {
                    self.found = Some(KeyState::Removed);
                }
                _ => {}
            }
            Ok(())
        })
    }

    /// What the present layer has said so far.
    pub fn found(&self) -> Option<&KeyState> {
        self.found.as_ref()
    }

    /// How many keys of the namespace the present layer has given a value so far.
    pub fn neighbours(&self) -> u64 {
        self.neighbours
    }

    /// Ends a layer: what it says of the key, if it names it.
    pub fn end_layer(&mut self) -> Result<Option<KeyState>> {
        self.pieces.finish()?;
        self.neighbours = 0;
        Ok(self.found.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Content, Entry, Error, Stamp, WriterId};

    fn name(key: &str) -> EntryName {
        EntryName { primary: "~fields".into(), secondary: String::new(), key: key.into() }
    }

    fn stamp() -> Stamp {
        Stamp { time: 1, counter: 2, writer: WriterId::from_bytes([3; 16]) }
    }

    fn value(key: &str, bytes: &[u8]) -> Entry {
        let framed = frame::wrap(&stamp(), bytes).to_vec();
        Entry { name: name(key), content: Content::Value(framed) }
    }

    fn removed(key: &str) -> Entry {
        Entry { name: name(key), content: Content::Removed(Some(stamp())) }
    }

    fn look(entries: Vec<Entry>) -> (Result<Option<KeyState>>, u64) {
        let mut key = OneKey::new(name("a"));
        key.look(entries.into()).unwrap();
        let neighbours = key.neighbours();
        (key.end_layer(), neighbours)
    }

    #[test]
    fn a_value_counts_beside_a_removal_and_other_keys_do_not() {
        let holds = |bytes: &[u8]| Some(KeyState::Value(Value::from(bytes)));
        assert_eq!(look(vec![value("b", b"x"), removed("c")]).0.unwrap(), None);
        assert_eq!(look(vec![removed("a"), value("b", b"x")]).0.unwrap(), Some(KeyState::Removed));
        assert_eq!(look(vec![removed("a"), value("a", b"x")]).0.unwrap(), holds(b"x"));
        assert_eq!(look(vec![value("a", b"x"), removed("a")]).0.unwrap(), holds(b"x"));
        let mut elsewhere = value("a", b"x");
        elsewhere.name.secondary = "s".into();
        let (found, neighbours) = look(vec![elsewhere, value("b", b"y"), value("a", b"z")]);
        assert_eq!((found.unwrap(), neighbours), (holds(b"z"), 2));
    }

    #[test]
    fn a_large_value_is_put_together_and_half_of_one_is_none() {
        let framed = frame::wrap(&stamp(), &[7; 100]);
        let piece = |begin: usize, end: usize| Entry {
            name: name("a"),
            content: Content::Piece {
                offset: begin as u64,
                total: framed.len() as u64,
                bytes: framed[begin..end].to_vec(),
            },
        };
        let (found, neighbours) = look(vec![piece(0, 50), piece(50, framed.len())]);
        assert_eq!(found.unwrap(), Some(KeyState::Value(Value::from(&[7; 100][..]))));
        assert_eq!(neighbours, 1);
        assert!(matches!(look(vec![piece(0, 50)]).0, Err(Error::BrokenChain { .. })));
    }
}
