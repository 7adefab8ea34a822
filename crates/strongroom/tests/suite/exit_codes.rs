//! Each way to fail has its own exit code, says what to do, and loses nothing.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::Stdio,
};

use crate::common::{Home, failed, lines};

#[test]
fn wrong_words_are_told_from_another_wallets_words() {
    let home = Home::new();
    let right = fs::read_to_string(home.path("words")).unwrap();
    let digest = home.digest();
    let about = "abandon ".repeat(11);
    for (words, says) in [
        (format!("{about}about"), "another wallet"),
        (format!("{about}abandon"), "checksum"),
        ("abandon zzz".to_owned() + &about, "words"),
        (about.replacen("abandon", "abandom", 1) + "about", "word number 1"),
        (String::new(), "found 0 words"),
    ] {
        home.file("words", &words);
        let said = home.fails(3, &["digest"]);
        assert!(said.contains(says), "{words}: {said}");
    }
    home.file("words", "ab".repeat(32));
    for (key, says) in [
        ("ab".repeat(32), "another wallet"),
        ("xy".repeat(32), "hexadecimal"),
        ("ab".into(), "found 2"),
    ] {
        home.file("key", key);
        let said = failed(3, home.bare(&["digest"]).env("STRONGROOM_KEY_FILE", "key"));
        assert!(said.contains(says), "{said}");
    }
    home.file("words", format!("\n {}\n", right.to_uppercase()));
    assert_eq!(home.digest(), digest);
}

#[test]
fn secrets_come_from_one_place() {
    let home = Home::new();
    home.file("key", "ab".repeat(32));
    let said = failed(2, home.command(&["digest"]).env("STRONGROOM_KEY_FILE", "key"));
    assert!(said.contains("both set"), "{said}");
    let said = failed(2, &mut home.bare(&["digest"]));
    assert!(said.contains("no terminal") && said.contains("STRONGROOM_MNEMONIC_FILE"), "{said}");
    let said = failed(11, home.bare(&["digest"]).env("STRONGROOM_MNEMONIC_FILE", "absent"));
    assert!(said.contains("STRONGROOM_MNEMONIC_FILE"), "{said}");
    failed(2, &mut home.bare(&["init", "--key-file", "key", "--mnemonic-file", "words"]));
}

#[test]
fn nothing_here_is_six() {
    let home = Home::empty();
    home.file("words", "abandon ".repeat(11) + "about");
    assert!(home.fails(6, &["digest"]).contains("init"));
    fs::create_dir(home.path("wallet")).unwrap();
    home.fails(6, &["verify"]);
    assert_eq!(fs::read_dir(home.path("wallet")).unwrap().count(), 0, "a failure left something");
    fs::create_dir(home.path("cloud")).unwrap();
    let said = home.fails(6, &["restore", "--cloud", "dir:cloud"]);
    assert!(said.contains("no backup"), "{said}");
    assert_eq!(fs::read_dir(home.path("wallet")).unwrap().count(), 0, "a failure left something");

    let home = Home::new();
    home.fails(6, &["kv", "get", "a", "b", "c"]);
    home.fails(6, &["kv", "remove", "a", "b", "c"]);
    home.fails(6, &["profile", "get", "email"]);
    home.fails(6, &["account", "remove", "eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"]);
}

#[test]
fn something_here_already_is_seven() {
    let home = Home::new();
    home.ok(&["backup", "now"]);
    let digest = home.digest();
    home.fails(7, &["init"]);
    failed(7, &mut home.bare(&["init"]));
    home.fails(7, &["restore", "--cloud", "dir:cloud"]);
    assert_eq!(home.digest(), digest);

    // The clouds are asked before anything is made, unless told otherwise.
    let other = ["--dir", "other", "init", "--cloud", "dir:cloud", "--mnemonic-file", "words"];
    let said = failed(7, &mut home.bare(&other));
    assert!(said.contains("backup") && said.contains("restore"), "{said}");
    assert!(!home.path("other").exists());
    let output = home.bare(&[&other[..], &["--offline"]].concat()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(!String::from_utf8(output.stdout).unwrap().contains("abandon"));
    fs::create_dir(home.path("full")).unwrap();
    home.file("full/file", "x");
    home.fails(7, &["--dir", "full", "restore", "--cloud", "dir:cloud"]);
    assert_eq!(fs::read(home.path("full/file")).unwrap(), b"x");
}

#[test]
fn a_bad_secret_is_found_before_anything_is_touched() {
    let home = Home::empty();
    home.file("bad", "abandon abandon");
    failed(3, &mut home.bare(&["init", "--mnemonic-file", "bad", "--cloud", "dir:cloud"]));
    failed(3, &mut home.bare(&["init", "--key-file", "bad", "--cloud", "dir:cloud"]));
    assert!(!home.path("wallet").exists() && !home.path("cloud").exists());
}

#[test]
fn a_second_process_is_five() {
    let home = Home::new();
    let mut first = home
        .command(&["import", "txs", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (hash, line) = lines(1, 5).remove(0);
    let mut input = first.stdin.take().unwrap();
    input.write_all(line.as_bytes()).unwrap();
    let mut output = BufReader::new(first.stdout.take().unwrap()).lines();
    assert_eq!(output.next().unwrap().unwrap(), format!("committed 1 {hash}"));
    for args in [&["digest"][..], &["verify"], &["kv", "list", "", ""]] {
        let said = home.fails(5, args);
        assert!(said.contains("close"), "{said}");
    }
    drop(input);
    assert!(first.wait().unwrap().success());
    assert_eq!(home.json(&["tx", "list"])[0]["hash"], hash);
}

#[test]
fn the_cloud_has_its_own_code() {
    let home = Home::empty();
    let output = home.bare(&["init"]).output().unwrap();
    home.file("words", output.stdout);
    assert!(home.fails(9, &["backup", "now"]).contains("--cloud"));
    home.fails(9, &["verify", "--cloud"]);
    assert!(home.ok(&["backup", "status"]).contains("none"));
    let said = home.fails(9, &["--dir", "new", "restore", "--cloud", "dir:words"]);
    assert!(said.contains("address"), "{said}");
    assert!(!home.path("new").exists());
    home.fails(9, &["--dir", "new", "restore", "--cloud", "dir:typo"]);
    assert!(!home.path("new").exists() && !home.path("typo").exists());
    let said = home.fails(2, &["--dir", "new", "restore", "--cloud", "ftp:x"]);
    assert!(said.contains("dir:PATH"), "{said}");
}

#[test]
fn a_newer_wallet_is_ten() {
    let home = Home::new();
    home.file("wallet/wallet.json", "{\"format\":2,\"store\":\"fs\"}\n");
    assert!(home.fails(10, &["digest"]).contains("newer version"));
}

#[test]
fn wrong_use_is_two() {
    let home = Home::new();
    for args in [
        &[][..],
        &["nonsense"],
        &["kv", "get", "a", "b"],
        &["kv", "get", "a/b", "", "c"],
        &["kv", "get", "", "b", "c"],
        &["kv", "get", "~records", "", "c"],
        &["account", "add", "eip155:1:0x12"],
        &["profile", "get", "shoe_size"],
        &["profile", "set", "birthday", "yesterday"],
        &["restore"],
        &["import", "txs", "--chain", "solana:x", "file"],
    ] {
        home.fails(2, args);
    }
}
