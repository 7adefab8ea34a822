//! Nothing that a wallet holds is in clear, on disk or in a cloud, and no error tells a secret.

use std::fs;

use crate::common::{Home, MAINNET, block, files};

#[test]
fn no_file_of_wallet_or_cloud_holds_a_known_plaintext() {
    let home = Home::new();
    let address = "0x974CaA59e49682CdA0AD2bbe82983419A2ECC400";
    let sender = "0xbef52af092fa2349279f7a2b10779fe810785688";
    home.ok(&[
        "account",
        "add",
        &format!("eip155:1:{}", address.to_lowercase()),
        "--label",
        "Rainy-Day-Fund",
    ]);
    home.ok(&["profile", "set", "given_name", "Augusta-Ada"]);
    home.ok(&["profile", "set", "email", "lovelace@example.org"]);
    home.file("value", "the-value-of-an-entry");
    home.ok(&["kv", "put", "channel-monitors", "second-level", "funding-outpoint", "value"]);
    home.ok(&["import", "eth-block", &block(MAINNET)]);
    home.ok(&["backup", "now"]);
    home.ok(&["profile", "set", "location", "Marylebone"]);
    home.ok(&["kv", "remove", "channel-monitors", "second-level", "funding-outpoint"]);
    home.ok(&["backup", "now"]);

    let words = fs::read_to_string(home.path("words")).unwrap();
    let words: Vec<&str> = words.split_whitespace().collect();
    let pair = |at: usize| format!("{} {}", words[at], words[at + 1]);
    let mut secrets: Vec<String> = [
        "Rainy-Day-Fund",
        "given_name",
        "Augusta-Ada",
        "lovelace",
        "Marylebone",
        "location",
        "the-value-of-an-entry",
        "channel-monitors",
        "second-level",
        "funding-outpoint",
        "evm-transactions",
        "accounts",
        "~records",
        "~fields",
        "eip155",
        "chainId",
        "gasPrice",
        "4de721391f9075bc0d5c27d09569dcba8975d78258ed527a6d287474a087bd34",
        "cloud",
    ]
    .map(str::to_owned)
    .to_vec();
    secrets.extend((0..23).map(pair));
    let mut needles: Vec<Vec<u8>> = secrets.iter().map(|s| s.as_bytes().to_vec()).collect();
    for address in [address, sender] {
        let digits = &address[2..];
        needles.push(digits.into());
        needles.push(digits.to_lowercase().into());
        needles.push(digits.to_uppercase().into());
        needles.push(unhex(digits));
    }
    let mut bytes = 0;
    for folder in ["wallet", "cloud"] {
        for file in files(&home.path(folder)) {
            let content = fs::read(&file).unwrap();
            let name = file.strip_prefix(home.path(folder)).unwrap().to_string_lossy().into_owned();
            bytes += content.len();
            for needle in &needles {
                let shown = String::from_utf8_lossy(needle);
                assert!(!contains(&content, needle), "{name} holds {shown}");
                assert!(!contains(name.as_bytes(), needle), "the name {name} holds {shown}");
            }
        }
    }
    assert!(bytes > 50_000, "something was looked at");
    // The search does find what is there.
    assert!(contains(&fs::read(home.path("value")).unwrap(), b"value-of"));
}

fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn errors_tell_no_secret() {
    let home = Home::new();
    let words = fs::read_to_string(home.path("words")).unwrap().trim().to_owned();
    let (first, rest) = words.split_once(' ').unwrap();
    let key = "5ec7e7".repeat(11);
    // Words and keys in the wrong place, too long, too short, misspelt.
    for (variable, value) in [
        ("STRONGROOM_MNEMONIC_FILE", words.as_str()),
        ("STRONGROOM_KEY_FILE", &key),
        ("STRONGROOM_MNEMONIC_FILE", "rest"),
        ("STRONGROOM_KEY_FILE", "words"),
        ("STRONGROOM_KEY_FILE", "key"),
        ("STRONGROOM_MNEMONIC_FILE", "key"),
    ] {
        home.file("rest", format!("{rest} {first}x"));
        home.file("key", &key);
        for json in [&["digest"][..], &["--json", "digest"], &["restore", "--cloud", "dir:cloud"]] {
            let output =
                home.bare(json).env(variable, value).env("STRONGROOM_LOG", "trace").output();
            let output = output.unwrap();
            assert!(!output.status.success());
            let said = String::from_utf8(output.stderr).unwrap()
                + &String::from_utf8(output.stdout).unwrap();
            assert!(!said.contains("5ec7e75ec7e7"), "{said}");
            for pair in words.split(' ').collect::<Vec<_>>().windows(2) {
                assert!(!said.contains(&pair.join(" ")), "{said}");
            }
        }
    }
}

#[test]
fn the_log_tells_no_secret() {
    let home = Home::new();
    let words = fs::read_to_string(home.path("words")).unwrap();
    home.file("value", "the-value");
    let args = ["kv", "put", "the-namespace", "", "the-key", "value"];
    let output = home.command(&args).env("STRONGROOM_LOG", "trace").output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("unlocked"), "{log}");
    // A single word may stand in a log by chance.
    let pairs = words.split_whitespace().collect::<Vec<_>>();
    let pairs = pairs.windows(2).map(|pair| pair.join(" "));
    for secret in pairs.chain(["the-value".to_owned(), "the-key".to_owned()]) {
        assert!(!log.contains(&secret), "{secret}: {log}");
    }
}

#[test]
fn no_option_takes_a_secret() {
    let home = Home::empty();
    let help = String::from_utf8(home.bare(&["init", "--help"]).output().unwrap().stdout).unwrap();
    for secret in [
        "--mnemonic <",
        "--mnemonic ",
        "--key <",
        "--words",
        "--seed",
        "--passphrase <",
        "--passphrase ",
    ] {
        assert!(!help.contains(secret), "{secret}");
    }
    for args in
        [&["init", "--mnemonic", "abandon"][..], &["init", "--key", "ab"], &["init", "abandon"]]
    {
        assert_eq!(home.bare(args).output().unwrap().status.code(), Some(2));
    }
}
