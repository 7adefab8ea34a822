//! A batch as the payload of a frame. The format is specified in the book, `kv-fs-v1`.

use std::ops::Deref;

use kv_core::{Key, Namespace, Value};

use crate::{
    bytes::{Reader, put_name},
    table::{Effect, Name, Stamp},
};

const REMOVE: u8 = 0;
const PUT: u8 = 1;
const PUT_BIG: u8 = 2;

/// What a batch does to one key, with big values already in files of their own.
pub(crate) type Changes = Vec<(Namespace, Key, Effect)>;

/// Bytes before the first change, set by [`set_first_creation`].
const FIRST_CREATION: std::ops::Range<usize> = 0..8;

/// Bytes that a change may have beside its value: short names.
const MORE: usize = 64;

/// The payload, with the number for the first key it creates still open.
pub(crate) fn encode(changes: &Changes) -> Vec<u8> {
    let len = |(_, _, effect): &(_, _, Effect)| match effect {
        Effect::Put(value) => value.len() + MORE,
        _ => MORE,
    };
    let mut out = Vec::with_capacity(changes.iter().map(len).sum::<usize>() + MORE);
    out.resize(FIRST_CREATION.end, 0);
    out.extend_from_slice(&(changes.len() as u32).to_le_bytes());
    for (ns, key, effect) in changes {
        match effect {
            Effect::Remove => {
                out.push(REMOVE);
                put_name(&mut out, ns, key);
            }
            Effect::Put(value) => {
                out.push(PUT);
                put_name(&mut out, ns, key);
                out.extend_from_slice(&(value.len() as u32).to_le_bytes());
                out.extend_from_slice(value);
            }
            Effect::PutBig(id, stamp) => {
                out.push(PUT_BIG);
                put_name(&mut out, ns, key);
                out.extend_from_slice(&id.to_le_bytes());
                out.extend_from_slice(&stamp.size.to_le_bytes());
                out.extend_from_slice(&stamp.crc.to_le_bytes());
            }
        }
    }
    out
}

/// Sets the creation number of the first change; the change at place n has this plus n, used if
/// it creates its key.
pub(crate) fn set_first_creation(payload: &mut [u8], first: u64) {
    if let Some(place) = payload.get_mut(FIRST_CREATION) {
        place.copy_from_slice(&first.to_le_bytes());
    }
}

/// A change as a payload has it: nothing is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawChange<'a> {
    /// Primary, secondary and key, each behind its length.
    pub(crate) name: &'a [u8],
    pub(crate) effect: RawEffect<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RawEffect<'a> {
    Remove,
    Put(&'a [u8]),
    PutBig(u64, Stamp),
}

impl RawChange<'_> {
    /// Its name; `None` if that breaks the rules.
    pub(crate) fn named(&self) -> Option<Name> {
        Reader(self.name).name()
    }

    /// The effect as the table takes it.
    pub(crate) fn effect(&self) -> Effect {
        match self.effect {
            RawEffect::Remove => Effect::Remove,
            RawEffect::Put(value) => Effect::Put(Value::from(value)),
            RawEffect::PutBig(id, stamp) => Effect::PutBig(id, stamp),
        }
    }
}

