//! A value in the cache with its name. A small one lies behind its name and its count of users in
//! one piece of memory, so that reading it touches few places.

use bytes::Bytes;
use kv_core::{Key, MAX_NAME_LEN, Namespace, Value};

/// Stands between the parts of a name; in no name.
const SEPARATOR: u8 = 0xff;
/// Bytes of the longest name.
const LONGEST: usize = 3 * MAX_NAME_LEN + 2;
/// What the allocator and the counters of a value add, roughly.
const EXTRA: usize = 64;

/// Primary, secondary and key in one.
#[derive(Debug)]
pub(crate) struct FullName {
    bytes: [u8; LONGEST],
    len: usize,
}

/// A name and its value.
#[derive(Debug)]
pub(crate) struct Block {
    /// The value, behind its name unless that lies elsewhere.
    bytes: Bytes,
    name_len: u16,
    /// The name of a value that is too large to be copied.
    name: Option<Box<[u8]>>,
}

impl FullName {
    pub(crate) fn of(ns: &Namespace, key: &Key) -> Self {
        let mut name = Self { bytes: [0; LONGEST], len: 0 };
        name.push(ns.primary().as_bytes());
        name.push(&[SEPARATOR]);
        name.push(ns.secondary().as_bytes());
        name.push(&[SEPARATOR]);
        name.push(key.as_str().as_bytes());
        name
    }

    fn push(&mut self, part: &[u8]) {
        let end = self.len + part.len();
        if let Some(place) = self.bytes.get_mut(self.len..end) {
            place.copy_from_slice(part);
            self.len = end;
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Block {
    pub(crate) fn new(name: &FullName, value: Value) -> Self {
        let name_len = name.len as u16;
        match in_one_piece(name.bytes(), &value) {
            Some(bytes) => Self { bytes, name_len, name: None },
            None => Self { bytes: value.into_bytes(), name_len, name: Some(name.bytes().into()) },
        }
    }

    pub(crate) fn name(&self) -> &[u8] {
        match &self.name {
            None => self.bytes.get(..self.name_len.into()).unwrap_or_default(),
            Some(name) => name,
        }
    }

    pub(crate) fn value(&self) -> Value {
        match self.name {
            None => self.bytes.slice(usize::from(self.name_len)..).into(),
            Some(_) => self.bytes.clone().into(),
        }
    }

    /// Bytes of memory it takes.
    pub(crate) fn cost(&self) -> usize {
        match &self.name {
            None => EXTRA + piece(self.bytes.len()).unwrap_or(self.bytes.len()),
            Some(name) => EXTRA + name.len() + self.bytes.len(),
        }
    }

    /// Bytes of memory that it would take.
    pub(crate) fn cost_of(name: &FullName, value: &[u8]) -> usize {
        let len = name.len + value.len();
        EXTRA + piece(len).unwrap_or(len)
    }
}

/// Bytes in a piece of a fixed size.
struct Piece<const SIZE: usize> {
    bytes: [u8; SIZE],
    len: usize,
}

impl<const SIZE: usize> AsRef<[u8]> for Piece<SIZE> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl<const SIZE: usize> Piece<SIZE> {
    fn filled(parts: [&[u8]; 2]) -> Bytes {
        let mut piece = Self { bytes: [0; SIZE], len: 0 };
        for part in parts {
            let end = piece.len + part.len();
            if let Some(place) = piece.bytes.get_mut(piece.len..end) {
                place.copy_from_slice(part);
                piece.len = end;
            }
        }
        Bytes::from_owner(piece)
    }
}

/// The size of the piece that holds so many bytes; `None` if they are too many to be copied.
fn piece(len: usize) -> Option<usize> {
    [64, 128, 192, 256, 320, 448, 640, 896, 1280].into_iter().find(|size| len <= *size)
}

fn in_one_piece(name: &[u8], value: &[u8]) -> Option<Bytes> {
    let parts = [name, value];
    let size = piece(name.len() + value.len())?;
    Some(match size {
        64 => Piece::<64>::filled(parts),
        128 => Piece::<128>::filled(parts),
        192 => Piece::<192>::filled(parts),
        256 => Piece::<256>::filled(parts),
        320 => Piece::<320>::filled(parts),
        448 => Piece::<448>::filled(parts),
        640 => Piece::<640>::filled(parts),
        896 => Piece::<896>::filled(parts),
        _ => Piece::<1280>::filled(parts),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_value_come_back_whatever_their_lengths() {
        for key_len in [1, 17, 120] {
            let ns = Namespace::new(&"p".repeat(key_len), &"s".repeat(key_len)).unwrap();
            let key = Key::new(&"k".repeat(key_len)).unwrap();
            let name = FullName::of(&ns, &key);
            let expected = [ns.primary(), ns.secondary(), key.as_str()].map(str::as_bytes);
            assert_eq!(name.bytes(), expected.join(&SEPARATOR));
            for len in 0..3000 {
                let value: Vec<u8> = (0..len).map(|n| n as u8).collect();
                let block = Block::new(&name, value.clone().into());
                assert_eq!(block.name(), name.bytes(), "{len}");
                assert_eq!(*block.value(), value);
                assert_eq!(block.cost(), Block::cost_of(&name, &value));
                assert!(block.cost() >= name.bytes().len() + len);
            }
        }
    }
}
