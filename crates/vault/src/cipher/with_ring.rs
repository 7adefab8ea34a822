//! HChaCha20, and the ChaCha20-Poly1305 of `ring` below it.

use chacha20::{R20, hchacha};
use ring::aead;
use zeroize::Zeroizing;

use super::{NONCE, TAG};

/// Encrypts in place; the tag. `None`: too long.
pub(super) fn seal(
    key: &[u8; 32],
    nonce: &[u8; NONCE],
    aad: &[u8],
    text: &mut [u8],
) -> Option<[u8; TAG]> {
    let (key, nonce) = of_nonce(key, nonce)?;
    let tag = key.seal_in_place_separate_tag(nonce, aead::Aad::from(aad), text).ok()?;
    tag.as_ref().try_into().ok()
}

/// Decrypts in place. `None`: forged.
pub(super) fn open(
    key: &[u8; 32],
    nonce: &[u8; NONCE],
    aad: &[u8],
    text: &mut [u8],
    tag: [u8; TAG],
) -> Option<()> {
    let (key, nonce) = of_nonce(key, nonce)?;
    let aad = aead::Aad::from(aad);
    key.open_in_place_separate_tag(nonce, aad, tag.into(), text, 0..).ok().map(drop)
}

/// The key that HChaCha20 makes of the first 16 bytes, and a nonce of the last 8.
fn of_nonce(key: &[u8; 32], nonce: &[u8; NONCE]) -> Option<(aead::LessSafeKey, aead::Nonce)> {
    let (first, last) = nonce.split_first_chunk::<16>()?;
    let key = Zeroizing::new(<[u8; 32]>::from(hchacha::<R20>(key.into(), first.into())));
    let mut short = [0; aead::NONCE_LEN];
    short.iter_mut().skip(4).zip(last).for_each(|(to, from)| *to = *from);
    let key = aead::UnboundKey::new(&aead::CHACHA20_POLY1305, key.as_slice()).ok()?;
    Some((aead::LessSafeKey::new(key), aead::Nonce::assume_unique_for_key(short)))
}
