//! A batch as the payload of a frame. The format is specified in the book, `kv-fs-v1`.

use kv_core::{Key, Namespace, Value};

use crate::{
    bytes::{Reader, put_name},
    table::{Effect, Stamp},
};

const REMOVE: u8 = 0;
const PUT: u8 = 1;
const PUT_BIG: u8 = 2;

/// What a batch does to one key, with big values already in files of their own.
pub(crate) type Changes = Vec<(Namespace, Key, Effect)>;

/// Bytes before the first change, set by [`set_first_creation`].
const FIRST_CREATION: std::ops::Range<usize> = 0..8;

/// The payload, with the number for the first key it creates still open.
pub(crate) fn encode(changes: &Changes) -> Vec<u8> {
    let mut out = vec![0; FIRST_CREATION.end];
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

/// The creation number of the first change, and the changes.
pub(crate) fn decode(payload: &[u8]) -> Option<(u64, Changes)> {
    let mut reader = Reader(payload);
    let first_creation = reader.number()?;
    let count = reader.u32()?;
    let mut changes = Changes::new();
    for _ in 0..count {
        let kind = reader.u8()?;
        let (ns, key) = reader.name()?;
        let effect = match kind {
            REMOVE => Effect::Remove,
            PUT => {
                let len = reader.u32()?;
                Effect::Put(Value::from(reader.take(len as usize)?))
            }
            PUT_BIG => {
                let id = reader.number()?;
                Effect::PutBig(id, Stamp { size: reader.u64()?, crc: reader.u32()? })
            }
            _ => return None,
        };
        changes.push((ns, key, effect));
    }
    reader.is_empty().then_some((first_creation, changes))
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
        assert_eq!(decode(&bytes), Some((42, changes())));
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
