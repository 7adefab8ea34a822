//! Large values that several threads come upon: taken out of their runs, put together in order.

use kv_core::Value;

use crate::{
    Entry, EntryName, Result,
    pieces::{Pieces, Whole},
    segment::{ContentRef, EntryRef},
};

/// What a run of entries holds of large values, in order; `None` stands for other entries between.
#[derive(Debug, Default)]
pub(super) struct PieceRun(Vec<Option<Entry>>);

impl PieceRun {
    /// Takes the entry if it is a piece; else notes that another one stood here.
    pub(super) fn takes(&mut self, entry: EntryRef<'_>) -> bool {
        match entry.content {
            ContentRef::Piece { .. } => {
                self.0.push(Some(entry.to_owned()));
                true
            }
            ContentRef::Value(_) | ContentRef::Removed(_) => {
                if !matches!(self.0.last(), Some(None)) {
                    self.0.push(None);
                }
                false
            }
        }
    }
}

/// Puts pieces together, over any number of runs.
#[derive(Debug, Default)]
pub(super) struct Assembler(Pieces);

impl Assembler {
    /// Takes the next run; the values that became whole.
    pub(super) fn take(&mut self, run: PieceRun) -> Result<Vec<(EntryName, Value)>> {
        let mut whole = Vec::new();
        for item in run.0 {
            match item {
                Some(piece) => {
                    if let Some((name, Whole::Value(value))) = self.0.push(piece)? {
                        whole.push((name, value.into()));
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
