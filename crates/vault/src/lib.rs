//! Keys, envelope and encryption at rest.
#![doc = include_str!("../README.md")]

mod aad;
mod envelope;
mod kdf;
mod keys;
mod random;
mod root;
mod words;

pub use aad::Aad;
pub use envelope::{ContentKey, ENVELOPE_OVERHEAD, EnvelopeError, open, seal};
pub use keys::Keys;
pub use random::NoRandomness;
pub use root::{BadKey, RootSecret};
pub use words::{BadWords, Words};
