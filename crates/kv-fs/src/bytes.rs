//! Little-endian bytes, read without panicking.

use kv_core::{Key, Namespace};

/// The largest sequence, creation number, or number of a file, of all that are ever given.
pub(crate) const LARGEST: u64 = 1 << 62;

/// Reads from the front; every answer is `None` once the bytes run out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number that counts something. None ever gets beyond [`LARGEST`], so that one may be added.
    pub(crate) fn number(&mut self) -> Option<u64> {
        self.u64().filter(|number| *number <= LARGEST)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Three short strings: primary, secondary, key.
    pub(crate) fn name(&mut self) -> Option<(Namespace, Key)> {
        Some((self.namespace()?, self.key()?))
    }

    /// The bytes of such a name, lengths included. Whether it keeps the rules is not looked at.
    pub(crate) fn raw_name(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        for _ in 0..3 {
            let len = ahead.u8()?;
            ahead.take(len.into())?;
        }
        self.take(self.0.len() - ahead.0.len())
    }

    /// One short string.
    pub(crate) fn key(&mut self) -> Option<Key> {
        Key::new(self.short()?).ok()
    }

    /// Goes behind a namespace if it is this one: nothing has to be made for it then.
    pub(crate) fn skip_namespace(&mut self, ns: &Namespace) -> bool {
        let mut ahead = *self;
        let same = ahead.short() == Some(ns.primary()) && ahead.short() == Some(ns.secondary());
        if same {
            *self = ahead;
        }
        same
    }

    /// Two short strings: primary, secondary.
    pub(crate) fn namespace(&mut self) -> Option<Namespace> {
        Namespace::any(self.short()?, self.short()?).ok()
    }

    fn short(&mut self) -> Option<&'a str> {
        let len = self.u8()?;
        std::str::from_utf8(self.take(len.into())?).ok()
    }
}

/// Appends primary, secondary and key, each with its length in one byte (names have at most 120).
pub(crate) fn put_name(out: &mut Vec<u8>, ns: &Namespace, key: &Key) {
    put_namespace(out, ns);
    put_short(out, key.as_str());
}

/// Appends primary and secondary, as in [`put_name`].
pub(crate) fn put_namespace(out: &mut Vec<u8>, ns: &Namespace) {
    put_short(out, ns.primary());
    put_short(out, ns.secondary());
}

fn put_short(out: &mut Vec<u8>, part: &str) {
    debug_assert!(part.len() <= kv_core::MAX_NAME_LEN);
    out.push(part.len() as u8);
    out.extend_from_slice(part.as_bytes());
}
