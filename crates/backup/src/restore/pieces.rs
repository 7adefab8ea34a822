//! Large values that several threads come upon: taken out of their runs, put together in order.

use crate::{
    Content, Entry, Result,
    pieces::{Pieces, Whole},
};

/// What a run of entries holds of large values, in order; `None` stands for other entries between.
#[derive(Debug, Default)]
pub(super) struct PieceRun(Vec<Option<Entry>>);

impl PieceRun {
    /// Takes the entry if it is a piece; else gives it back, and notes that it stood here.
    pub(super) fn sort(&mut self, entry: Entry) -> Option<Entry> {
        match entry.content {
            Content::Piece { .. } => {
                self.0.push(Some(entry));
                None
            }
            Content::Value(_) | Content::Removed(_) => {
                if !matches!(self.0.last(), Some(None)) {
                    self.0.push(None);
                }
                Some(entry)
            }
        }
    }
}

/// Puts pieces together, over any number of runs.
#[derive(Debug, Default)]
pub(super) struct Assembler(Pieces);

impl Assembler {
    /// Takes the next run; the values that became whole.
    pub(super) fn take(&mut self, run: PieceRun) -> Result<Vec<Entry>> {
        let mut whole = Vec::new();
        for item in run.0 {
            match item {
                Some(piece) => {
                    if let Some((name, Whole::Value(value))) = self.0.push(piece)? {
                        whole.push(Entry { name, content: Content::Value(value) });
                    }
                }
                None => self.finish()?,
            }
        }
        Ok(whole)
    }

    /// An error if a value is half there.
    pub(super) fn finish(&self) -> Result<()> {
        self.0.finish()
    }
}
