//! `cloud`: adding, listing, removing and trying out.

use std::fs;

use crate::common::{Home, failed};

#[test]
fn a_cloud_is_added_listed_and_removed() {
    let home = Home::new();
    home.ok(&["profile", "set", "given_name", "Ada"]);
    home.ok(&["backup", "now"]);
    let first = home.json(&["cloud", "list"]).remove(0);
    assert!(first["url"].as_str().unwrap().ends_with("/cloud"));
    let told = home.ok(&["cloud", "add", "dir:second"]);
    assert!(told.starts_with("added dir:") && told.contains("copied"), "{told}");
    let listed = home.json(&["cloud", "list"]);
    assert_eq!(listed.len(), 2);
    assert!(listed[1]["url"].as_str().unwrap().ends_with("/second"));
    assert_eq!(listed[1]["creates_once"], true, "it was tried out");
    let told = home.ok(&["cloud", "list"]);
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].ends_with("not tried out yet"), "there was nothing to fence: {told}");
    assert!(lines[1].contains("keeps a second writer out, seen "), "{told}");

    let said = home.fails(7, &["cloud", "add", "dir:second"]);
    assert!(said.contains("already"), "{said}");
    home.ok(&["verify", "--cloud"]);
    let told = home.ok(&["cloud", "remove", "dir:cloud"]);
    assert!(told.contains("still there"), "{told}");
    home.fails(6, &["cloud", "remove", "dir:cloud"]);
    fs::remove_dir_all(home.path("cloud")).unwrap();
    home.ok(&["profile", "set", "given_name", "Grace"]);
    home.ok(&["backup", "now"]);
    home.lose_the_device();
    home.ok(&["restore", "--cloud", "dir:second"]);
    assert_eq!(home.ok(&["profile", "get", "given_name"]), "Grace\n");
}

/// Where it belongs there is nothing then, or the empty folder of its mount point: both are on the
/// device's own disk.
#[test]
fn no_backup_goes_to_the_place_of_a_stick_that_is_not_plugged_in() {
    let home = Home::new();
    home.ok(&["profile", "set", "given_name", "Ada"]);
    home.ok(&["backup", "now"]);
    let restored = |home: &Home| {
        home.lose_the_device();
        home.ok(&["restore", "--cloud", "dir:cloud"]);
    };
    for is_restored in [false, true] {
        if is_restored {
            // It has put nothing yet.
            restored(&home);
        }
        fs::rename(home.path("cloud"), home.path("unplugged")).unwrap();
        home.ok(&["profile", "set", "given_name", "Grace"]);
        for _ in 0..2 {
            let said = home.fails(9, &["backup", "now"]);
            assert!(said.contains("plug the medium in"), "{said}");
            home.run(&["status"]);
            home.run(&["backup", "list"]);
            fs::create_dir(home.path("cloud")).unwrap_or_default();
            assert_eq!(fs::read_dir(home.path("cloud")).unwrap().count(), 0, "on the own disk");
        }
        fs::remove_dir(home.path("cloud")).unwrap();
        fs::rename(home.path("unplugged"), home.path("cloud")).unwrap();
        home.ok(&["backup", "now"]);
    }
    restored(&home);
    assert_eq!(home.ok(&["profile", "get", "given_name"]), "Grace\n");
}

#[test]
fn trying_out_the_place_of_a_stick_does_not_make_it_the_stick() {
    let home = Home::new();
    home.ok(&["profile", "set", "given_name", "Ada"]);
    home.ok(&["backup", "now"]);
    fs::rename(home.path("cloud"), home.path("unplugged")).unwrap();
    fs::create_dir(home.path("cloud")).unwrap();
    home.ok(&["cloud", "test", "dir:cloud"]);
    home.ok(&["profile", "set", "given_name", "Grace"]);
    let said = home.fails(9, &["backup", "now"]);
    assert!(said.contains("plug the medium in"), "{said}");
    assert!(!home.path("cloud/sr1").exists(), "on the own disk");
    fs::remove_dir_all(home.path("cloud")).unwrap();
    fs::rename(home.path("unplugged"), home.path("cloud")).unwrap();
    home.ok(&["backup", "now"]);
}

