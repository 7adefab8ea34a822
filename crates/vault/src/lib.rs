//! Keys, envelope and encryption at rest.
#![doc = include_str!("../README.md")]

mod aad;
mod codec;
mod directory;
mod envelope;
mod error;
#[cfg(test)]
mod golden;
mod header;
mod hidden;
mod kdf;
mod keys;
mod random;
mod root;
mod sealed_store;
mod words;

pub use aad::Aad;
pub use envelope::{ContentKey, ENVELOPE_OVERHEAD, EnvelopeError, open, seal};
pub use error::UnlockError;
pub use keys::Keys;
pub use random::NoRandomness;
pub use root::{BadKey, RootSecret};
pub use sealed_store::SealedStore;
pub use words::{BadWords, Words};
