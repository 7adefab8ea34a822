//! Associated data: what a sealed object is bound to without holding it.

use crate::envelope::SUITE;

/// What a sealed object is bound to: its class, then the parts of the class's table in
/// `docs/src/formats/envelope-v1.md`, in the order of that table.
///
/// Every part is preceded by its length, so different parts never give the same bytes.
#[derive(Debug, Clone)]
pub struct Aad(Vec<u8>);

/// Enough for a value with names of usual length.
const ROOM: usize = 192;

impl Aad {
    /// The associated data of an object of this class; a class is one row of the table.
    pub fn new(class: &'static str) -> Self {
        let mut bytes = Vec::with_capacity(ROOM);
        bytes.extend_from_slice(&SUITE);
        Self(bytes).text(class)
    }

    /// Adds bytes.
    #[must_use]
    pub fn bytes(mut self, part: &[u8]) -> Self {
        self.0.extend_from_slice(&(part.len() as u64).to_le_bytes());
        self.0.extend_from_slice(part);
        self
    }

    /// Adds text, as UTF-8.
    #[must_use]
    pub fn text(self, part: &str) -> Self {
        self.bytes(part.as_bytes())
    }

    /// Adds a number, as eight little-endian bytes.
    #[must_use]
    pub fn number(self, part: u64) -> Self {
        self.bytes(&part.to_le_bytes())
    }

    /// The parts.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.get(SUITE.len()..).unwrap_or_default()
    }

    /// Version and suite of the envelope, then the parts: they come first whatever the class is.
    pub(crate) fn bound(&self) -> &[u8] {
        &self.0
    }
}

/// The associated data of neighbours, which differ in the last part only: what comes before it is put
/// together once.
pub(crate) struct AadOfEach {
    aad: Aad,
    begin: usize,
}

impl AadOfEach {
    pub(crate) fn new(begin: Aad) -> Self {
        Self { begin: begin.0.len(), aad: begin }
    }

    /// That of the one whose last part is this text.
    pub(crate) fn text(&mut self, last: &str) -> &Aad {
        let bytes = &mut self.aad.0;
        bytes.truncate(self.begin);
        bytes.extend_from_slice(&(last.len() as u64).to_le_bytes());
        bytes.extend_from_slice(last.as_bytes());
        &self.aad
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cannot_run_into_each_other() {
        let a = Aad::new("c").text("ab").text("c");
        let b = Aad::new("c").text("a").text("bc");
        assert_ne!(a.as_bytes(), b.as_bytes());
    }

    #[test]
    fn neighbours_have_what_they_would_have_alone() {
        let begin = || Aad::new("c").text("ab").number(7);
        let mut each = AadOfEach::new(begin());
        for last in ["", "a", "", "a-longer-one", "b"] {
            assert_eq!(each.text(last).bound(), begin().text(last).bound());
        }
    }
}
