//! What people look at: the status on one screen, replication as it goes on, completions, the manual.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::common::Home;

/// A wallet without a cloud.
fn without_a_cloud() -> Home {
    let home = Home::empty();
    let output = home.bare(&["init"]).output().unwrap();
    home.file("words", &output.stdout);
    home
}

#[test]
fn the_status_says_what_to_do() {
    let said = without_a_cloud().ok(&["status"]);
    assert!(said.contains("no records yet") && said.contains("none: no cloud is set"), "{said}");
    let add = "- nothing is backed up: add a cloud with \"strongroom cloud add URL\"\n";
    assert!(said.ends_with(add), "{said}");

    let home = Home::new();
    home.ok(&["account", "add", "eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"]);
    let said = home.ok(&["status"]);
    assert!(said.contains("1 accounts") && said.contains("Things to do"), "{said}");
    let both = "- back up with \"strongroom backup now\"\n- see that a restore";
    assert!(said.contains(both), "{said}");
    home.ok(&["backup", "now"]);
    let said = home.ok(&["status"]);
    assert!(said.contains("One thing to do:\n- see that a restore would succeed"), "{said}");
    home.ok(&["verify", "--cloud"]);
    let said = home.ok(&["status"]);
    assert!(said.ends_with("All is well: from the words alone everything comes back.\n"), "{said}");
    assert!(said.lines().count() <= 24, "{said}");
    let json = home.json(&["status"]).remove(0);
    assert_eq!(json["records"]["accounts"], 1);
}

#[test]
fn watching_backs_up_and_tells_until_everything_is_in_the_cloud() {
    let home = Home::new();
    home.ok(&["profile", "set", "given_name", "Ada"]);
    home.ok(&["watch", "--until-backed-up"]);
    assert_eq!(home.json(&["backup", "status"])[0]["lag_records"], 0);
    let digest = home.digest();
    home.lose_the_device();
    home.ok(&["restore", "--cloud", "dir:cloud"]);
    assert_eq!(home.digest(), digest);
}

/// A signal ends it as Ctrl-C does, and the wallet is free again.
#[cfg(unix)]
#[test]
fn watching_ends_when_it_is_told_to() {
    let home = Home::new();
    home.ok(&["profile", "set", "given_name", "Ada"]);
    let mut watching = home.command(&["--json", "watch"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let backed_up = lines.find(|line| {
        let event: Value = serde_json::from_str(line.as_ref().unwrap()).unwrap();
        event["event"] == "backed-up"
    });
    assert!(backed_up.is_some(), "what is new is backed up");
    home.fails(5, &["digest"]);
    let sent = Command::new("kill").args(["-TERM", &watching.id().to_string()]).status().unwrap();
    assert!(sent.success());
    assert!(watching.wait().unwrap().success());
    home.ok(&["digest"]);
}

#[test]
fn watching_needs_a_cloud() {
    without_a_cloud().fails(9, &["watch"]);
}

#[test]
fn shells_get_their_completions() {
    let home = Home::empty();
    for (shell, part) in [
        ("bash", "complete -F _strongroom"),
        ("zsh", "#compdef strongroom"),
        ("fish", "complete -c strongroom"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion"),
    ] {
        let output = home.bare(&["completions", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && script.contains(part), "{shell}");
        assert!(script.contains("until-backed-up"), "{shell} knows every option");
    }
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let home = Home::empty();
    let output = home.bare(&["man"]).output().unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(page.contains(".TH strongroom 1") && page.contains("Exit codes"), "{page}");
    let output = home.bare(&["man", "--to", "man1"]).output().unwrap();
    assert!(output.status.success());
    let pages = fs::read_dir(home.path("man1")).unwrap().count();
    assert!(pages > 60, "{pages} pages");
    assert!(home.path("man1/strongroom-tx-list.1").exists());
}
