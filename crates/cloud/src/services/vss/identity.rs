//! Who we are towards the service: a key of secp256k1 that follows from the wallet's own.

use std::{fmt, time::SystemTime};

use data_encoding::HEXLOWER;
use k256::ecdsa::{Signature, SigningKey, signature::hazmat::PrehashSigner};
use sha2::{Digest, Sha256};

use crate::{CloudError, CloudIdentity, Result, access::Secret, error::boxed};

/// Separates this key from all others that follow from the same secret.
const LABEL: &[u8] = b"strongroom/v1/vss";

/// What is signed besides the key and the time; the service has the same (`sigs_auth`).
const SALT: &[u8; 64] = b"VSS Signature Authorizer Signing Salt Constant..................";

/// A key that signs. It is wiped when dropped.
pub(super) struct Identity(SigningKey);

impl Identity {
    pub(super) fn of(identity: &CloudIdentity) -> Result<Self> {
        let mut hash = Sha256::new();
        hash.update(LABEL);
        hash.update(identity.expose());
        // One of 2^128 secrets has no key.
        let key =
            SigningKey::from_slice(&hash.finalize()).map_err(|_| CloudError::Unauthorized {
                source: boxed("no key of the service follows from this one"),
            })?;
        Ok(Self(key))
    }

    /// The value of the header: the public key, the signature and the time in seconds.
    pub(super) fn sign(&self) -> Result<Secret> {
        self.sign_at(now())
    }

    fn sign_at(&self, seconds: u64) -> Result<Secret> {
        let public = self.0.verifying_key().to_encoded_point(true);
        let time = seconds.to_string();
        let mut hash = Sha256::new();
        hash.update(SALT);
        hash.update(public.as_bytes());
        hash.update(time.as_bytes());
        let signature: Signature = self
            .0
            .sign_prehash(&hash.finalize())
            .map_err(|_| CloudError::Unauthorized { source: boxed("the key does not sign") })?;
        let public = HEXLOWER.encode(public.as_bytes());
        Ok(Secret::new(format!("{public}{}{time}", HEXLOWER.encode(&signature.to_bytes()))))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the service compares it with its own clock; nothing here depends on it"
)]
fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

#[cfg(test)]
mod tests {
    use k256::ecdsa::{VerifyingKey, signature::hazmat::PrehashVerifier};

    use super::*;

    #[test]
    fn a_signature_is_that_of_the_key_and_the_time_in_the_header() {
        let identity = Identity::of(&CloudIdentity::new(&[7; 32])).unwrap();
        let header = identity.sign_at(1_700_000_000).unwrap();
        let header = header.expose();
        assert_eq!(header.len(), 66 + 128 + 10);
        let decode = |part: &str| HEXLOWER.decode(part.as_bytes()).unwrap();
        let (public, signature) = (decode(&header[..66]), decode(&header[66..194]));
        assert_eq!(&header[194..], "1700000000");
        let mut hash = Sha256::new();
        hash.update(SALT);
        hash.update(&public);
        hash.update(b"1700000000");
        let key = VerifyingKey::from_sec1_bytes(&public).unwrap();
        let signature = Signature::from_slice(&signature).unwrap();
        assert!(key.verify_prehash(&hash.finalize(), &signature).is_ok());
        // The same wallet is the same user; another one is not.
        let again = Identity::of(&CloudIdentity::new(&[7; 32])).unwrap().sign_at(1).unwrap();
        assert_eq!(again.expose()[..66], header[..66]);
        let other = Identity::of(&CloudIdentity::new(&[8; 32])).unwrap().sign_at(1).unwrap();
        assert_ne!(other.expose()[..66], header[..66]);
    }
}
