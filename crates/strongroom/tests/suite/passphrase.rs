//! Passphrases and signatures: what opens a wallet, what does not, and a kill at any moment.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::common::{Home, Random, failed, text};

const OLD: &str = "correct horse battery";
const NEW: &str = "staple of the new kind";

/// The digest, if the passphrase in this file opens the wallet; else the exit code.
fn opens_by(home: &Home, file: &str) -> Result<String, i32> {
    let mut command = home.bare(&["digest"]);
    let output = command.env("STRONGROOM_PASSPHRASE_FILE", file).output().unwrap();
    match output.status.code().unwrap() {
        0 => Ok(text(&output.stdout).trim().to_owned()),
        code => Err(code),
    }
}

#[test]
fn a_passphrase_is_set_changed_and_removed() {
    let home = Home::new();
    home.ok(&["profile", "set", "given_name", "Ada"]);
    let digest = home.digest();
    home.file("old", format!("{OLD}\n"));
    home.file("new", NEW);
    let said = failed(3, home.bare(&["digest"]).env("STRONGROOM_PASSPHRASE_FILE", "old"));
    assert!(said.contains("no passphrase is set"), "{said}");

    let said = home.ok(&["passphrase", "set", "--new-file", "old"]);
    assert!(said.contains("if the device is lost, the words"), "{said}");
    assert_eq!(opens_by(&home, "old"), Ok(digest.clone()));
    assert_eq!(home.digest(), digest, "the words open it, too");
    let said = failed(3, home.bare(&["digest"]).env("STRONGROOM_PASSPHRASE_FILE", "new"));
    assert!(said.contains("the passphrase is wrong") && said.contains("words"), "{said}");

    // Changed by the old one; the old one is worth nothing then.
    let mut change = home.bare(&["--json", "passphrase", "set", "--new-file", "new"]);
    let output = change.env("STRONGROOM_PASSPHRASE_FILE", "old").output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["passphrase"], "set");
    assert_eq!(opens_by(&home, "old"), Err(3));
    assert_eq!(opens_by(&home, "new"), Ok(digest.clone()));

    // Who has only the passphrase cannot take it away, nor bring the wallet back with it.
    for args in [&["passphrase", "remove"][..], &["restore", "--cloud", "dir:cloud"]] {
        let said = failed(2, home.bare(args).env("STRONGROOM_PASSPHRASE_FILE", "new"));
        assert!(said.contains("the words or the key are needed"), "{said}");
    }
    let mut both = home.command(&["digest"]);
    failed(2, both.env("STRONGROOM_PASSPHRASE_FILE", "new"));
    assert_eq!(home.json(&["passphrase", "remove"])[0]["passphrase"], "removed");
    assert_eq!(opens_by(&home, "new"), Err(3));
    assert_eq!(home.digest(), digest);
}

#[test]
fn a_bad_passphrase_changes_nothing_and_is_not_repeated() {
    let home = Home::new();
    for (bad, says) in [("secret7", "at least 8"), ("secret one\nsecret two", "one line")] {
        home.file("bad", bad);
        let said = home.fails(3, &["passphrase", "set", "--new-file", "bad"]);
        assert!(said.contains(says) && !said.contains("secret"), "{said}");
        let init = ["--dir", "other", "init", "--passphrase-file", "bad"];
        failed(3, &mut home.bare(&init));
        assert!(!home.path("other").exists());
    }
    let said = home.fails(2, &["passphrase", "set"]);
    assert!(said.contains("no terminal"), "{said}");
}

#[test]
fn a_wallet_can_have_a_passphrase_from_the_start() {
    let home = Home::empty();
    home.file("old", OLD);
    let output = home.bare(&["init", "--passphrase-file", "old"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&output.stdout).split_whitespace().count(), 24);
    home.file("words", &output.stdout);
    assert_eq!(opens_by(&home, "old"), Ok(home.digest()));
}

