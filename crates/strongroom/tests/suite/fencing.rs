//! Takeover and handover with the real program: which device writes data that has a single writer.

use std::process::Stdio;

use serde_json::Value;

use crate::common::{Home, text};

/// Runs a command on the wallet in another folder.
fn on<'a>(dir: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    [&["--dir", dir], args].concat()
}

fn put(home: &Home, dir: &str, key: &str) {
    home.file("value", key);
    home.ok(&on(dir, &["kv", "put", "channels", "", key, "value"]));
}

/// A wallet with one entry in the cloud, and a second device restored from there.
fn two_devices() -> Home {
    let home = Home::new();
    put(&home, "wallet", "one");
    home.ok(&["backup", "now"]);
    home.ok(&on("second", &["restore", "--cloud", "dir:cloud"]));
    home
}

#[test]
fn a_restored_wallet_takes_entries_only_after_a_takeover() {
    let home = two_devices();
    home.file("value", "x");
    let said = home.fails(12, &on("second", &["kv", "put", "channels", "", "two", "value"]));
    assert!(said.contains("restored") && said.contains("strongroom takeover"), "{said}");
    let status = home.ok(&on("second", &["backup", "status"]));
    assert!(status.contains("strongroom takeover"), "{status}");
    // What merges does not wait for that.
    home.ok(&on("second", &["profile", "set", "given_name", "Ada"]));
    home.ok(&on("second", &["backup", "now"]));

    let taken = &home.json(&on("second", &["takeover"]))[0];
    assert_eq!((&taken["epoch"], &taken["needed"]), (&2.into(), &1.into()));
    assert!(taken["deposed"].is_string() && taken["missing"].as_array().unwrap().is_empty());
    put(&home, "second", "two");
    let posted = &home.json(&on("second", &["backup", "now"]))[0];
    assert_eq!(posted["single_writer"], "acknowledged");

    // The first one learns of it with its next backup, and says so from then on.
    put(&home, "wallet", "late");
    let said = home.ok(&["backup", "now"]);
    assert!(said.contains("NOT acknowledged"), "{said}");
    let said = home.fails(12, &["kv", "put", "channels", "", "later", "value"]);
    assert!(said.contains("taken over in epoch 2"), "{said}");
    let said = home.fails(12, &["takeover"]);
    assert!(said.contains("restore") && said.contains("--dir NEW"), "{said}");
    home.ok(&on("third", &["restore", "--cloud", "dir:cloud"]));
    assert_eq!(home.ok(&on("third", &["kv", "list", "channels", ""])), "one\ntwo\n");
}

#[test]
fn a_handover_flushes_seals_and_says_what_the_other_device_needs() {
    let home = Home::new();
    put(&home, "wallet", "one");
    let said = home.ok(&["handover"]);
    assert!(said.contains("strongroom restore --cloud dir:"), "{said}");
    assert!(said.contains("strongroom takeover\n"), "{said}");
    for args in [&["digest"][..], &["kv", "list", "", ""], &["backup", "now"], &["takeover"]] {
        let said = home.fails(12, args);
        assert!(said.contains("handed over") && said.contains("takeover --back"), "{said}");
    }
    // Nobody has taken it over: it comes back.
    home.ok(&["takeover", "--back"]);
    put(&home, "wallet", "two");
    let handed = &home.json(&["handover"])[0];
    assert!(handed["clouds"][0].as_str().unwrap().starts_with("dir:"), "{handed}");
    assert!(handed["sequence"].as_u64().unwrap() > 0 && handed["writer"].is_string());

    home.ok(&on("second", &["restore", "--cloud", "dir:cloud"]));
    home.ok(&on("second", &["takeover"]));
    assert_eq!(home.ok(&on("second", &["kv", "list", "channels", ""])), "one\ntwo\n");
    let said = home.fails(12, &["takeover", "--back"]);
    assert!(said.contains("has taken over"), "{said}");
    home.fails(12, &["digest"]);
}

#[test]
fn a_wallet_without_a_cloud_cannot_be_handed_over_and_goes_on() {
    let home = Home::empty();
    let output = home.bare(&["init"]).output().unwrap();
    home.file("words", output.stdout);
    home.fails(9, &["handover"]);
    put(&home, "wallet", "one");
}

