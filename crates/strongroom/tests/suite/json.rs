//! With `--json` every command prints one JSON value a line, and so does every error.

use serde_json::{Value, json};

use crate::common::{Home, OLD, block};

fn one(home: &Home, args: &[&str]) -> Value {
    let mut lines = home.json(args);
    assert_eq!(lines.len(), 1, "{args:?}");
    lines.remove(0)
}

#[test]
fn every_command_speaks_json() {
    let home = Home::empty();
    let output = home.bare(&["--json", "init", "--cloud", "dir:cloud"]).output().unwrap();
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(made["dir"], "wallet");
    home.file("words", made["mnemonic"].as_str().unwrap());

    let account = "eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    assert_eq!(one(&home, &["account", "add", account, "--label", "mine"])["id"], account);
    let listed = one(&home, &["account", "list"]);
    assert_eq!((&listed["id"], &listed["label"]), (&account.into(), &"mine".into()));
    assert!(listed["added"].as_u64().unwrap() > 1_600_000_000_000);
    let ada = json!({"field": "given_name", "value": "Ada"});
    assert_eq!(one(&home, &["profile", "set", "given_name", " Ada "]), ada);
    assert_eq!(one(&home, &["profile", "get", "given_name"]), ada);
    assert_eq!(one(&home, &["profile", "list"]), ada);
    home.file("value", [0, 255]);
    let entry = json!({"primary": "a", "secondary": "b", "key": "c"});
    let mut stored = entry.clone();
    stored["bytes"] = 2.into();
    let mut put = stored.clone();
    put["class"] = "single-writer".into();
    assert_eq!(one(&home, &["kv", "put", "a", "b", "c", "value"]), put);
    assert_eq!(one(&home, &["kv", "list", "a", "b"]), entry);
    stored["hex"] = "00ff".into();
    assert_eq!(one(&home, &["kv", "get", "a", "b", "c"]), stored);
    let ack = one(&home, &["import", "eth-block", "--chain", "eip155:1", &block(OLD)]);
    assert_eq!(ack["committed"], 4);
    assert!(ack["last"].as_str().unwrap().starts_with("0x"));
    let txs = home.json(&["tx", "list"]);
    let names = [
        "chainId",
        "hash",
        "blockNumber",
        "timestamp",
        "from",
        "to",
        "value",
        "gasPrice",
        "nonce",
        "input",
    ];
    for tx in &txs {
        let tx = tx.as_object().unwrap();
        assert!(names.iter().all(|name| tx.contains_key(*name)) && tx.len() == names.len());
        assert!(tx["value"].as_str().unwrap().parse::<u128>().is_ok(), "value is decimal");
    }
    let status = one(&home, &["backup", "status"]);
    assert_eq!((&status["transactions"], &status["last_backup"]), (&4.into(), &Value::Null));
    assert_eq!(status["last_verified"], Value::Null);
    assert!(status["lag_records"].as_u64().unwrap() > 5);
    assert!(one(&home, &["backup", "now"])["bytes"].as_u64().unwrap() > 0);
    assert_eq!(one(&home, &["backup", "status"])["lag_records"], 0);
    let listing = one(&home, &["backup", "list"]);
    assert_eq!(listing["heads"].as_array().unwrap().len(), 1);
    // Heads, segments, dump indexes, dump parts, and the fencing head.
    assert_eq!(listing["objects"].as_array().unwrap().len(), 5);
    assert_eq!(listing["chains"][0]["dumps"][0]["kind"], "full");
    assert!(!listing.as_object().unwrap().contains_key("restore_points"));
    let points = one(&home, &["backup", "list", "--points", "3"]);
    assert_eq!(points["restore_points"].as_array().unwrap().len(), 1);
    assert_eq!(points["chains"].as_array().unwrap().len(), 1);
    let verified = one(&home, &["verify", "--cloud"]);
    assert_eq!(verified["damaged"], false);
    assert_eq!(verified["clouds"][0]["restore_points"], 1);
    let last = &one(&home, &["backup", "status"])["last_verified"];
    assert_eq!((&last["by"], &last["clouds"]), (&"verify".into(), &1.into()));
    let digest = one(&home, &["digest"]);
    let counts: Vec<_> = digest["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n["entries"].as_u64().unwrap())
        .collect();
    // a/b, ~fields, accounts, transactions, the class of a/b.
    assert_eq!(counts, [1, 1, 1, 4, 1]);
    assert_eq!(digest["digest"], home.digest());
    home.lose_the_device();
    let restored = one(&home, &["restore", "--cloud", "dir:cloud"]);
    assert_eq!((&restored["clouds"], &restored["clouds_agreeing"]), (&1.into(), &1.into()));
    assert!(restored["age_ms"].as_u64().is_some());
    let taken = one(&home, &["takeover"]);
    assert_eq!((&taken["epoch"], &taken["clouds"]), (&2.into(), &1.into()));
    assert_eq!(one(&home, &["kv", "remove", "a", "b", "c"]), entry);
    assert_eq!(one(&home, &["account", "remove", account])["id"], account);
    let demo = one(&home, &["demo"]);
    assert_eq!((&demo["equal"], &demo["digest_before"]), (&true.into(), &demo["digest_after"]));
}

#[test]
fn errors_speak_json_too() {
    let home = Home::empty();
    home.file("words", "abandon ".repeat(11) + "about");
    for (args, code) in [
        (&["--json", "digest"][..], 6),
        (&["digest", "--json"], 6),
        (&["--json", "no-such-command"], 2),
        (&["--json", "import", "txs"], 2),
        (&["--json", "account", "add", "0x12"], 2),
    ] {
        let output = home.run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert!(output.stdout.is_empty());
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["code"], code);
        let texts = ["error", "help"].map(|name| error[name].as_str().unwrap().len());
        assert!(texts.iter().all(|len| *len > 5), "{error}");
    }
}
