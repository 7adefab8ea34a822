//! Words: the published vectors of BIP-39, and what is said of bad ones.

use data_encoding::HEXLOWER;

use super::*;

/// The English vectors of BIP-39 (by Trezor): entropy, words, seed under the passphrase "TREZOR".
const VECTORS: [(&str, &str, &str); 4] = [
    (
        "00000000000000000000000000000000",
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
        "c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04",
    ),
    (
        "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
        "legal winner thank year wave sausage worth useful legal winner thank yellow",
        "2e8905819b8723fe2c1d161860e5ee1830318dbf49a83bd451cfb8440c28bd6fa457fe1296106559a3c80937a1c1069be3a3a5bd381ee6260e8d9739fce1f607",
    ),
    (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art",
        "bda85446c68413707090a52022edd26a1c9462295029f2e60cd7c4f2bbd3097170af7a4d73245cafa9c3cca8d561a7c3de6f5d4a10be8ed2a5e608d68f92fcc8",
    ),
    (
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote",
        "dd48c104698c30cfe2b6142103248622fb7bb0ff692eebb00089b32d22484e1613912f0a5b694407be899ffd31ed3992c456cdf60f5d4564b8ba3f05a69890ad",
    ),
];

#[test]
fn published_vectors_of_bip_39() {
    for (entropy, text, seed) in VECTORS {
        let words = Words::parse(text).unwrap();
        assert_eq!(HEXLOWER.encode(&words.0.to_entropy()), entropy);
        assert_eq!(HEXLOWER.encode(&words.0.to_seed_normalized("TREZOR")), seed);
        assert_eq!(*words.to_text(), text);
    }
}

#[test]
fn case_and_white_space_do_not_matter() {
    let (_, text, _) = VECTORS[1];
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
    let (_, text, _) = VECTORS[0];
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