/// Two processes, one folder as the cloud: the device that writes backs up while the other one takes
/// over. Whoever comes first is acknowledged, and never both.
#[test]
fn of_a_backup_and_a_takeover_at_the_same_moment_one_is_acknowledged() {
    let (mut written, mut taken) = (0, 0);
    for round in 0..6 {
        let home = two_devices();
        put(&home, "wallet", "two");
        let spawn = |args: &[&str]| {
            let mut command = home.command(&[&["--json"], args].concat());
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        // In turns, because a backup has more to do before it comes to the fence.
        let (backup, takeover) = if round % 2 == 0 {
            let backup = spawn(&["backup", "now"]);
            (backup, spawn(&on("second", &["takeover"])))
        } else {
            let takeover = spawn(&on("second", &["takeover"]));
            (spawn(&["backup", "now"]), takeover)
        };
        let backup = backup.wait_with_output().unwrap();
        let takeover = takeover.wait_with_output().unwrap();
        assert!(backup.status.success(), "{}", text(&backup.stderr));
        let posted: Value = serde_json::from_slice(&backup.stdout).unwrap();
        let is_acknowledged = posted["single_writer"] == "acknowledged";
        assert!(is_acknowledged || posted["single_writer"] == "stopped", "{posted}");
        assert_eq!(
            takeover.status.code(),
            Some(if is_acknowledged { 12 } else { 0 }),
            "round {round}: {posted}, {}",
            text(&takeover.stderr)
        );
        written += u32::from(is_acknowledged);
        taken += u32::from(!is_acknowledged);
        // What a restore finds is what was acknowledged.
        home.ok(&on("third", &["restore", "--cloud", "dir:cloud"]));
        let expected = if is_acknowledged { "one\ntwo\n" } else { "one\n" };
        assert_eq!(home.ok(&on("third", &["kv", "list", "channels", ""])), expected);
    }
    println!("the backup was first {written} times, the takeover {taken} times");
}

#[test]
fn a_suspicion_is_shown_until_it_is_noted() {
    let home = Home::new();
    home.ok(&["profile", "set", "given_name", "Ada"]);
    home.ok(&["backup", "now"]);
    crate::common::copy(&home.path("cloud"), &home.path("old"));
    home.ok(&["profile", "set", "given_name", "Eve"]);
    home.ok(&["backup", "now"]);
    std::fs::remove_dir_all(home.path("cloud")).unwrap();
    std::fs::rename(home.path("old"), home.path("cloud")).unwrap();
    home.ok(&["backup", "poll"]);
    let status = &home.json(&["backup", "status"])[0];
    assert_eq!(status["findings"][0]["kind"], "rolled-back", "{status}");
    let said = home.ok(&["backup", "status"]);
    assert!(said.contains("SUSPICIOUS") && said.contains("use another cloud"), "{said}");
    assert_eq!(home.json(&["backup", "acknowledge"])[0]["findings"], 1);
    assert!(!home.ok(&["backup", "status"]).contains("SUSPICIOUS"));
}

#[test]
fn an_older_state_is_restored_only_if_that_is_accepted() {
    let home = two_devices();
    let old =
        home.json(&["backup", "list", "--points"])[0]["restore_points"][0]["sequence"].to_string();
    put(&home, "wallet", "two");
    home.ok(&["backup", "now"]);
    let older = ["restore", "--cloud", "dir:cloud", "--at", &old];
    let said = home.fails(13, &on("older", &older));
    assert!(said.contains("would bring back") && said.contains("--accept-stale"), "{said}");
    assert!(said.contains("Lightning"), "{said}");
    assert!(!home.path("older").exists());
    let said = home.ok(&on("older", &[&older[..], &["--accept-stale"]].concat()));
    assert!(said.contains("NOT restored"), "{said}");
    assert_eq!(home.ok(&on("older", &["kv", "list", "channels", ""])), "one\n");
    // It is there to be looked at.
    home.fails(12, &on("older", &["takeover"]));
    home.ok(&on("newest", &["restore", "--cloud", "dir:cloud"]));
    assert_eq!(home.ok(&on("newest", &["kv", "list", "channels", ""])), "one\ntwo\n");
}
