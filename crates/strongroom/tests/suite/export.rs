//! Taking everything along: what is exported is what is imported, and tables are for spreadsheets.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use crate::common::{GOERLI, Home, MAINNET, block};

const ACCOUNT: &str = "eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";

/// A wallet with something of each kind.
fn full() -> Home {
    let home = Home::new();
    home.ok(&["import", "eth-block", &block(MAINNET), &block(GOERLI)]);
    for args in [
        &["account", "add", ACCOUNT, "--label", "mine, \"only\""][..],
        &["profile", "set", "given_name", "Ada"],
        &["profile", "set", "birthday", "1815-12-10"],
        &["balance", "set", ACCOUNT, "eip155:1/slip44:60", "7"],
        &["nft", "set", ACCOUNT, "eip155:1/erc721:0x6b175474e89094c44da98b954eedeac495271d0f/1"],
        &["reward", "add", "q1", "first"],
        &["visit", "add", "https://a.org"],
        &["click", "add", "https://a.org"],
        &["cohort", "reject", "c"],
        &["label", "set", "tx", "f91d", "coffee"],
        &["contract", "set", "1", "0x6b175474e89094c44da98b954eedeac495271d0f", "5"],
    ] {
        home.ok(args);
    }
    home
}

#[test]
fn an_export_makes_an_equal_wallet() {
    let home = full();
    let digest = home.digest();
    let exported = home.ok(&["export"]);
    assert!(!exported.contains("\"age\""), "what follows from the birthday is not exported");
    let kind = |line| serde_json::from_str::<Value>(line).unwrap()["kind"].to_string();
    let kinds: BTreeSet<String> = exported.lines().map(kind).collect();
    assert_eq!(kinds.len(), 11, "{kinds:?}");

    let other = Home::new();
    other.file("all", &exported);
    let told = other.ok(&["import", "data", "all"]);
    assert_eq!(told, format!("committed {}\n", exported.lines().count()));
    assert_eq!(other.digest(), digest);
    let sequence = || other.json(&["backup", "status"])[0]["sequence"].clone();
    let before = sequence();
    other.ok(&["import", "data", "all"]);
    assert_eq!(sequence(), before, "importing again changes nothing");
    assert_eq!(other.ok(&["export"]), exported);
}

#[test]
fn of_two_lines_about_one_thing_the_later_one_counts() {
    let home = Home::new();
    let line = |value: &str| {
        format!(
            "{{\"kind\":\"profile\",\"record\":{{\"field\":\"email\",\"value\":\"{value}\"}}}}\n"
        )
    };
    home.file("one", line("a@x.org"));
    home.ok(&["import", "data", "one"]);
    home.file("two", [line("b@x.org"), line("a@x.org")].concat());
    home.ok(&["import", "data", "two"]);
    assert_eq!(home.ok(&["profile", "get", "email"]), "a@x.org\n");
}

