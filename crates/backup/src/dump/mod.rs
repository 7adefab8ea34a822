//! Dumps: the full state or what has changed since a full one, in parts, with an index.

mod index;
mod part;
mod writer;

pub(crate) use self::index::keep;
pub use self::{
    index::{DumpIndex, DumpPart, KeptDump, StoreCount},
    part::{PartMaker, SealedPart, UnsealedPart},
    writer::{DumpPlace, DumpWriter},
};
