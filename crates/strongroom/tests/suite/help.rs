//! The help text of every command, word by word: what stands there is a promise. Of a program with all
//! kinds of clouds, as it is installed.

use std::{env, fs};

use crate::common::Home;

#[test]
fn help_is_as_it_was() {
    let home = Home::empty();
    let mut all = String::new();
    for command in [
        "",
        "init",
        "passphrase",
        "passphrase set",
        "passphrase remove",
        "evm",
        "evm text",
        "account",
        "account add",
        "account list",
        "account remove",
        "profile",
        "profile set",
        "profile get",
        "profile list",
        "import",
        "import eth-block",
        "import txs",
        "tx",
        "tx list",
        "kv",
        "kv put",
        "kv get",
        "kv list",
        "kv remove",
        "cloud",
        "cloud add",
        "cloud list",
        "cloud remove",
        "cloud test",
        "backup",
        "backup now",
        "backup poll",
        "backup rejoin",
        "backup status",
        "backup list",
        "backup acknowledge",
        "backup dump",
        "restore",
        "takeover",
        "handover",
        "verify",
        "digest",
        "migrate",
        "demo",
    ] {
        let args: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let output = home.bare(&args).env("COLUMNS", "100").output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty());
        all += &format!("$ strongroom {}\n", args.join(" "));
        all += &String::from_utf8(output.stdout).unwrap();
        all += "\n";
    }
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/help.txt");
    if env::var_os("STRONGROOM_BLESS").is_some() {
        fs::write(golden, &all).unwrap();
    }
    let expected = fs::read_to_string(golden).unwrap();
    assert_eq!(all, expected, "if this is meant, run the test with STRONGROOM_BLESS=1");
}
