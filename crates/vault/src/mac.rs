//! HMAC-SHA256 (RFC 2104) under a key that many messages come under: what they all begin with, the
//! padded key, is hashed once.
//!
//! Written over the compression function itself, because what is kept must stay in its place: the
//! types of `hmac` are moved whenever they are used, and each move leaves a copy of the state behind
//! that nobody can wipe. Here a state is copied only to where the next block overwrites it.

use sha2::block_api::compress256;
use zeroize::{Zeroize, Zeroizing};

/// How many bytes SHA-256 takes in at a time.
const BLOCK: usize = 64;

/// Where SHA-256 begins (FIPS 180-4, section 5.3.3).
const BEGIN: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// A key of 32 bytes, in the form of the two states after its padded block. Wiped when dropped.
pub(crate) struct MacKey(Box<Zeroizing<States>>);

#[derive(Zeroize)]
struct States {
    inner: [u32; 8],
    outer: [u32; 8],
}

impl MacKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let mut states = Box::new(Zeroizing::new(States { inner: BEGIN, outer: BEGIN }));
        let mut block = Zeroizing::new([[0; BLOCK]]);
        let mut begin = |state: &mut [u32; 8], pad: u8| {
            let bytes = block.as_flattened_mut();
            bytes.fill(pad);
            bytes.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            compress256(state, block.as_slice());
        };
        begin(&mut states.inner, 0x36);
        begin(&mut states.outer, 0x5c);
        Self(states)
    }

    /// The code of a message.
    pub(crate) fn mac(&self, message: &[u8]) -> [u8; 32] {
        let inner = finish(&self.0.inner, message);
        finish(&self.0.outer, &inner)
    }
}

/// SHA-256 of a message that comes behind the one block that `begun` has taken in.
fn finish(begun: &[u32; 8], message: &[u8]) -> [u8; 32] {
    let mut state = *begun;
    let (blocks, rest) = message.as_chunks::<BLOCK>();
    if !blocks.is_empty() {
        compress256(&mut state, blocks);
    }
    // A one bit, zeros, and the length in bits (FIPS 180-4, section 5.1.1).
    let bits = 8 * (BLOCK + message.len()) as u64;
    let mut last = [[0; BLOCK]; 2];
    let (text, padding) = last.as_flattened_mut().split_at_mut(rest.len());
    text.copy_from_slice(rest);
    padding.iter_mut().take(1).for_each(|byte| *byte = 0x80);
    let used = if rest.len() < BLOCK - 8 { 1 } else { 2 };
    let (last, _) = last.split_at_mut(used);
    if let Some(length) = last.as_flattened_mut().last_chunk_mut() {
        *length = bits.to_be_bytes();
    }
    compress256(&mut state, last);
    let mut hash = [0; 32];
    for (to, word) in hash.as_chunks_mut().0.iter_mut().zip(state) {
        *to = word.to_be_bytes();
    }
    hash
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::Sha256;

    use super::*;

    /// Every length around the ends of blocks.
    #[test]
    fn it_agrees_with_the_crate_that_others_use() {
        let key: [u8; 32] = std::array::from_fn(|at| at as u8 * 7);
        let ours = MacKey::new(&key);
        let message: Vec<u8> = (0..1000u32).map(|at| (at * 31) as u8).collect();
        for len in (0..300).chain([512, 999, 1000]) {
            let message = &message[..len];
            let theirs = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(message);
            assert_eq!(ours.mac(message)[..], theirs.finalize().into_bytes()[..], "{len} bytes");
        }
    }

    /// RFC 4231, test cases 1 and 2: shorter keys are padded with zeros.
    #[test]
    fn published_vectors_of_hmac_sha256() {
        let padded = |key: &[u8]| -> [u8; 32] {
            std::array::from_fn(|at| key.get(at).copied().unwrap_or_default())
        };
        for (key, message, expected) in [
            (
                &[0x0b; 20][..],
                "Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
        ] {
            let mac = MacKey::new(&padded(key)).mac(message.as_bytes());
            assert_eq!(HEXLOWER.encode(&mac), expected);
        }
    }
}
