//! What a wallet keeps beside transactions, command by command, for people and as JSON.

use serde_json::{Value, json};

use crate::common::Home;

const ACCOUNT: &str = "eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
const COIN: &str = "eip155:1/slip44:60";
const TOKEN: &str = "0x6B175474E89094C44Da98b954EedeAC495271d0F";

/// A record without the times that nobody can foresee.
fn without(mut json: Value, times: &[&str]) -> Value {
    for time in times {
        assert!(json[time].as_u64().unwrap() > 1_600_000_000_000, "{json}");
        json.as_object_mut().unwrap().remove(*time);
    }
    json
}

#[test]
fn a_field_is_cleared_and_an_age_follows_from_the_birthday() {
    let home = Home::new();
    home.ok(&["profile", "set", "birthday", "1990-01-01"]);
    let age: u32 = home.ok(&["profile", "get", "age"]).trim().parse().unwrap();
    assert!((36..120).contains(&age));
    home.ok(&["profile", "set", "age", "29"]);
    assert_eq!(home.ok(&["profile", "get", "age"]), "29\n");
    assert_eq!(home.ok(&["profile", "clear", "age"]), "cleared age\n");
    assert_eq!(home.ok(&["profile", "get", "age"]), format!("{age}\n"));
    home.fails(6, &["profile", "clear", "age"]);
    home.fails(2, &["profile", "set", "birthday", "2999-01-01"]);
}

#[test]
fn balances_are_set_listed_and_removed() {
    let home = Home::new();
    let dai = format!("eip155:1/erc20:{TOKEN}");
    let set = ["balance", "set", ACCOUNT, &dai.to_lowercase(), "1500000000000000000"];
    home.ok(&[&set[..], &["--decimals", "18", "--symbol", "DAI"]].concat());
    let set = home.json(&["balance", "set", ACCOUNT, COIN, "7"]).remove(0);
    let coin = json!({"account": ACCOUNT, "asset": COIN, "amount": "7"});
    assert_eq!(without(set, &["updated"]), coin);
    let listed = home.ok(&["balance", "list"]);
    assert_eq!(listed.lines().count(), 2);
    assert!(listed.contains("1.5 DAI") && listed.contains(&dai), "{listed}");
    assert_eq!(home.json(&["balance", "list", "--account", ACCOUNT]).len(), 2);
    home.ok(&["balance", "remove", ACCOUNT, COIN]);
    home.fails(6, &["balance", "remove", ACCOUNT, COIN]);
    assert_eq!(home.json(&["balance", "list"]).len(), 1);
    let said = home.fails(2, &["balance", "set", ACCOUNT, "eip155:5/slip44:60", "1"]);
    assert!(said.contains("another chain"), "{said}");
    home.fails(2, &["balance", "set", ACCOUNT, "slip44:60", "1"]);
}

#[test]
fn nfts_rewards_cohorts_and_contracts_are_kept() {
    let home = Home::new();
    let kitty = format!("eip155:1/erc721:{TOKEN}/771769");
    home.ok(&["nft", "set", ACCOUNT, &kitty, "--name", "a kitty"]);
    let nft = json!({"account": ACCOUNT, "asset": kitty, "amount": "1", "name": "a kitty"});
    assert_eq!(without(home.json(&["nft", "list"]).remove(0), &["updated"]), nft);
    home.ok(&["nft", "remove", ACCOUNT, &kitty]);
    home.fails(6, &["nft", "remove", ACCOUNT, &kitty]);

    home.ok(&["reward", "add", "q1", "first", "--kind", "direct"]);
    home.ok(&["reward", "add", "q1", "renamed"]);
    let reward = json!({"id": "q1", "name": "renamed"});
    assert_eq!(without(home.json(&["reward", "list"]).remove(0), &["earned"]), reward);
    home.ok(&["reward", "remove", "q1"]);
    home.fails(6, &["reward", "remove", "q1"]);

    home.ok(&["cohort", "reject", "b", "a"]);
    let rejected = home.json(&["cohort", "list"]);
    assert_eq!(rejected.len(), 2);
    assert_eq!(without(rejected[0].clone(), &["rejected"]), json!({"id": "a"}));
    home.ok(&["cohort", "accept", "a"]);
    home.fails(6, &["cohort", "accept", "a"]);

    home.fails(6, &["contract", "get", "eip155:1", TOKEN]);
    home.ok(&["contract", "set", "eip155:1", TOKEN, "15571241"]);
    assert_eq!(home.ok(&["contract", "get", "1", &TOKEN.to_lowercase()]), "15571241\n");
    assert_eq!(home.json(&["contract", "list"])[0]["blockNumber"], 15_571_241);
    home.fails(2, &["contract", "get", "1", "0x6b175474E89094C44Da98b954EedeAC495271d0F"]);
}