/// `kill -9` at moments all over the command: the old passphrase opens the wallet or the new one,
/// and the new one if the command had said so. (Each single step is tried on the simulated disk.)
#[test]
fn a_killed_change_leaves_the_old_or_the_new_passphrase() {
    let home = Home::new();
    home.file("old", OLD);
    home.file("new", NEW);
    home.ok(&["passphrase", "set", "--new-file", "old"]);
    let digest = home.digest();
    let begun = Instant::now();
    assert!(opens_by(&home, "old").is_ok());
    let usual = begun.elapsed() * 2;
    let mut random = Random::new();
    let (mut current, mut other) = ("old", "new");
    for _ in 0..5 {
        let mut change = home.bare(&["passphrase", "set", "--new-file", other]);
        change.env("STRONGROOM_PASSPHRASE_FILE", current);
        let mut child = change.spawn().unwrap();
        thread::sleep(Duration::from_micros(random.below(usual.as_micros() as u64)));
        let _ = child.kill();
        let done = child.wait().unwrap().success();
        match (opens_by(&home, current), opens_by(&home, other)) {
            (Ok(found), Err(3)) if !done => assert_eq!(found, digest),
            (Err(3), Ok(found)) => {
                assert_eq!(found, digest);
                std::mem::swap(&mut current, &mut other);
            }
            neither => panic!("{neither:?}, acknowledged: {done}"),
        }
    }
    assert_eq!(home.digest(), digest, "the words open it in any case");
}

/// The account of the private key 32 times 7, and what it signs, as any wallet does that follows
/// RFC 6979.
const ADDRESS: &str = "0x4a62316623ad457F02cDC5D997deD67a383EC569";
const SIGNATURE: &str = "0x8ff4b0435901c4817d1a07e0f394326c3a04c127b12045291bacd827236919e67486bcbf03a080225b3f00645703b8b6e380285a5d7fa8da3e8fc3e3b346044d1c";

#[test]
fn a_signature_makes_a_wallet_and_opens_it() {
    let home = Home::empty();
    let printed = home.bare(&["evm", "text", "--address", &ADDRESS.to_lowercase()]).output();
    let printed = text(&printed.unwrap().stdout);
    assert!(printed.contains(ADDRESS) && printed.contains("Domain: strongroom\n"), "{printed}");
    let mut json = home.bare(&["--json", "evm", "text", "--address", ADDRESS]);
    let json: Value = serde_json::from_slice(&json.output().unwrap().stdout).unwrap();
    assert_eq!((&json["address"], &json["text"]), (&ADDRESS.into(), &printed.trim_end().into()));

    home.file("signed", format!("{ADDRESS}\n{SIGNATURE}\n"));
    let flag = "--evm-signature-file";
    let said = failed(2, &mut home.bare(&["init", flag, "signed"]));
    assert!(said.contains("twice"), "{said}");
    let output = home.bare(&["init", flag, "signed", flag, "signed"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!text(&output.stdout).contains(&SIGNATURE[2..]));
    let open = |file: &str| {
        let mut command = home.bare(&["profile", "list"]);
        command.env("STRONGROOM_EVM_SIGNATURE_FILE", file);
        command
    };
    assert!(open("signed").output().unwrap().status.success());

    let contract = format!("{ADDRESS} 0x{}{}", "00".repeat(64), "6492".repeat(16));
    for (content, says) in [
        (contract, "ERC-6492"),
        (format!("{ADDRESS} {}", &SIGNATURE[..130]), "65 bytes, found 64"),
        (format!("example.org {ADDRESS} {SIGNATURE}"), "not that of this account"),
        (format!("{ADDRESS} nonsense"), "no signature"),
        (ADDRESS.to_owned(), "no signature"),
    ] {
        home.file("bad", content);
        let said = failed(3, &mut open("bad"));
        assert!(said.contains(says) && !said.contains(&SIGNATURE[2..20]), "{said}");
    }
    failed(2, &mut home.bare(&["evm", "text", "--address", "0x12"]));
}

/// Two signatures that differ would lock their owner out.
#[test]
fn signatures_that_differ_make_no_wallet() {
    let home = Home::empty();
    home.file("first", format!("{ADDRESS} {SIGNATURE}"));
    home.file("second", format!("{ADDRESS} {OTHER_SIGNATURE}"));
    let flag = "--evm-signature-file";
    let said = failed(3, &mut home.bare(&["init", flag, "first", flag, "second"]));
    assert!(said.contains("differently each time"), "{said}");
    assert!(fs::metadata(home.path("wallet")).is_err());
}

/// Of the same account over the same text, with another nonce.
const OTHER_SIGNATURE: &str = "0xf01d6b9018ab421dd410404cb869072065522bf85734008f105cf385a023a80f286ed7d6515f8408431b7f2b10c5aedbc4e7efd688fb2c53e6a8acadb7564e401b";