/// The changes of one batch. Most batches have one, and a log millions of batches: it lies here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RawChanges<'a> {
    One([RawChange<'a>; 1]),
    Any(Vec<RawChange<'a>>),
}

impl<'a> Deref for RawChanges<'a> {
    type Target = [RawChange<'a>];

    fn deref(&self) -> &Self::Target {
        match self {
            Self::One(one) => one,
            Self::Any(changes) => changes,
        }
    }
}

/// The creation number of the first change, and the changes. The names are not checked yet.
pub(crate) fn decode(payload: &[u8]) -> Option<(u64, RawChanges<'_>)> {
    let mut reader = Reader(payload);
    let first_creation = reader.number()?;
    let count = reader.u32()?;
    let changes = if count == 1 {
        RawChanges::One([decode_change(&mut reader)?])
    } else {
        // A count may say anything; the shortest change has five bytes.
        let mut changes = Vec::with_capacity((count as usize).min(payload.len() / 5));
        for _ in 0..count {
            changes.push(decode_change(&mut reader)?);
        }
        RawChanges::Any(changes)
    };
    reader.is_empty().then_some((first_creation, changes))
}

fn decode_change<'a>(reader: &mut Reader<'a>) -> Option<RawChange<'a>> {
    let kind = reader.u8()?;
    let name = reader.raw_name()?;
    let effect = match kind {
        REMOVE => RawEffect::Remove,
        PUT => {
            let len = reader.u32()?;
            RawEffect::Put(reader.take(len as usize)?)
        }
        PUT_BIG => {
            let id = reader.number()?;
            RawEffect::PutBig(id, Stamp { size: reader.u64()?, crc: reader.u32()? })
        }
        _ => return None,
    };
    Some(RawChange { name, effect })
}

/// Appends a payload of such changes; [`encode`] makes the same bytes of the same changes.
pub(crate) fn encode_raw(out: &mut Vec<u8>, first_creation: u64, changes: &[RawChange<'_>]) {
    out.extend_from_slice(&first_creation.to_le_bytes());
    out.extend_from_slice(&(changes.len() as u32).to_le_bytes());
    for RawChange { name, effect } in changes {
        out.push(match effect {
            RawEffect::Remove => REMOVE,
            RawEffect::Put(_) => PUT,
            RawEffect::PutBig(..) => PUT_BIG,
        });
        out.extend_from_slice(name);
        match effect {
            RawEffect::Remove => {}
            RawEffect::Put(value) => {
                out.extend_from_slice(&(value.len() as u32).to_le_bytes());
                out.extend_from_slice(value);
            }
            RawEffect::PutBig(id, stamp) => {
                out.extend_from_slice(&id.to_le_bytes());
                out.extend_from_slice(&stamp.size.to_le_bytes());
                out.extend_from_slice(&stamp.crc.to_le_bytes());
            }
        }
    }
}

/// Bytes of such a payload.
pub(crate) fn raw_len(changes: &[RawChange<'_>]) -> usize {
    let change = |change: &RawChange<'_>| {
        let effect = match change.effect {
            RawEffect::Remove => 0,
            RawEffect::Put(value) => 4 + value.len(),
            RawEffect::PutBig(..) => 20,
        };
        1 + change.name.len() + effect
    };
    12 + changes.iter().map(change).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes() -> Changes {
        let user = Namespace::new("Monitors", "").unwrap();
        let own = Namespace::reserved("~vault", "names").unwrap();
        vec![
            (user.clone(), Key::new("a").unwrap(), Effect::Put(Value::from("value"))),
            (user, Key::new("b").unwrap(), Effect::PutBig(9, Stamp { size: 1 << 30, crc: 77 })),
            (own, Key::number(3), Effect::Remove),
        ]
    }

    #[test]
    fn golden_batch_bytes() {
        let mut bytes = encode(&changes());
        set_first_creation(&mut bytes, 42);
        assert_eq!(bytes, include_bytes!("../tests/golden/v1/batch.bin"));
        let (first, raw) = decode(&bytes).unwrap();
        let named = |change: &RawChange<'_>| {
            let (ns, key) = change.named().unwrap();
            (ns, key, change.effect())
        };
        let named: Vec<_> = raw.iter().map(named).collect();
        assert_eq!((first, named), (42, changes()));
        let mut again = Vec::new();
        encode_raw(&mut again, 42, &raw);
        assert_eq!((again, raw_len(&raw)), (bytes.clone(), bytes.len()));
    }

    #[test]
    fn a_cut_payload_is_no_batch() {
        let bytes = encode(&changes());
        for at in 0..bytes.len() {
            assert_eq!(decode(&bytes[..at]), None, "cut at {at}");
        }
        assert_eq!(decode(&[bytes, vec![0]].concat()), None);
    }
}
