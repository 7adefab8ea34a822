//! A backup that somebody sees up.

use super::Lines;

/// Somebody sees a backup up. Who drops that half way wants it stopped.
#[derive(Debug)]
pub(in crate::replicate) struct Attended<'a>(Option<&'a Lines>);

impl<'a> Attended<'a> {
    pub(in crate::replicate) fn new(lines: &'a Lines) -> Self {
        Self(Some(lines))
    }

    /// It has come to its end; what is slower goes on by itself.
    pub(in crate::replicate) fn end(mut self) {
        self.0 = None;
    }
}

impl Drop for Attended<'_> {
    fn drop(&mut self) {
        if let Some(lines) = self.0 {
            lines.stop();
        }
    }
}
