//! `profile history` and `profile get --at`: older values, read from the cloud.

use std::fs;

use serde_json::{Value, json};

use crate::common::Home;

/// A name that was set twice and then cleared, each in a backup.
fn changed() -> Home {
    let home = Home::new();
    for name in ["Ada", "Grace"] {
        home.ok(&["profile", "set", "given_name", name]);
        home.ok(&["backup", "now"]);
    }
    home.ok(&["profile", "clear", "given_name"]);
    home.ok(&["backup", "now"]);
    home
}

fn values(home: &Home) -> Vec<Value> {
    let history = home.json(&["profile", "history", "given-name"]);
    history.into_iter().map(|past| past["value"].clone()).collect()
}

#[test]
fn a_person_sees_what_a_field_has_held_and_get_does_not_return_it() {
    let home = changed();
    let told = home.ok(&["profile", "history", "given_name"]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 4, "{told}");
    assert!(lines[0].starts_with("FROM") && lines[0].ends_with("VALUE"), "{told}");
    for (line, value) in lines[1..].iter().zip(["(not set)", "Grace", "Ada"]) {
        assert!(line.ends_with(value) && line.contains("this one"), "{told}");
    }
    home.fails(6, &["profile", "get", "given_name"]);

    let history = home.json(&["profile", "history", "given_name"]);
    let grace = &history[1];
    assert_eq!((&grace["field"], &grace["value"]), (&json!("given_name"), &json!("Grace")));
    assert_eq!((&grace["mine"], &grace["restore_points"]), (&json!(true), &json!(1)));
    let at = grace["last"]["sequence"].to_string();
    assert_eq!(home.ok(&["profile", "get", "given_name", "--at", &at]), "Grace\n");
    let one = home.json(&["profile", "get", "given_name", "--at", &at]).remove(0);
    assert_eq!((&one["value"], &one["last"]["time"]), (&json!("Grace"), &grace["last"]["time"]));
    assert_eq!(home.ok(&["profile", "get", "given_name", "--at", "1"]), "Ada\n");
    let said = home.fails(6, &["profile", "get", "given_name", "--at", "newest"]);
    assert!(said.contains("was not set at") && said.contains("profile history"), "{said}");

    // The device is lost: the words and the cloud are enough.
    home.lose_the_device();
    home.ok(&["restore", "--cloud", "dir:cloud"]);
    assert_eq!(values(&home), [json!(null), json!("Grace"), json!("Ada")]);
    home.fails(6, &["profile", "get", "given_name"]);
}

#[test]
fn what_a_history_cannot_tell_is_said() {
    let home = changed();
    for args in [
        &["profile", "history", "shoe_size"][..],
        &["profile", "get", "shoe_size"],
        &["profile", "get", "shoe_size", "--at", "newest"],
    ] {
        let said = home.fails(2, args);
        assert!(said.contains("no field shoe_size; fields are: age, birthday, email"), "{said}");
    }
    home.fails(2, &["profile", "history", "a/b"]);
    home.fails(2, &["profile", "get", "email", "--at", "yesterday"]);
    let said = home.fails(6, &["profile", "history", "email"]);
    assert!(said.contains("no restore point in the clouds holds the field email"), "{said}");
    let said = home.fails(6, &["profile", "get", "given_name", "--at", "2001-01-01"]);
    assert!(said.contains("no restore point at or before"), "{said}");
    assert!(said.contains("profile history given_name"), "{said}");

    let alone = Home::empty();
    let output = alone.bare(&["init"]).output().unwrap();
    fs::write(alone.path("words"), output.stdout).unwrap();
    let said = alone.fails(9, &["profile", "history", "email"]);
    assert!(said.contains("cloud add"), "{said}");
    let fresh = Home::new();
    fs::create_dir(fresh.path("cloud")).unwrap();
    let said = fresh.fails(6, &["profile", "history", "email"]);
    assert!(said.contains("backup now"), "{said}");
}
