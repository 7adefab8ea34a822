//! The kinds of store a wallet can lie in.

use std::path::PathBuf;

/// What keeps the data of a wallet in a folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreKind {
    /// Plain files, one for each value: fastest for large values and for many writers.
    #[default]
    Fs,
    /// One SQLite file: takes a fraction of the room for hundreds of thousands of small values.
    Sqlite,
}

impl StoreKind {
    pub(crate) const ALL: [Self; 2] = [Self::Fs, Self::Sqlite];
}

/// Where a wallet can be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MoveTarget {
    /// A wallet folder with plain files in it; must be absent or empty.
    Fs(PathBuf),
    /// A wallet that is one SQLite file; must be absent. Its path takes the place of a folder's.
    Sqlite(PathBuf),
}

/// Not a place to move a wallet to. Correct it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a place to move to is `sqlite:FILE` or `fs:DIR`")]
#[non_exhaustive]
pub struct BadMoveTarget;

impl MoveTarget {
    /// Reads `sqlite:FILE` or `fs:DIR`.
    pub fn parse(text: &str) -> Result<Self, BadMoveTarget> {
        match text.split_once(':') {
            Some((_, "")) => Err(BadMoveTarget),
            Some(("fs", path)) => Ok(Self::Fs(path.into())),
            Some(("sqlite", path)) => Ok(Self::Sqlite(path.into())),
            _ => Err(BadMoveTarget),
        }
    }

    /// The path.
    pub fn path(&self) -> &std::path::Path {
        match self {
            Self::Fs(path) | Self::Sqlite(path) => path,
        }
    }
}
