//! Put, back up, lose, restore, compare.

use std::fs;

use crate::common::{Home, failed};

#[test]
fn a_wallet_survives_the_loss_of_its_device() {
    let home = Home::new();
    let value: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    home.file("state", &value);
    home.file("nothing", "");
    home.ok(&["kv", "put", "app", "", "state", "state"]);
    home.ok(&["kv", "put", "", "", "empty", "nothing"]);
    home.ok(&["backup", "now"]);
    home.ok(&["kv", "remove", "", "", "empty"]);
    home.ok(&["profile", "set", "given-name", "Ada"]);
    home.ok(&["backup", "now"]);
    assert!(home.ok(&["backup", "now"]).starts_with("nothing new"));
    let digest = home.digest();

    home.lose_the_device();
    let told = home.ok(&["restore", "--cloud", "dir:cloud"]);
    assert!(told.contains("ago)") && told.contains("1 of 1 clouds"), "{told}");
    assert_eq!(home.digest(), digest);
    assert_eq!(home.run(&["kv", "get", "app", "", "state"]).stdout, value);
    assert_eq!(home.ok(&["kv", "list", "", ""]), "");
    assert_eq!(home.ok(&["profile", "get", "given_name"]), "Ada\n");
    assert!(home.ok(&["verify", "--cloud"]).contains("nothing to report"));
}

#[test]
fn a_key_file_serves_as_well_as_words() {
    let home = Home::empty();
    home.file("key", format!("  {}\n", "0f".repeat(32)));
    let command = |args: &[&str]| {
        let mut command = home.bare(args);
        command.env("STRONGROOM_KEY_FILE", "key");
        command
    };
    let ok = |args: &[&str]| {
        let output = command(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    std::fs::create_dir(home.path("cloud")).unwrap();
    ok(&["init", "--key-file", "key", "--cloud", "dir:cloud"]);
    home.file("value", "v");
    ok(&["kv", "put", "a", "b", "c", "value"]);
    ok(&["backup", "now"]);
    let digest = ok(&["digest"]);
    home.lose_the_device();
    // The secret that the environment names is an existing one, too.
    assert!(failed(7, &mut command(&["init", "--cloud", "dir:cloud"])).contains("restore"));
    ok(&["restore", "--cloud", "dir:cloud"]);
    assert_eq!(ok(&["digest"]), digest);
}

#[test]
fn two_clouds_agree_or_the_freshest_wins() {
    let home = Home::empty();
    let output = home.bare(&["init", "--cloud", "dir:one", "--cloud", "dir:two"]).output().unwrap();
    home.file("words", output.stdout);
    home.file("value", "v");
    home.ok(&["backup", "now"]);
    crate::common::copy(&home.path("two"), &home.path("old"));
    home.ok(&["kv", "put", "a", "", "b", "value"]);
    home.ok(&["backup", "now"]);
    let digest = home.digest();
    fs::remove_dir_all(home.path("two")).unwrap();
    fs::rename(home.path("old"), home.path("two")).unwrap();

    home.lose_the_device();
    let told = home.ok(&["restore", "--cloud", "dir:two", "--cloud", "dir:one"]);
    assert!(told.contains("1 of 2 clouds"), "{told}");
    assert_eq!(home.digest(), digest);
}

#[test]
fn the_demo_tells_the_whole_story() {
    let home = Home::empty();
    let output = home.bare(&["demo"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let told = crate::common::text(&output.stdout);
    let digests: Vec<&str> = told
        .lines()
        .filter(|line| line.starts_with("digest"))
        .filter_map(|line| line.rsplit(' ').next())
        .collect();
    assert_eq!(digests.len(), 2, "{told}");
    assert_eq!(digests[0].len(), 64);
    assert_eq!(digests[0], digests[1]);
    assert!(told.contains("58 transactions") && told.contains("digests and listings are equal"));
    assert!(!home.path("wallet").exists(), "the demo used the wallet's folder");
}
