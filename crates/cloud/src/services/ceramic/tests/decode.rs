//! Reads the blocks of commits, as a node must.

use serde_json::{Map, Value, json};

use super::super::cid::Cid;

/// The item of a block; links are `{"/": CID}`, as in DAG-JSON.
pub(super) fn decode(block: &[u8]) -> Value {
    let mut rest = block;
    let value = item(&mut rest);
    assert!(rest.is_empty(), "bytes after the item");
    value
}

fn item(rest: &mut &[u8]) -> Value {
    let (major, number) = head(rest);
    let length = usize::try_from(number).unwrap();
    match major {
        0 => json!(number),
        2 => json!(take(rest, length)),
        3 => json!(String::from_utf8(take(rest, length).to_vec()).unwrap()),
        4 => (0..length).map(|_| item(rest)).collect(),
        5 => {
            let entries = (0..length).map(|_| match item(rest) {
                Value::String(key) => (key, item(rest)),
                other => panic!("{other} as a key"),
            });
            Value::Object(entries.collect::<Map<_, _>>())
        }
        6 => {
            assert_eq!(number, 42);
            let (major, length) = head(rest);
            assert_eq!(major, 2);
            let bytes = take(rest, usize::try_from(length).unwrap());
            assert_eq!(bytes[0], 0);
            let text = data_encoding::BASE32_NOPAD.encode(&bytes[1..]).to_ascii_lowercase();
            json!({"/": Cid::parse(&format!("b{text}")).unwrap().to_string()})
        }
        _ => panic!("major type {major}"),
    }
}

fn head(rest: &mut &[u8]) -> (u8, u64) {
    let first = take(rest, 1)[0];
    let number = match first & 0x1f {
        short @ 0..24 => u64::from(short),
        long => {
            let bytes = take(rest, 1 << (long - 24));
            bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
        }
    };
    (first >> 5, number)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at(length);
    *rest = left;
    taken
}
