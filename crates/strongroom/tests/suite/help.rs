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
        "status",
        "watch",
        "account",
        "account add",
        "account list",
        "account remove",
        "profile",
        "profile set",
        "profile get",
        "profile history",
        "profile clear",
        "profile list",
        "tx",
        "tx list",
        "tx latest",
        "tx count",
        "tx flow",
        "balance",
        "balance set",
        "balance list",
        "balance remove",
        "nft",
        "nft set",
        "nft list",
        "nft remove",
        "reward",
        "reward add",
        "reward list",
        "reward remove",
        "visit",
        "visit add",
        "visit list",
        "visit count",
        "click",
        "click add",
        "click list",
        "cohort",
        "cohort reject",
        "cohort list",
        "cohort accept",
        "contract",
        "contract set",
        "contract get",
        "contract list",
        "label",
        "label set",
        "label list",
        "label remove",
        "label import",
        "label export",
        "import",
        "import eth-block",
        "import txs",
        "import data",
        "export",
        "kv",
        "kv put",
        "kv get",
        "kv list",
        "kv remove",
        "kv namespaces",
        "kv reclass",
        "cloud",
        "cloud add",
        "cloud list",
        "cloud remove",
        "cloud clear",
        "cloud test",
        "device",
        "device list",
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
        "accept-copy",
        "digest",
        "migrate",
        "completions",
        "man",
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