#[test]
fn labels_come_from_other_wallets_and_go_there() {
    let home = Home::new();
    let theirs =
        r#"{"type":"addr","ref":"bc1q34aq5drpuwy3wgl9lhup9892qp6svr8ldzyy7c","label":"Address"}"#;
    home.file("labels", format!("{theirs}\nnonsense\n"));
    let told = home.ok(&["label", "import", "labels"]);
    assert_eq!(told, "1 labels written, 0 known before, 1 lines were no labels\n");
    home.ok(&["label", "set", "tx", "f91d", "coffee"]);
    assert_eq!(home.ok(&["label", "list", "--type", "tx"]), "tx  f91d  coffee\n");
    home.ok(&["label", "remove", "tx", "f91d"]);
    home.fails(6, &["label", "remove", "tx", "f91d"]);
    home.fails(2, &["label", "set", "shoe", "f91d", "x"]);
    assert_eq!(home.ok(&["label", "export"]), format!("{theirs}\n"));
    home.fails(11, &["label", "import", "absent"]);
}

#[test]
fn visits_and_clicks_are_listed_and_counted() {
    let home = Home::new();
    for (url, day) in [("https://a.org/1", 1), ("https://a.org/2", 2), ("https://a.org/1", 3)] {
        let (start, end) = (format!("2026-01-0{day}"), format!("2026-01-0{day}T00:01Z"));
        home.ok(&["visit", "add", url, "--start", &start, "--end", &end]);
    }
    let listed = home.ok(&["visit", "list", "--since", "2026-01-02", "--until", "2026-01-03"]);
    assert_eq!(listed, "2026-01-02T00:00:00Z  1 min  https://a.org/2\n");
    assert_eq!(home.ok(&["visit", "count"]), "2  https://a.org/1\n1  https://a.org/2\n");
    let origin = json!({"of": "https://a.org", "visits": 3});
    assert_eq!(home.json(&["visit", "count", "--by", "origin"]), [origin]);
    home.ok(&["click", "add", "https://a.org/1", "--element", "#buy"]);
    let click = home.json(&["click", "list", "--origin", "https://a.org"]).remove(0);
    assert_eq!((&click["url"], &click["element"]), (&"https://a.org/1".into(), &"#buy".into()));
    assert!(home.json(&["click", "list", "--url", "https://a.org/2"]).is_empty());
    home.fails(2, &["click", "add", "example"]);
    let backwards = ["--start", "2026-01-02", "--end", "2026-01-01"];
    home.fails(2, &[&["visit", "add", "https://a.org"], &backwards[..]].concat());
}

#[test]
fn devices_are_listed_with_their_last_backups() {
    let home = Home::new();
    home.ok(&["profile", "set", "given_name", "Ada"]);
    std::fs::create_dir(home.path("cloud")).unwrap();
    let alone = home.ok(&["device", "list"]);
    assert!(alone.contains("has no backup in the clouds  this device"), "{alone}");
    home.ok(&["backup", "now"]);
    let mine = home.json(&["device", "list"]).remove(0);
    assert_eq!((&mine["mine"], &mine["retired"]), (&true.into(), &false.into()));
    home.lose_the_device();
    home.ok(&["restore", "--cloud", "dir:cloud"]);
    home.ok(&["profile", "set", "given_name", "Grace"]);
    home.ok(&["backup", "now"]);
    let devices = home.json(&["device", "list"]);
    assert_eq!(devices.len(), 2);
    assert_eq!(devices.iter().filter(|device| device["mine"] == true).count(), 1);
}

/// Nothing is deleted before somebody has seen what, and said yes to that.
#[test]
fn clouds_are_cleared_once_that_is_confirmed() {
    let home = Home::new();
    home.ok(&["profile", "set", "given_name", "Ada"]);
    home.ok(&["backup", "now"]);
    let asked = home.ok(&["cloud", "clear"]);
    let token = asked.trim().rsplit(' ').next().unwrap();
    assert!(asked.contains("Nothing was deleted"), "{asked}");
    home.fails(2, &["cloud", "clear", "--confirm", "no"]);
    home.ok(&["verify", "--cloud"]);
    let done = home.ok(&["cloud", "clear", "--confirm", token]);
    assert!(done.starts_with("deleted "), "{done}");
    assert_eq!(home.json(&["cloud", "clear"])[0]["objects"], 0);
    home.ok(&["backup", "now"]);
    let digest = home.digest();
    home.lose_the_device();
    home.ok(&["restore", "--cloud", "dir:cloud"]);
    assert_eq!(home.digest(), digest);
}
