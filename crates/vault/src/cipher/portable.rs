//! The cipher of `chacha20poly1305`, for any system that Rust is compiled for.

use chacha20poly1305::{KeyInit, XChaCha20Poly1305, aead::AeadInOut};

use super::{NONCE, TAG};

/// Encrypts in place; the tag. `None`: too long.
pub(super) fn seal(
    key: &[u8; 32],
    nonce: &[u8; NONCE],
    aad: &[u8],
    text: &mut [u8],
) -> Option<[u8; TAG]> {
    let cipher = XChaCha20Poly1305::new(key.into());
    let tag = cipher.encrypt_inout_detached(nonce.into(), aad, text.into()).ok()?;
    Some(tag.into())
}

/// Decrypts in place. `None`: forged.
pub(super) fn open(
    key: &[u8; 32],
    nonce: &[u8; NONCE],
    aad: &[u8],
    text: &mut [u8],
    tag: [u8; TAG],
) -> Option<()> {
    let cipher = XChaCha20Poly1305::new(key.into());
    cipher.decrypt_inout_detached(nonce.into(), aad, text.into(), &tag.into()).ok()
}
