//! `backup list` and `backup status`: what is in the clouds, and when a restore was verified last.

use std::fs;

use crate::common::{Home, files, text};

/// A wallet of which a full dump, a delta dump and two more segments are in the cloud.
fn backed_up() -> Home {
    let home = Home::new();
    home.ok(&["profile", "set", "given_name", "Ada"]);
    home.ok(&["backup", "now"]);
    home.ok(&["profile", "set", "email", "ada@example.org"]);
    home.ok(&["backup", "dump"]);
    for name in ["Grace", "Mary"] {
        home.ok(&["profile", "set", "given_name", name]);
        home.ok(&["backup", "now"]);
    }
    home
}

/// The rows of the table that begins with this word: up to an empty line.
fn rows(told: &str, head: &str) -> Vec<String> {
    let within = told.lines().skip_while(|line| !line.starts_with(head)).skip(1);
    within.take_while(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn list_shows_chains_dumps_sizes_ages_and_restore_points() {
    let home = backed_up();
    let told = home.ok(&["backup", "list"]);
    let chains = rows(&told, "DEVICE");
    assert!(chains.len() == 1 && chains[0].starts_with("this one"), "{told}");
    assert!(chains[0].contains(" s ago)") && chains[0].contains("KiB"), "{told}");
    let dumps = rows(&told, "DUMP");
    assert!(dumps.len() == 2 && dumps[0].starts_with("delta") && dumps[1].starts_with("full"));
    assert_eq!(rows(&told, "NEWEST RESTORE POINTS").len(), 4, "{told}");
    assert_eq!(rows(&told, "OBJECTS").len(), 4, "{told}");
    let clouds = rows(&told, "CLOUD");
    assert!(
        clouds.len() == 1 && clouds[0].starts_with("dir:") && clouds[0].contains("/cloud "),
        "{told}"
    );
    let cloud: u64 = files(&home.path("cloud"))
        .iter()
        .filter(|file| file.to_string_lossy().contains("/sr1/"))
        .map(|file| fs::metadata(file).unwrap().len())
        .sum();
    let json = home.json(&["backup", "list"]).remove(0);
    assert_eq!(json["clouds"][0]["bytes"], cloud, "what lies in the folder");
    assert_eq!(json["chains"][0]["bytes"], cloud);

    let points = rows(&home.ok(&["backup", "list", "--points"]), "RESTORE POINT");
    assert_eq!(points.len(), 4, "{points:?}");
    assert_eq!(json["chains"][0]["restore_points"], 4);
    let two = rows(&home.ok(&["backup", "list", "--points", "2"]), "RESTORE POINT");
    assert_eq!(two.len(), 2);
    // What is listed can be restored.
    let third = points[2].split_whitespace().last().unwrap();
    home.ok(&["--dir", "other", "restore", "--cloud", "dir:cloud", "--at", third]);
    assert_eq!(home.ok(&["--dir", "other", "profile", "get", "given_name"]), "Ada\n");
    home.fails(2, &["backup", "list", "--points", "many"]);
}

#[test]
fn a_device_that_was_replaced_is_listed_beside_the_new_one() {
    let home = backed_up();
    home.lose_the_device();
    home.ok(&["restore", "--cloud", "dir:cloud"]);
    let told = home.ok(&["backup", "list"]);
    let chains = rows(&told, "DEVICE");
    assert!(chains.len() == 1 && !chains[0].contains("this one"), "{told}");
    home.ok(&["profile", "set", "given_name", "Emmy"]);
    home.ok(&["backup", "now"]);
    let told = home.ok(&["backup", "list"]);
    let chains = rows(&told, "DEVICE");
    assert!(chains.len() == 2 && chains[0].starts_with("this one"), "the newest first: {told}");
    assert_eq!(rows(&told, "DUMP").len(), 3);
}

#[test]
fn status_remembers_the_last_verified_restore() {
    let home = backed_up();
    let line = |home: &Home| {
        let told = home.ok(&["backup", "status"]);
        let row = told.lines().find(|line| line.starts_with("last verified restore")).unwrap();
        row.to_owned()
    };
    assert!(line(&home).contains("never") && line(&home).contains("verify --cloud"));
    home.ok(&["verify", "--cloud"]);
    let verified = line(&home);
    assert!(verified.contains(" s ago)") && verified.contains("in 1 of 1 clouds"), "{verified}");
    // A verification that finds damage is none.
    let before = home.json(&["backup", "status"]).remove(0)["last_verified"].clone();
    let segment = files(&home.path("cloud"))
        .into_iter()
        .find(|file| file.to_string_lossy().contains("/s/"))
        .unwrap();
    let good = fs::read(&segment).unwrap();
    fs::write(&segment, b"damaged").unwrap();
    home.fails(4, &["verify", "--cloud"]);
    assert_eq!(home.json(&["backup", "status"]).remove(0)["last_verified"], before);
    fs::write(&segment, good).unwrap();
    home.lose_the_device();
    home.ok(&["restore", "--cloud", "dir:cloud"]);
    assert!(line(&home).contains("this device was restored"), "{}", line(&home));
}

#[test]
fn a_cloud_that_is_gone_is_told_and_none_at_all_is_an_error() {
    let home = Home::empty();
    let output = home.bare(&["init", "--cloud", "dir:one", "--cloud", "dir:two"]).output().unwrap();
    home.file("words", output.stdout);
    home.ok(&["backup", "now"]);
    // In place of the folder lies a file: the cloud does not open.
    fs::remove_dir_all(home.path("two")).unwrap();
    home.file("two", "no folder");
    let told = text(&home.run(&["backup", "list"]).stdout);
    let said = home.run(&["backup", "list"]);
    assert!(
        said.status.success() && told.contains("did not answer"),
        "{told}{}",
        text(&said.stderr)
    );
    fs::remove_dir_all(home.path("one")).unwrap();
    home.file("one", "no folder");
    home.fails(9, &["backup", "list"]);
}
