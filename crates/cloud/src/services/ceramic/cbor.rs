//! The blocks of commits: DAG-CBOR, written only.
//!
//! Source: the DAG-CBOR specification of IPLD (RFC 8949, deterministic, shortest lengths, keys of
//! maps sorted by length and then by their bytes, links as tag 42 over a zero byte and the CID).

use serde_json::Value;

use super::cid::Cid;

/// What a block is made of.
#[derive(Debug, Clone)]
pub(super) enum Node<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
    Link(&'a Cid),
    List(Vec<Node<'a>>),
    Map(Vec<(&'a str, Node<'a>)>),
    /// Text, whole numbers from zero, lists and maps of them. Other numbers have no form that all
    /// versions of the service agree on.
    Json(&'a Value),
}

/// Something that has no agreed form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("only text, whole numbers from zero, lists and maps can be signed")]
pub(super) struct NoForm;

impl Node<'_> {
    /// The block.
    pub(super) fn encode(&self) -> Result<Vec<u8>, NoForm> {
        let mut out = Vec::new();
        self.write(&mut out)?;
        Ok(out)
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), NoForm> {
        match self {
            Self::Text(text) => text_string(text, out),
            Self::Bytes(bytes) => byte_string(bytes, out),
            Self::Link(cid) => {
                head(6, 42, out);
                byte_string(&[&[0], cid.as_bytes()].concat(), out);
            }
            Self::List(items) => {
                head(4, items.len() as u64, out);
                for item in items {
                    item.write(out)?;
                }
            }
            Self::Map(entries) => {
                let mut entries: Vec<_> = entries.iter().collect();
                entries.sort_by_key(|(key, _)| (key.len(), *key));
                head(5, entries.len() as u64, out);
                for (key, value) in entries {
                    text_string(key, out);
                    value.write(out)?;
                }
            }
            Self::Json(value) => json(value, out)?,
        }
        Ok(())
    }
}

fn json(value: &Value, out: &mut Vec<u8>) -> Result<(), NoForm> {
    match value {
        Value::String(text) => text_string(text, out),
        Value::Number(number) => head(0, number.as_u64().ok_or(NoForm)?, out),
        Value::Array(items) => Node::List(items.iter().map(Node::Json).collect()).write(out)?,
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| (key.as_str(), Node::Json(value)));
            Node::Map(entries.collect()).write(out)?;
        }
        Value::Null | Value::Bool(_) => return Err(NoForm),
    }
    Ok(())
}

fn text_string(text: &str, out: &mut Vec<u8>) {
    head(3, text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

fn byte_string(bytes: &[u8], out: &mut Vec<u8>) {
    head(2, bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// The first bytes of an item: its kind and its number or length, as short as possible.
fn head(major: u8, number: u64, out: &mut Vec<u8>) {
    let bytes = number.to_be_bytes();
    let (short, length) = match number {
        0..24 => (bytes[7], 0),
        24..0x100 => (24, 1),
        0x100..0x1_0000 => (25, 2),
        0x1_0000..0x1_0000_0000 => (26, 4),
        _ => (27, 8),
    };
    out.push(major << 5 | short);
    out.extend(bytes.iter().skip(8 - length));
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use serde_json::json;

    use super::*;

    fn hex(value: &Value) -> String {
        HEXLOWER.encode(&Node::Json(value).encode().unwrap())
    }

    /// From appendix A of RFC 8949.
    #[test]
    fn known_items_are_written_as_others_write_them() {
        for (value, expected) in [
            (json!(0), "00"),
            (json!(23), "17"),
            (json!(24), "1818"),
            (json!(1000), "1903e8"),
            (json!(1_000_000), "1a000f4240"),
            (json!(u64::MAX), "1bffffffffffffffff"),
            (json!(""), "60"),
            (json!("\u{fc}"), "62c3bc"),
            (json!([]), "80"),
            (json!(["a", {"b": "c"}]), "826161a161626163"),
        ] {
            assert_eq!(hex(&value), expected, "{value}");
        }
        let bytes = Node::Bytes(&[1, 2, 3, 4]).encode().unwrap();
        assert_eq!(HEXLOWER.encode(&bytes), "4401020304");
    }

    #[test]
    fn keys_are_sorted_by_length_first() {
        assert_eq!(hex(&json!({"b": 0, "aa": 1, "c": 2})), "a361620061630262616101");
    }

    #[test]
    fn what_has_no_agreed_form_is_refused() {
        for value in [json!(1.5), json!(-1), json!(null), json!(true), json!([null])] {
            assert_eq!(Node::Json(&value).encode(), Err(NoForm), "{value}");
        }
    }
}
