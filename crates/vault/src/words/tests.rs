//! Words: the published vectors of BIP-39, and what is said of bad ones.

use data_encoding::HEXLOWER;

use super::*;

/// Entropy, words, and the seed under the passphrase "TREZOR".
fn vectors() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let lines = include_str!("../../tests/vectors/bip39-english.txt").lines();
    lines.filter(|line| !line.starts_with('#')).map(|line| {
        let mut parts = line.split('|');
        (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap())
    })
}

#[test]
fn published_vectors_of_bip_39() {
    assert_eq!(vectors().count(), 24);
    for (entropy, text, seed) in vectors() {
        let words = Words::parse(text).unwrap();
        assert_eq!(HEXLOWER.encode(&words.0.to_entropy()), entropy);
        assert_eq!(HEXLOWER.encode(&words.0.to_seed_normalized("TREZOR")), seed);
        assert_eq!(*words.to_text(), text);
    }
}

#[test]
fn case_and_white_space_do_not_matter() {
    let (_, text, _) = vectors().nth(1).unwrap();
    let written = format!("  {}\r\n", text.to_uppercase().replace(' ', "\t \n"));
    assert_eq!(*Words::parse(&written).unwrap().to_text(), text);
}

#[test]
fn twelve_to_twenty_four_words_are_accepted() {
    for count in 0..30 {
        let good = [12, 15, 18, 21, 24].contains(&count);
        let parsed = Words::parse(&vec!["zoo"; count].join(" ")).map(|_| ());
        // "zoo" throughout fails the checksum, where the count is right.
        let expected = if good { BadWords::Checksum } else { BadWords::Count { found: count } };
        assert_eq!(parsed, Err(expected), "{count} words");
    }
    for bytes in [16, 20, 24, 28, 32] {
        let words = Mnemonic::from_entropy_in(Language::English, &vec![5; bytes]).unwrap();
        assert!(Words::parse(&words.to_string()).is_ok());
    }
}

#[test]
fn bad_words_are_told_apart_and_not_repeated() {
    let (_, text, _) = vectors().next().unwrap();
    let unknown = text.replacen("abandon abandon", "abandon secretword", 1);
    let error = Words::parse(&unknown).unwrap_err();
    assert_eq!(error, BadWords::Unknown { position: 2 });
    assert!(!format!("{error} {error:?}").contains("secretword"));
    let swapped = text.replacen("about", "zoo", 1);
    assert_eq!(Words::parse(&swapped).unwrap_err(), BadWords::Checksum);
    assert_eq!(format!("{:?}", Words::parse(text).unwrap()), "Words(..)");
}

#[test]
fn new_words_are_twenty_four_and_new() {
    let [a, b] = [(); 2].map(|()| Words::generate().unwrap());
    assert_eq!(a.iter().count(), 24);
    assert_ne!(*a.to_text(), *b.to_text());
    assert!(Words::parse(&a.to_text()).is_ok());
}

#[test]
fn messages() {
    let messages =
        [BadWords::Count { found: 11 }, BadWords::Unknown { position: 2 }, BadWords::Checksum]
            .map(|e| e.to_string());
    assert_eq!(
        messages,
        [
            "found 11 words, expected 12, 15, 18, 21 or 24",
            "word number 2 is not in the list",
            "the checksum of the words does not fit",
        ]
    );
}
