//! The envelope: published vectors, golden bytes, damage of every kind.

use super::*;
use crate::golden::golden;

const NONCE_BYTES: [u8; NONCE] = [0x24; NONCE];

fn key(byte: u8) -> ContentKey {
    ContentKey::new(&[byte; 32])
}

fn aad() -> Aad {
    Aad::new("test").text("where").number(7)
}

fn sealed() -> Vec<u8> {
    seal_with(&key(1), NONCE_BYTES, &aad(), &[b"a secret"], 8).unwrap()
}

#[test]
fn golden_envelope() {
    let kept = golden("envelope.bin", &sealed());
    assert_eq!(open(&key(1), &aad(), &kept).unwrap(), b"a secret");
    let empty = seal_with(&key(1), NONCE_BYTES, &Aad::new("test"), &[], 0).unwrap();
    let kept = golden("envelope-empty.bin", &empty);
    assert_eq!(kept.len(), ENVELOPE_OVERHEAD);
    assert_eq!(open(&key(1), &Aad::new("test"), &kept).unwrap(), b"");
}

/// Golden envelopes that must not open, each with its answer.
#[test]
fn golden_bad_envelopes() {
    let mut flipped = sealed();
    flipped[40] ^= 1;
    let kept = golden("envelope-bad-flipped.bin", &flipped);
    assert!(matches!(open(&key(1), &aad(), &kept), Err(EnvelopeError::Damaged)));
    let mut newer = sealed();
    newer[4] = 2;
    fix_checksum(&mut newer);
    let kept = golden("envelope-bad-newer.bin", &newer);
    assert!(matches!(open(&key(1), &aad(), &kept), Err(EnvelopeError::TooNew { .. })));
    let other = seal_with(&key(2), NONCE_BYTES, &aad(), &[b"a secret"], 8).unwrap();
    let kept = golden("envelope-bad-key.bin", &other);
    assert!(matches!(open(&key(1), &aad(), &kept), Err(EnvelopeError::WrongKey)));
}

#[test]
fn messages() {
    let source = io::Error::other("no device");
    let messages = [
        EnvelopeError::Damaged,
        EnvelopeError::WrongKey,
        EnvelopeError::TooNew { version: 2, suite: 1 },
        EnvelopeError::NoRandomness(NoRandomness { source }),
        EnvelopeError::TooLarge,
    ]
    .map(|e| e.to_string());
    assert_eq!(
        messages,
        [
            "a sealed object is damaged or in the wrong place",
            "a sealed object belongs to another key",
            "envelope version 2, suite 1 is too new",
            "the operating system gave no random bytes",
            "an object is too large to be sealed",
        ]
    );
}

#[test]
fn sealing_twice_never_gives_the_same_bytes() {
    let [a, b] = [(); 2].map(|()| seal(&key(1), &aad(), b"a secret").unwrap());
    let differing = a.iter().zip(&b).filter(|(a, b)| a != b).count();
    assert!(differing > 60, "nonce, commitment and ciphertext differ");
    assert_eq!(open(&key(1), &aad(), &a).unwrap(), b"a secret");
}

/// In the clear part the checksum catches it, in the rest the tag; so damage never passes for a
/// wrong key or a newer version.
#[test]
fn every_flipped_byte_is_an_error() {
    for position in 0..sealed().len() {
        for bit in 0..8 {
            let mut bytes = sealed();
            bytes[position] ^= 1 << bit;
            let opened = open(&key(1), &aad(), &bytes);
            assert!(
                matches!(opened, Err(EnvelopeError::Damaged)),
                "byte {position}, bit {bit}: {opened:?}"
            );
        }
    }
}

#[test]
fn every_cut_is_an_error() {
    for len in 0..sealed().len() {
        let opened = open(&key(1), &aad(), &sealed()[..len]);
        assert!(matches!(opened, Err(EnvelopeError::Damaged)), "{len} bytes");
    }
    let longer = [sealed(), vec![0]].concat();
    assert!(matches!(open(&key(1), &aad(), &longer), Err(EnvelopeError::Damaged)));
}

#[test]
fn another_key_is_told_apart_from_damage() {
    // What is too short to hold anything is damaged, whatever its key.
    for len in [66, 81] {
        let short = open(&key(2), &aad(), &sealed()[..len]);
        assert!(matches!(short, Err(EnvelopeError::Damaged)), "{len}: {short:?}");
    }
    let opened = open(&key(2), &aad(), &sealed());
    assert!(matches!(opened, Err(EnvelopeError::WrongKey)));
}

#[test]
fn another_place_is_damage() {
    for elsewhere in [
        Aad::new("test").text("where").number(8),
        Aad::new("test").text("where"),
        Aad::new("tesu").text("where").number(7),
    ] {
        let opened = open(&key(1), &elsewhere, &sealed());
        assert!(matches!(opened, Err(EnvelopeError::Damaged)));
    }
}

/// Even who forges a commitment and a checksum cannot open a message with a second key.
#[test]
fn a_forged_commitment_does_not_open() {
    let mut bytes = sealed();
    let forged = key(2).commit(&NONCE_BYTES);
    bytes[6 + NONCE..CHECKED].copy_from_slice(&forged);
    fix_checksum(&mut bytes);
    assert!(matches!(open(&key(2), &aad(), &bytes), Err(EnvelopeError::Damaged)));
    assert!(matches!(open(&key(1), &aad(), &bytes), Err(EnvelopeError::WrongKey)));
}

#[test]
fn a_newer_version_or_suite_is_too_new() {
    for (position, version, suite) in [(4, 2, 1), (5, 1, 2)] {
        let mut bytes = sealed();
        bytes[position] = 2;
        fix_checksum(&mut bytes);
        match open(&key(1), &aad(), &bytes) {
            Err(EnvelopeError::TooNew { version: v, suite: s }) => {
                assert_eq!((v, s), (version, suite));
            }
            other => panic!("{other:?}"),
        }
    }
}

fn fix_checksum(bytes: &mut [u8]) {
    let crc = crc32c::crc32c(&bytes[..CHECKED]);
    bytes[CHECKED..CHECKED + 4].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn pieces_are_sealed_as_one_with_zeros_behind_them() {
    type Case<'a> = (&'a [&'a [u8]], usize, &'a [u8]);
    let cases: [Case<'_>; 4] = [
        (&[b"ab", b"", b"cde"], 5, b"abcde"),
        (&[b"ab", b"c"], 5, b"abc\0\0"),
        // Nothing is cut off.
        (&[b"ab", b"c"], 1, b"abc"),
        (&[], 2, b"\0\0"),
    ];
    for (pieces, len, expected) in cases {
        let sealed = seal_padded(&key(1), &aad(), pieces, len).unwrap();
        assert_eq!(sealed.len(), expected.len() + ENVELOPE_OVERHEAD);
        assert_eq!(open(&key(1), &aad(), &sealed).unwrap(), expected);
    }
}

#[test]
fn memory_that_is_used_again_holds_what_was_opened_and_nothing_after_an_error() {
    let mut opened = b"something longer that was there before".to_vec();
    let sealed = seal(&key(1), &aad(), b"a secret").unwrap();
    open_into(&mut opened, &key(1), &aad(), &sealed).unwrap();
    assert_eq!(opened, b"a secret");
    for at in [0, 40, sealed.len() - 20, sealed.len() - 1] {
        let mut bad = sealed.clone();
        bad[at] ^= 1;
        assert!(open_into(&mut opened, &key(1), &aad(), &bad).is_err(), "byte {at}");
        assert!(opened.is_empty(), "byte {at}");
        opened = b"before".to_vec();
    }
}
