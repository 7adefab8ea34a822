//! HKDF-SHA256, and the table of all labels: one per purpose, never used twice.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

pub(crate) const BIP39: &str = "strongroom/v1/bip39";
pub(crate) const EVM_SIGNATURE: &str = "strongroom/v1/evm-signature";
pub(crate) const WALLET_TAG: &str = "strongroom/v1/wallet-tag";
pub(crate) const WALLET_ID: &str = "strongroom/v1/wallet-id";
pub(crate) const AT_REST_CONTENT: &str = "strongroom/v1/at-rest-content";
pub(crate) const AT_REST_NAMES: &str = "strongroom/v1/at-rest-names";
pub(crate) const BACKUP_CONTENT: &str = "strongroom/v1/backup-content";
pub(crate) const BACKUP_DIGEST: &str = "strongroom/v1/backup-digest";
pub(crate) const CLOUD_TAG: &str = "strongroom/v1/cloud-tag";
pub(crate) const CLOUD_IDENTITY: &str = "strongroom/v1/cloud-identity";
pub(crate) const APP: &str = "strongroom/v1/app";
pub(crate) const ENVELOPE_ENCRYPTION: &str = "strongroom/v1/envelope-encryption";
pub(crate) const ENVELOPE_COMMITMENT: &str = "strongroom/v1/envelope-commitment";

/// HKDF-SHA256 without salt: the input has full entropy, the label tells the purposes apart.
pub(crate) fn derive<const N: usize>(secret: &[u8], label: &str) -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0; N]);
    derive_into(secret, label, &[], out.as_mut_slice());
    out
}

/// As [`derive`], with further bytes after the label, to where the key stays. Labels are no
/// prefixes of each other.
pub(crate) fn derive_into(secret: &[u8], label: &str, context: &[u8], out: &mut [u8]) {
    Hkdf::<Sha256>::new(None, secret)
        .expand_multi_info(&[label.as_bytes(), context], out)
        .expect("HKDF gives up to 8160 bytes");
}

/// The first half of [`derive`], which the keys of one secret share.
pub(crate) fn extract(secret: &[u8]) -> Zeroizing<[u8; 32]> {
    let (mut extracted, _) = Hkdf::<Sha256>::extract(None, secret);
    let out = Zeroizing::new(extracted.into());
    extracted.zeroize();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5869, appendix A.3: no salt, no info.
    #[test]
    fn rfc_5869_test_case_3() {
        let okm: Zeroizing<[u8; 42]> = derive(&[0x0b; 22], "");
        let expected =
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8";
        assert_eq!(data_encoding::HEXLOWER.encode(okm.as_slice()), expected);
    }

    /// RFC 5869, appendices A.1 and A.2: salt and info, through the crate itself.
    #[test]
    fn rfc_5869_test_cases_1_and_2() {
        let short: [Vec<u8>; 3] = [vec![0x0b; 22], (0..=0x0c).collect(), (0xf0..=0xf9).collect()];
        let long = [0x00..=0x4f, 0x60..=0xaf, 0xb0..=0xff].map(Vec::from_iter);
        let first =
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
        let second = "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c\
                      59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71\
                      cc30c58179ec3e87c14c01d5c1f3434f1d87";
        for ([secret, salt, info], expected) in [(short, first), (long, second)] {
            let mut okm = vec![0; expected.len() / 2];
            Hkdf::<Sha256>::new(Some(&salt), &secret).expand(&info, &mut okm).unwrap();
            assert_eq!(data_encoding::HEXLOWER.encode(&okm), expected);
        }
    }

    #[test]
    fn no_label_is_a_prefix_of_another() {
        let labels = [
            BIP39,
            EVM_SIGNATURE,
            WALLET_TAG,
            WALLET_ID,
            AT_REST_CONTENT,
            AT_REST_NAMES,
            BACKUP_CONTENT,
            BACKUP_DIGEST,
            CLOUD_TAG,
            CLOUD_IDENTITY,
            APP,
            ENVELOPE_ENCRYPTION,
            ENVELOPE_COMMITMENT,
        ];
        for (i, a) in labels.iter().enumerate() {
            for (j, b) in labels.iter().enumerate() {
                assert!(i == j || !a.starts_with(b), "{a} begins with {b}");
            }
        }
    }
}
