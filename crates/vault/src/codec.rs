//! Little-endian bytes: the few primitives that the header and the name directory are written with.

/// The bytes end too early, or hold what no writer writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bytes that no version writes")]
pub(crate) struct Malformed;

/// Reads from the front; every read checks that enough is left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (part, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(part)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (part, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*part)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// Text preceded by its length in one byte.
    pub(crate) fn short_text(&mut self) -> Result<&'a str, Malformed> {
        let len = self.u8()?;
        std::str::from_utf8(self.bytes(len.into())?).map_err(|_| Malformed)
    }

    /// Everything was read.
    pub(crate) fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// Appends text preceded by its length in one byte; names have at most 121 bytes.
pub(crate) fn put_short_text(out: &mut Vec<u8>, text: &str) {
    debug_assert!(text.len() < 256, "only names are written so");
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
}