#[test]
fn a_bad_line_of_an_export_is_named_and_what_came_before_stays() {
    let home = Home::new();
    let good = r#"{"kind":"cohorts","record":{"id":"c","rejected":1}}"#;
    for bad in [
        "x",
        r#"{"kind":"cohorts","record":{"id":"c"}}"#,
        r#"{"kind":"shoes","record":{}}"#,
        r#"{"kind":"profile","record":{"field":"email","value":"nobody"}}"#,
        r#"{"kind":"accounts","record":{"id":"0x12","added":1}}"#,
        // What the commands refuse, too.
        r#"{"kind":"profile","record":{"field":"birthday","value":"9999-01-01"}}"#,
        r#"{"kind":"accounts","record":{"id":"eip155:1:0x1111111111111111111111111111111111111111","label":"a\u001b[2J","added":1}}"#,
        r#"{"kind":"balances","record":{"account":"eip155:1:0x1111111111111111111111111111111111111111","asset":"eip155:5/slip44:60","amount":"1","updated":1}}"#,
        r#"{"kind":"nfts","record":{"account":"eip155:1:0x1111111111111111111111111111111111111111","asset":"eip155:1/slip44:60","amount":"1","updated":1}}"#,
        r#"{"kind":"nfts","record":{"account":"eip155:1:0x1111111111111111111111111111111111111111","asset":"eip155:1/slip44:60/1","amount":"1","name":"\u001b[2J","updated":1}}"#,
        r#"{"kind":"rewards","record":{"id":"","name":"x","earned":1}}"#,
        r#"{"kind":"clicks","record":{"id":"1","url":"a.org","origin":"x","time":1}}"#,
        r#"{"kind":"visits","record":{"id":"1","url":"https://a.org","origin":"x","start":2,"end":1}}"#,
        r#"{"kind":"cohorts","record":{"id":" ","rejected":1}}"#,
        r#"{"kind":"labels","record":{"type":"tx","ref":"a\nb","label":"x"}}"#,
    ] {
        home.file("lines", format!("{good}\n\n{bad}\n{good}\n"));
        let output = home.run(&["import", "data", "lines"]);
        assert_eq!(output.status.code(), Some(11), "{bad}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "committed 1\n");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("lines:3: "), "{said}");
    }
    assert_eq!(home.json(&["cohort", "list"]).len(), 1);
}

#[test]
fn a_table_has_a_row_for_each_record() {
    let home = full();
    let table = home.ok(&["export", "--format", "csv", "--kind", "accounts"]);
    let rows: Vec<&str> = table.split("\r\n").collect();
    assert_eq!(rows[0], "id,label,added");
    assert!(rows[1].starts_with(&format!("{ACCOUNT},\"mine, \"\"only\"\"\",")), "{table}");
    // No column is missing because its name is wrong.
    for line in home.json(&["export"]) {
        let kind = line["kind"].as_str().unwrap();
        let table = match kind {
            "transactions" => continue,
            _ => home.ok(&["export", "--format", "csv", "--kind", kind]),
        };
        let head: Vec<&str> = table.split("\r\n").next().unwrap().split(',').collect();
        for name in line["record"].as_object().unwrap().keys() {
            assert!(head.contains(&name.as_str()), "{kind} has no column {name}");
        }
    }
    let transactions = home.ok(&["export", "--format", "csv", "--kind", "transactions"]);
    let rows: Vec<Vec<&str>> =
        transactions.trim().split("\r\n").map(|row| row.split(',').collect()).collect();
    assert_eq!(rows.len(), 58 + 72 + 1);
    assert!(rows.iter().all(|row| row.len() == 10 && row[..5].iter().all(|c| !c.is_empty())));
    home.fails(2, &["export", "--format", "csv"]);
    home.fails(2, &["export", "--format", "csv", "--kind", "visits", "--kind", "clicks"]);
}

#[test]
fn an_export_replaces_no_file() {
    let home = full();
    home.ok(&["export", "--kind", "cohorts", "--output", "file"]);
    let written = fs::read_to_string(home.path("file")).unwrap();
    assert_eq!(written, home.ok(&["export", "--kind", "cohorts"]));
    home.fails(7, &["export", "--kind", "visits", "--output", "file"]);
    assert_eq!(fs::read_to_string(home.path("file")).unwrap(), written);
}

/// What is imported is found under the spelling in which it is asked for.
#[test]
fn what_is_imported_has_its_one_spelling() {
    let home = Home::new();
    let lines = [
        r#"{"kind":"cohorts","record":{"id":" x ","rejected":1}}"#,
        r#"{"kind":"visits","record":{"id":"1","url":"HTTPS://A.org","origin":"HTTPS://A.org","start":1,"end":2}}"#,
        r#"{"kind":"clicks","record":{"id":"1","url":"HTTPS://A.org:443/","origin":"","time":1}}"#,
    ];
    home.file("lines", lines.join("\n"));
    home.ok(&["import", "data", "lines"]);
    home.ok(&["cohort", "accept", "x"]);
    assert_eq!(home.json(&["cohort", "list"]).len(), 0);
    for kind in ["visit", "click"] {
        assert_eq!(home.json(&[kind, "list", "--url", "https://a.org/"]).len(), 1, "{kind}");
        assert_eq!(home.json(&[kind, "list", "--origin", "https://a.org"]).len(), 1, "{kind}");
    }
}
