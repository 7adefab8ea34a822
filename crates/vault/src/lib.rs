//! Keys, envelope and encryption at rest.
#![doc = include_str!("../README.md")]

mod aad;
mod cipher;
mod codec;
mod directory;
mod envelope;
mod error;
mod evm;
#[cfg(feature = "testing")]
pub mod fuzz;
#[cfg(test)]
mod golden;
mod header;
mod hidden;
mod kdf;
mod keys;
mod mac;
mod passphrase;
mod random;
mod root;
mod sealed_store;
mod secret;
mod stretch;
mod wipe;
mod words;
mod wrap;

pub use aad::Aad;
pub use envelope::{
    ContentKey, ENVELOPE_OVERHEAD, EnvelopeError, open, open_into, seal, seal_padded,
};
pub use error::UnlockError;
pub use evm::{BadRequest, BadSignature, SignatureRequest};
pub use keys::{AppKey, Keys};
pub use passphrase::{BadPassphrase, Passphrase};
pub use random::NoRandomness;
pub use root::{BadKey, RootSecret};
pub use sealed_store::SealedStore;
pub use secret::Secret;
pub use words::{BadWords, Words};
