//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha): HChaCha20 makes a key of its own for each nonce, the
//! rest is ChaCha20-Poly1305 (RFC 8439).
//!
//! On Linux the latter is that of `ring`, which does a value of a few hundred bytes in a quarter of
//! the time of `chacha20poly1305`: see decision 0017. Elsewhere it is that crate, which needs no
//! compiler for C. A test compares them.

#[cfg(any(test, not(target_os = "linux")))]
mod portable;
#[cfg(target_os = "linux")]
mod with_ring;

use zeroize::Zeroizing;

#[cfg(not(target_os = "linux"))]
use self::portable as with;
#[cfg(target_os = "linux")]
use self::with_ring as with;

/// A nonce is so long that random ones never meet.
pub(crate) const NONCE: usize = 24;
pub(crate) const TAG: usize = 16;

/// A key. Wiped when dropped.
pub(crate) struct Cipher(Box<Zeroizing<[u8; 32]>>);

/// It is not what was sealed.
#[derive(Debug)]
pub(crate) struct Forged;

/// There is too much of it for one nonce.
#[derive(Debug)]
pub(crate) struct TooLong;

impl Cipher {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let mut own = Box::new(Zeroizing::new([0; 32]));
        own.copy_from_slice(key);
        Self(own)
    }

    /// Encrypts in place; the tag.
    pub(crate) fn seal(
        &self,
        nonce: &[u8; NONCE],
        aad: &[u8],
        text: &mut [u8],
    ) -> Result<[u8; TAG], TooLong> {
        with::seal(&self.0, nonce, aad, text).ok_or(TooLong)
    }

    /// Decrypts in place, once the tag is found right. Else what is there means nothing.
    pub(crate) fn open(
        &self,
        nonce: &[u8; NONCE],
        aad: &[u8],
        text: &mut [u8],
        tag: [u8; TAG],
    ) -> Result<(), Forged> {
        with::open(&self.0, nonce, aad, text, tag).ok_or(Forged)
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    /// draft-irtf-cfrg-xchacha-03, appendix A.3.1.
    #[test]
    fn published_vector_of_xchacha20_poly1305() {
        let bytes = |from: u8, len: u8| (from..from + len).collect::<Vec<u8>>();
        let cipher = Cipher::new(&bytes(0x80, 32).try_into().unwrap());
        let nonce: [u8; 24] = bytes(0x40, 24).try_into().unwrap();
        let aad = HEXLOWER.decode(b"50515253c0c1c2c3c4c5c6c7").unwrap();
        let mut text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.".to_vec();
        let plain = text.clone();
        let tag = cipher.seal(&nonce, &aad, &mut text).unwrap();
        let expected = "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb\
                        731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452\
                        2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9\
                        21f9664c97637da9768812f615c68b13b52e";
        assert_eq!(HEXLOWER.encode(&text), expected);
        assert_eq!(HEXLOWER.encode(&tag), "c0875924c1c7987947deafd8780acf49");
        cipher.open(&nonce, &aad, &mut text, tag).unwrap();
        assert_eq!(text, plain);
    }

    /// Lengths around the blocks of both parts, and a long one.
    #[test]
    fn it_agrees_with_another_implementation() {
        let key: [u8; 32] = std::array::from_fn(|at| at as u8 * 5);
        let ours = Cipher::new(&key);
        let plain: Vec<u8> = (0..70_000_u32).map(|at| (at * 31) as u8).collect();
        for len in (0..400).chain([1023, 1024, 1025, 70_000]) {
            let nonce: [u8; NONCE] = std::array::from_fn(|at| (at * 11 + len) as u8);
            let aad = &plain[..len % 150];
            let (mut a, mut b) = (plain[..len].to_vec(), plain[..len].to_vec());
            let tag = ours.seal(&nonce, aad, &mut a).unwrap();
            let other = portable::seal(&key, &nonce, aad, &mut b);
            assert_eq!((&a, tag), (&b, other.unwrap()), "{len} bytes");
            let mut bad = tag;
            bad[len % TAG] ^= 1;
            assert!(ours.open(&nonce, aad, &mut b.clone(), bad).is_err(), "{len} bytes");
            assert!(portable::open(&key, &nonce, aad, &mut b.clone(), bad).is_none());
            portable::open(&key, &nonce, aad, &mut b, tag).unwrap();
            assert_eq!(b, plain[..len]);
            ours.open(&nonce, aad, &mut a, tag).unwrap();
            assert_eq!(a, plain[..len]);
        }
    }
}
