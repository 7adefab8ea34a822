//! The wrapped key: golden bytes, limits, and what opens it.

use std::{env, fs};

use super::*;
use crate::header::Header;

const TAG: [u8; 16] = [0xab; 16];

fn root() -> RootSecret {
    RootSecret::from_bytes([7; 32])
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text).unwrap()
}

fn wrapped() -> WrappedKey {
    WrappedKey::wrap(&root(), &TAG, &passphrase("correct horse"), Cost::FLOOR).unwrap()
}

/// `header-wrapped.bin` is a whole header; nonce and salt are random, so it is only read.
#[test]
fn golden_wrapped_key() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1/header-wrapped.bin");
    if env::var_os("STRONGROOM_GOLDEN").is_some_and(|how| how == "write")
        && !std::path::Path::new(path).exists()
    {
        let header = Header::new(TAG).next(Some(&wrapped()));
        fs::write(path, header.encode()).unwrap();
    }
    let kept = fs::read(path).unwrap();
    let header = Header::decode_good(&kept).unwrap();
    assert_eq!(header.encode(), kept);
    assert_eq!((header.generation, header.wallet_tag), (2, TAG));
    let wrapped = header.wrapped().unwrap().unwrap();
    assert_eq!(wrapped.cost, Cost::FLOOR);
    let opened = wrapped.unwrap(&TAG, &passphrase("correct horse")).unwrap();
    assert_eq!(opened.as_bytes(), root().as_bytes());
}

#[test]
fn only_the_passphrase_opens_it_and_only_for_its_wallet() {
    let wrapped = wrapped();
    let opened = wrapped.unwrap(&TAG, &passphrase("correct horse")).unwrap();
    assert_eq!(opened.as_bytes(), root().as_bytes());
    let wrong = wrapped.unwrap(&TAG, &passphrase("correct horsf"));
    assert!(matches!(wrong, Err(UnlockError::WrongPassphrase)));
    let moved = wrapped.unwrap(&[0xac; 16], &passphrase("correct horse"));
    assert!(matches!(moved, Err(UnlockError::Damaged { .. })));
}

#[test]
fn wrapping_twice_never_gives_the_same_bytes() {
    let (a, b) = (wrapped(), wrapped());
    assert_ne!(a.salt, b.salt);
    assert_ne!(a.sealed, b.sealed);
    let root = root();
    for bytes in [a.encode(), b.encode()] {
        assert!(!bytes.windows(8).any(|part| part == &root.as_bytes()[..8]));
    }
}

#[test]
fn it_reads_back_and_every_other_length_is_malformed() {
    let wrapped = wrapped();
    let bytes = wrapped.encode();
    assert_eq!(WrappedKey::decode(&bytes), Ok(wrapped));
    assert!((0..bytes.len()).all(|len| WrappedKey::decode(&bytes[..len]).is_err()));
    assert!(WrappedKey::decode(&[bytes, vec![0]].concat()).is_err());
}

/// A crafted header can ask for neither a cheap stretch nor all the memory there is.
#[test]
fn parameters_below_the_floor_or_above_the_ceiling_are_never_tried() {
    let wrapped = wrapped();
    for cost in [
        Cost { memory: Cost::FLOOR.memory - 1, ..Cost::USUAL },
        Cost { passes: 1, ..Cost::USUAL },
        Cost { lanes: 0, ..Cost::USUAL },
        Cost { memory: u32::MAX, ..Cost::USUAL },
        Cost { passes: u32::MAX, ..Cost::USUAL },
        Cost { lanes: u32::MAX, ..Cost::USUAL },
    ] {
        let crafted = WrappedKey { cost, ..wrapped.clone() };
        assert_eq!(WrappedKey::decode(&crafted.encode()), Err(Malformed), "{cost:?}");
    }
}
