//! The key tree: golden values, and that no two keys agree.

use data_encoding::HEXLOWER;

use super::*;
use crate::{Words, golden::golden};

/// Every label, by the published key 00 01 02 .. 1f: a changed label would lose every wallet.
#[test]
fn golden_key_tree() {
    let root: [u8; 32] = std::array::from_fn(|at| at as u8);
    let keys = Keys::derive(&RootSecret::from_bytes(root));
    let content = |key: &ContentKey| HEXLOWER.encode(&key.commit(&[0; 24]));
    let lines = [
        ("wallet-tag", HEXLOWER.encode(&keys.wallet_tag())),
        ("wallet-id", HEXLOWER.encode(&keys.wallet_id())),
        ("cloud-tag", HEXLOWER.encode(&keys.cloud_tag())),
        ("at-rest-content, commitment to nonce 0", content(keys.at_rest_content())),
        ("at-rest-names", HEXLOWER.encode(&*kdf::derive::<32>(&root, kdf::AT_REST_NAMES))),
        ("backup-content, commitment to nonce 0", content(keys.backup_content())),
        ("backup-digest", HEXLOWER.encode(&*kdf::derive::<32>(&root, kdf::BACKUP_DIGEST))),
        ("cloud-identity", HEXLOWER.encode(keys.cloud_identity())),
        ("app ldk-seed", HEXLOWER.encode(keys.app_key("ldk-seed").as_bytes())),
        ("app other", HEXLOWER.encode(keys.app_key("other").as_bytes())),
    ];
    let text: String = lines.iter().map(|(name, hex)| format!("{name}: {hex}\n")).collect();
    golden("keys.txt", text.as_bytes());
    for (i, (name, a)) in lines.iter().enumerate() {
        assert!(lines.iter().skip(i + 1).all(|(_, b)| a != b), "{name} twice");
    }
}

#[test]
fn golden_root_of_words() {
    let words = Words::parse(&format!("{}art", "abandon ".repeat(23))).unwrap();
    let root = RootSecret::from_words(&words);
    golden("root-of-words.txt", HEXLOWER.encode(root.as_bytes()).as_bytes());
}

#[test]
fn debug_shows_nothing() {
    let keys = Keys::derive(&RootSecret::from_bytes([7; 32]));
    assert_eq!(format!("{keys:?}"), "Keys(..)");
    assert_eq!(format!("{:?}", keys.app_key("a")), "AppKey(..)");
    assert_eq!(format!("{:?}", keys.backup_content()), "ContentKey(..)");
}