/// Of words that exist nobody knows whether their backups are on a stick that is not plugged in.
#[test]
fn a_wallet_is_not_made_anew_where_its_backups_may_be_unplugged() {
    let home = Home::new();
    home.ok(&["backup", "now"]);
    home.lose_the_device();
    fs::rename(home.path("cloud"), home.path("unplugged")).unwrap();
    let init = ["init", "--cloud", "dir:cloud"];
    let said = home.fails(9, &init);
    assert!(said.contains("plug the medium in") && said.contains("--offline"), "{said}");
    assert!(!home.path("cloud").exists() && !home.path("wallet").exists());
    // An empty folder is that of a new cloud; a look leaves it empty.
    fs::create_dir(home.path("cloud")).unwrap();
    home.ok(&init);
    assert_eq!(fs::read_dir(home.path("cloud")).unwrap().count(), 0);
    home.lose_the_device();
    fs::remove_dir(home.path("cloud")).unwrap();
    fs::rename(home.path("unplugged"), home.path("cloud")).unwrap();
    assert!(home.fails(7, &init).contains("restore"));
}

#[test]
fn a_folder_in_a_place_that_is_not_there_is_told_at_once() {
    let home = Home::empty();
    for more in [&[][..], &["--offline"]] {
        let init = [&["init", "--cloud", "dir:stick/wallet"], more].concat();
        let said = failed(9, &mut home.bare(&init));
        assert!(said.contains("plug the medium in") && said.contains("stick"), "{said}");
        assert!(!home.path("stick").exists() && !home.path("wallet").exists());
    }
    let home = Home::new();
    let said = home.fails(9, &["cloud", "add", "dir:stick/wallet"]);
    assert!(said.contains("plug the medium in") && said.contains("stick"), "{said}");
    assert!(!home.path("stick").exists());
    fs::create_dir(home.path("stick")).unwrap();
    home.ok(&["cloud", "add", "dir:stick/wallet"]);
    assert!(home.path("stick/wallet").exists());
}

#[test]
fn a_cloud_is_tried_out_without_a_wallet() {
    let home = Home::empty();
    fs::create_dir(home.path("cloud")).unwrap();
    let output = home.bare(&["cloud", "test", "dir:cloud"]).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for step in ["put ", "get ", "list ", "delete ", "conditions "] {
        let row = told.lines().find(|line| line.starts_with(step)).unwrap();
        assert!(row.contains("works") && row.ends_with("ms"), "{told}");
    }
    assert!(told.contains("keeps a second writer out") && told.contains("yes"), "{told}");
    let json = home.bare(&["--json", "cloud", "test", "dir:cloud"]).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["ok"], &json["fences"]), (&true.into(), &true.into()));
    assert_eq!(json["steps"].as_array().unwrap().len(), 5);
    failed(9, &mut home.bare(&["cloud", "test", "dir:typo"]));
    failed(2, &mut home.bare(&["cloud", "test", "nonsense"]));
}

/// A password neither shows when a cloud cannot be reached, nor may it stand in the address.
#[cfg(feature = "clouds")]
#[test]
fn a_cloud_that_is_not_there_is_told_without_its_password() {
    let home = Home::empty();
    let mut command = home.bare(&["cloud", "test", "webdav+http://me@127.0.0.1:9/dav"]);
    command.env("STRONGROOM_WEBDAV_PASSWORD", "hunter2hunter2").env("STRONGROOM_LOG", "trace");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(9));
    let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(told.contains("put") && told.contains("FAILED"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
    let encoded = "bWU6aHVudGVyMmh1bnRlcjI";
    assert!(!told.contains(encoded), "{told}");
    let args = ["cloud", "test", "webdav+http://me:hunter2hunter2@127.0.0.1:9/dav"];
    let said = failed(2, &mut home.bare(&args));
    assert!(said.contains("password"), "{said}");
}
