//! `kv put --mergeable`, `kv namespaces` and `kv reclass`.

use serde_json::json;

use crate::common::{Home, text};

/// On the wallet in another folder.
fn on<'a>(dir: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    [&["--dir", dir], args].concat()
}

fn put(home: &Home, dir: &str, at: [&str; 2], more: &[&str]) -> String {
    home.file("value", format!("{} of {dir}", at[1]));
    home.ok(&on(dir, &[&["kv", "put", at[0], "", at[1], "value"], more].concat()))
}

#[test]
fn a_person_chooses_the_class_of_entries_and_changes_it() {
    let home = Home::new();
    home.file("value", "x");
    // The first put says what it means; a later one asks for nothing.
    let said = home.run(&["kv", "put", "plain", "", "a", "value"]);
    assert!(text(&said.stderr).contains("with --mergeable every device may"), "{said:?}");
    let said = home.run(&["kv", "put", "plain", "", "b", "value"]);
    assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
    put(&home, "wallet", ["notes", "a"], &["--mergeable"]);
    for (args, has) in [
        (&["kv", "put", "plain", "", "c", "value", "--mergeable"][..], "plain/ are single-writer"),
        (&["kv", "put", "notes", "", "c", "value", "--single-writer"], "notes/ are mergeable"),
    ] {
        let said = home.fails(2, args);
        assert!(said.contains(has) && said.contains("kv reclass"), "{said}");
    }
    home.fails(2, &["kv", "put", "n", "", "c", "value", "--single-writer", "--mergeable"]);
    home.ok(&["backup", "now"]);

    // A second device writes what merges, and nothing else.
    home.ok(&on("second", &["restore", "--cloud", "dir:cloud"]));
    put(&home, "second", ["notes", "b"], &[]);
    home.fails(12, &on("second", &["kv", "put", "plain", "", "c", "value"]));
    home.ok(&on("second", &["backup", "now"]));
    home.ok(&["backup", "poll"]);
    assert_eq!(home.ok(&["kv", "list", "notes", ""]), "a\nb\n");
    assert_eq!(home.ok(&["kv", "get", "notes", "", "b"]), "b of second");
    home.ok(&["kv", "remove", "notes", "", "b"]);
    home.fails(6, &["kv", "get", "notes", "", "b"]);

    let listed = home.ok(&["kv", "namespaces"]);
    let rows: Vec<Vec<&str>> = listed.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(rows[1..], [vec!["notes", "mergeable", "1"], vec!["plain", "single-writer", "2"]]);
    let listed = home.json(&["kv", "namespaces"]);
    assert_eq!(
        listed[0],
        json!({"primary": "notes", "secondary": "", "class": "mergeable",
        "entries": 1, "left_over": false})
    );

    let said = home.ok(&["kv", "reclass", "plain", "", "mergeable"]);
    assert_eq!(said, "plain/ is mergeable; 2 entries were moved\n");
    assert_eq!(home.ok(&["kv", "list", "plain", ""]), "a\nb\n");
    assert_eq!(home.ok(&["kv", "list", "plain", "", "--single-writer"]), "");
    home.ok(&["backup", "now"]);
    home.ok(&on("second", &["backup", "poll"]));
    put(&home, "second", ["plain", "c"], &[]);
    assert_eq!(home.ok(&on("second", &["kv", "list", "plain", ""])), "a\nb\nc\n");
    assert!(home.ok(&on("second", &["kv", "namespaces"])).contains("left over"));

    // The words and the cloud bring entries and classes back.
    home.ok(&on("second", &["backup", "now"]));
    home.ok(&on("third", &["restore", "--cloud", "dir:cloud"]));
    assert_eq!(home.ok(&on("third", &["kv", "list", "plain", ""])), "a\nb\nc\n");
    let said =
        home.fails(2, &on("third", &["kv", "put", "notes", "", "x", "value", "--single-writer"]));
    assert!(said.contains("notes/ are mergeable"), "{said}");
}
