//! Who writes: an Ed25519 key as `did:key`, and its signatures.
//!
//! Sources: the did:key method of the W3C credentials group, RFC 7515 (JWS) and RFC 8037 (EdDSA).

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signer, SigningKey};
use serde::Serialize;

use super::base_x::{BASE58, encode};

/// Multicodec `ed25519-pub` as a varint.
const ED25519_PUB: &[u8] = &[0xed, 0x01];

/// The key that owns a wallet's tiles. It is wiped when dropped.
pub(crate) struct Identity {
    key: SigningKey,
    did: String,
    /// The protected header of everything it signs.
    protected: String,
}

/// A signature of one payload, in the general form of JWS without the payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Signature {
    pub(super) protected: String,
    pub(super) signature: String,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
}

impl Identity {
    /// The identity of a secret.
    pub(crate) fn from_seed(seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        let public = [ED25519_PUB, key.verifying_key().as_bytes()].concat();
        let id = format!("z{}", encode(BASE58, &public));
        let did = format!("did:key:{id}");
        let header = Header { alg: "EdDSA", kid: &format!("{did}#{id}") };
        // Two texts cannot fail to become JSON.
        let header = serde_json::to_vec(&header).unwrap_or_default();
        Self { key, did, protected: BASE64URL_NOPAD.encode(&header) }
    }

    /// The name by which the service knows it.
    pub(crate) fn did(&self) -> &str {
        &self.did
    }

    /// Signs a payload that is in base64url already.
    pub(super) fn sign(&self, payload: &str) -> Signature {
        let signed = self.key.sign(format!("{}.{payload}", self.protected).as_bytes());
        Signature {
            protected: self.protected.clone(),
            signature: BASE64URL_NOPAD.encode(&signed.to_bytes()),
        }
    }

    /// A payload with its signature in the compact form of JWS.
    pub(super) fn compact(&self, payload: &[u8]) -> String {
        let payload = BASE64URL_NOPAD.encode(payload);
        let Signature { protected, signature } = self.sign(&payload);
        format!("{protected}.{payload}.{signature}")
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.did)
    }
}
