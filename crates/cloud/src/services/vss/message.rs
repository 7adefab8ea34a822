//! The messages of the service, in the encoding of Protocol Buffers.
//!
//! Field numbers are those of `vss.proto`. Fields that are not known are skipped.

/// A key with its version, and its value where there is one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KeyValue {
    pub(super) key: String,
    /// 0: there must be none; n: it must be this one; -1: whatever there is.
    pub(super) version: i64,
    pub(super) value: Vec<u8>,
}

/// A page of a listing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) keys: Vec<KeyValue>,
    /// Empty at the end.
    pub(super) next: String,
}

/// What the service complains about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Complaint {
    Conflict,
    Invalid,
    Internal,
    NoSuchKey,
    Unauthorized,
    Unknown,
}

/// `GetObjectRequest`.
pub(super) fn get(store: &str, key: &str) -> Vec<u8> {
    let mut message = Vec::new();
    bytes(&mut message, 1, store.as_bytes());
    bytes(&mut message, 2, key.as_bytes());
    message
}

/// `PutObjectRequest`: one transaction. Sorted, because transactions that touch the same keys in
/// another order would wait for each other for ever.
pub(super) fn put(store: &str, mut puts: Vec<KeyValue>, mut deletes: Vec<KeyValue>) -> Vec<u8> {
    let mut message = Vec::new();
    bytes(&mut message, 1, store.as_bytes());
    puts.sort_by(|a, b| a.key.cmp(&b.key));
    deletes.sort_by(|a, b| a.key.cmp(&b.key));
    for item in &puts {
        bytes(&mut message, 3, &item.encode());
    }
    for item in &deletes {
        bytes(&mut message, 4, &item.encode());
    }
    message
}

/// `ListKeyVersionsRequest`.
pub(super) fn list(store: &str, prefix: &str, page: &str) -> Vec<u8> {
    let mut message = Vec::new();
    bytes(&mut message, 1, store.as_bytes());
    bytes(&mut message, 2, prefix.as_bytes());
    if !page.is_empty() {
        bytes(&mut message, 4, page.as_bytes());
    }
    message
}

/// `GetObjectResponse`.
pub(super) fn got(message: &[u8]) -> Option<KeyValue> {
    let mut found = None;
    for field in fields(message)? {
        if let (2, Field::Bytes(inner)) = field {
            found = Some(KeyValue::decode(inner)?);
        }
    }
    found
}

/// `ListKeyVersionsResponse`.
pub(super) fn listed(message: &[u8]) -> Option<Listed> {
    let mut listed = Listed::default();
    for field in fields(message)? {
        match field {
            (1, Field::Bytes(inner)) => listed.keys.push(KeyValue::decode(inner)?),
            (2, Field::Bytes(next)) => listed.next = text(next)?,
            _ => {}
        }
    }
    Some(listed)
}

/// `ErrorResponse`.
pub(super) fn complaint(message: &[u8]) -> Complaint {
    let code = fields(message).and_then(|fields| {
        fields.into_iter().find_map(|field| match field {
            (1, Field::Number(code)) => Some(code),
            _ => None,
        })
    });
    match code {
        Some(1) => Complaint::Conflict,
        Some(2) => Complaint::Invalid,
        Some(3) => Complaint::Internal,
        Some(4) => Complaint::NoSuchKey,
        Some(5) => Complaint::Unauthorized,
        _ => Complaint::Unknown,
    }
}

impl KeyValue {
    fn encode(&self) -> Vec<u8> {
        let mut message = Vec::new();
        bytes(&mut message, 1, self.key.as_bytes());
        if self.version != 0 {
            message.push(2 << 3);
            // Negative numbers as their two's complement.
            number(&mut message, self.version as u64);
        }
        if !self.value.is_empty() {
            bytes(&mut message, 3, &self.value);
        }
        message
    }

    fn decode(message: &[u8]) -> Option<Self> {
        let mut found = Self::default();
        for field in fields(message)? {
            match field {
                (1, Field::Bytes(key)) => found.key = text(key)?,
                (2, Field::Number(version)) => found.version = version as i64,
                (3, Field::Bytes(value)) => found.value = value.to_vec(),
                _ => {}
            }
        }
        Some(found)
    }
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

/// The fields of a message with their numbers; `None` if it is none.
fn fields(mut rest: &[u8]) -> Option<Vec<(u64, Field<'_>)>> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let head = read_number(&mut rest)?;
        let field = match head & 7 {
            0 => Field::Number(read_number(&mut rest)?),
            1 => {
                rest = rest.get(8..)?;
                Field::Other
            }
            2 => {
                let length = usize::try_from(read_number(&mut rest)?).ok()?;
                let (inner, after) = rest.split_at_checked(length)?;
                rest = after;
                Field::Bytes(inner)
            }
            5 => {
                rest = rest.get(4..)?;
                Field::Other
            }
            _ => return None,
        };
        found.push((head >> 3, field));
    }
    Some(found)
}

fn read_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn number(message: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        message.push(number as u8 | 0x80);
        number >>= 7;
    }
    message.push(number as u8);
}

fn bytes(message: &mut Vec<u8>, field: u8, content: &[u8]) {
    message.push(field << 3 | 2);
    number(message, content.len() as u64);
    message.extend_from_slice(content);
}

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str, version: i64, value: &[u8]) -> KeyValue {
        KeyValue { key: key.to_owned(), version, value: value.to_vec() }
    }

    /// By hand, from `vss.proto` and the encoding's own description.
    #[test]
    fn messages_are_those_of_the_protocol() {
        assert_eq!(get("s", "ab"), b"\x0a\x01s\x12\x02ab");
        assert_eq!(
            put("s", vec![pair("b", -1, b"x"), pair("a", 0, b"")], vec![pair("c", 300, b"")]),
            b"\x0a\x01s\
              \x1a\x03\x0a\x01a\
              \x1a\x11\x0a\x01b\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x1a\x01x\
              \x22\x06\x0a\x01c\x10\xac\x02"
        );
        assert_eq!(list("s", "p", ""), b"\x0a\x01s\x12\x01p");
        assert_eq!(list("s", "p", "t"), b"\x0a\x01s\x12\x01p\x22\x01t");
        assert_eq!(got(b"\x12\x08\x0a\x01k\x10\x02\x1a\x01v"), Some(pair("k", 2, b"v")));
        // With a field that is not known, and the global version.
        let page = listed(b"\x0a\x05\x0a\x01k\x10\x07\x12\x01n\x18\x09\x7d\0\0\0\0").unwrap();
        assert_eq!(page, Listed { keys: vec![pair("k", 7, b"")], next: "n".to_owned() });
        assert_eq!(complaint(b"\x08\x01\x12\x02no"), Complaint::Conflict);
        assert_eq!(complaint(b"<html>"), Complaint::Unknown);
    }

    #[test]
    fn what_is_cut_off_is_no_message() {
        let whole = b"\x12\x08\x0a\x01k\x10\x02\x1a\x01v";
        for end in 1..whole.len() {
            assert_eq!(got(&whole[..end]), None, "{end}");
        }
        assert_eq!(got(b""), None);
        assert_eq!(listed(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), None);
    }
}
