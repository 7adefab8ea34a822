//! Kinds of store, and moving between them.

use std::{fs, process::Stdio, thread, time::Duration};

use crate::common::{Home, failed, lines, text};

fn filled() -> Home {
    let home = Home::new();
    let lines: String = lines(300, 7).into_iter().map(|(_, line)| line + "\n").collect();
    home.file("txs", lines);
    home.ok(&["import", "txs", "txs"]);
    home.file("value", vec![7; 100_000]);
    home.ok(&["kv", "put", "monitors", "", "channel", "value"]);
    home
}

#[test]
fn a_wallet_moves_to_a_file_and_back_with_everything() {
    let home = filled();
    let digest = home.digest();
    let moved = &home.json(&["migrate", "--to", "sqlite:moved.db"])[0];
    assert!(moved["entries"].as_u64().unwrap() > 300, "{moved}");
    // Nobody needs a key to move, and what is here is over.
    let said = home.fails(6, &["digest"]);
    assert!(said.contains("moved.db"), "{said}");
    let said = home.fails(6, &["migrate", "--to", "sqlite:another.db"]);
    assert!(said.contains("moved.db"), "{said}");
    let said = home.fails(6, &["migrate", "--to", "sqlite:moved.db"]);
    assert!(said.contains("moved.db"), "{said}");

    let in_file = |args: &[&str]| home.ok(&[&["--dir", "moved.db"], args].concat());
    assert_eq!(in_file(&["digest"]).trim(), digest);
    in_file(&["verify"]);
    // It goes on as the same writer, with what was not backed up yet.
    in_file(&["backup", "now"]);
    in_file(&["verify", "--cloud"]);
    in_file(&["kv", "put", "monitors", "", "second", "value"]);

    let back = failed(7, &mut home.command(&["--dir", "moved.db", "migrate", "--to", "fs:wallet"]));
    assert!(back.contains("already something"), "{back}");
    in_file(&["migrate", "--to", "fs:back"]);
    let digest = home.ok(&["--dir", "back", "digest"]);
    let said = failed(6, &mut home.command(&["--dir", "moved.db", "digest"]));
    assert!(said.contains("back"), "{said}");
    home.lose_the_device();
    home.ok(&["--dir", "back", "backup", "now"]);
    home.ok(&["restore", "--cloud", "dir:cloud"]);
    assert_eq!(home.ok(&["digest"]), digest);
}

#[test]
fn the_store_is_chosen_at_init_and_found_by_what_lies_there() {
    for store in ["fs", "sqlite"] {
        let home = Home::empty();
        let made = home.bare(&["init", "--store", store, "--cloud", "dir:cloud"]).output().unwrap();
        assert!(made.status.success(), "{}", text(&made.stderr));
        fs::write(home.path("words"), &made.stdout).unwrap();
        home.ok(&["profile", "set", "given_name", "Ada"]);
        let digest = home.digest();
        assert_eq!(home.path("wallet/store.sqlite").is_file(), store == "sqlite");
        assert_eq!(home.path("wallet/store").is_dir(), store == "fs");
        home.ok(&["backup", "now"]);
        home.lose_the_device();
        home.ok(&["restore", "--cloud", "dir:cloud"]);
        assert_eq!(home.digest(), digest);
    }
}

#[test]
fn a_wallet_in_memory_is_in_the_cloud_only() {
    let home = Home::empty();
    let made = home.bare(&["init", "--store", "mem", "--cloud", "dir:cloud"]).output().unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert!(text(&made.stderr).contains("memory"), "{}", text(&made.stderr));
    fs::write(home.path("words"), &made.stdout).unwrap();
    assert!(!home.path("wallet").exists());
    home.ok(&["restore", "--cloud", "dir:cloud"]);
    home.digest();
}

#[test]
fn a_file_that_is_no_wallet_is_left_alone() {
    let home = Home::new();
    home.file("text", "a text");
    failed(4, &mut home.command(&["--dir", "text", "digest"]));
    assert_eq!(fs::read(home.path("text")).unwrap(), b"a text");
    failed(2, &mut home.command(&["migrate", "--to", "elsewhere"]));
    failed(7, &mut home.command(&["migrate", "--to", "sqlite:text"]));
    failed(6, &mut home.command(&["--dir", "nowhere", "migrate", "--to", "sqlite:new"]));
}

/// The program that moved a wallet does not know what became of it: it never makes a second one by
/// itself.
#[test]
fn a_wallet_that_was_moved_comes_back_only_when_its_move_is_abandoned() {
    let home = filled();
    let digest = home.digest();
    home.ok(&["migrate", "--to", "sqlite:new.db"]);
    fs::rename(home.path("new.db"), home.path("final.db")).unwrap();
    let said = home.fails(6, &["migrate", "--to", "sqlite:new.db"]);
    assert!(said.contains("moved to") && said.contains("migrate --help"), "{said}");
    assert!(!home.path("new.db").exists());
    home.fails(2, &["migrate", "--to", "fs:wallet/inside"]);

    // Killed before the new one had its name, and then that was lost.
    fs::rename(home.path("final.db"), home.path(".new.db.moving-here")).unwrap();
    let said = home.fails(6, &["digest"]);
    assert!(said.contains("has not ended") && said.contains("--abandon-move"), "{said}");
    fs::remove_file(home.path(".new.db.moving-here")).unwrap();
    home.ok(&["migrate", "--to", "fs:other", "--abandon-move"]);
    assert_eq!(home.ok(&["--dir", "other", "digest"]).trim(), digest);
}

/// After a crash another program's SQLite moves the log into the file. That looks like a lost log.
#[test]
fn a_wallet_whose_log_another_program_has_moved_can_be_accepted() {
    let home = filled();
    let digest = home.digest();
    home.ok(&["migrate", "--to", "sqlite:moved.db"]);
    let copy = |command: &str| {
        let file = home.path("moved.db");
        let reader = rusqlite::Connection::open(&file).unwrap();
        reader.execute(command, [home.path("copy.db").to_str().unwrap()]).unwrap();
    };
    // One that SQLite has made of a wallet that is open says that its log is missing.
    let mut watch = home.command(&["--dir", "moved.db", "watch"]);
    let mut watch = watch.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !home.path("moved.db-wal").exists() {
        assert!(watch.try_wait().unwrap().is_none(), "it ended");
        thread::sleep(Duration::from_millis(5));
    }
    watch.kill().unwrap();
    watch.wait().unwrap();
    copy("VACUUM INTO ?1");
    let said = failed(4, &mut home.command(&["--dir", "copy.db", "digest"]));
    assert!(said.contains("accepted"), "{said}");
    home.ok(&["--dir", "copy.db", "accept-copy"]);
    assert_eq!(home.ok(&["--dir", "copy.db", "digest"]).trim(), digest);
    // The reader was the last to close the other one.
    assert!(!home.path("moved.db-wal").exists());
    home.ok(&["--dir", "moved.db", "accept-copy"]);
    assert_eq!(home.ok(&["--dir", "moved.db", "digest"]).trim(), digest);
    failed(6, &mut home.command(&["--dir", "nowhere", "accept-copy"]));
    let plain = Home::new();
    plain.fails(2, &["accept-copy"]);
}

/// Killed at any moment, there is one wallet that opens, and the same command ends the move.
#[test]
fn a_killed_move_leaves_one_wallet_and_goes_on() {
    let home = filled();
    let digest = home.digest();
    let mut stopped = 0;
    for round in 0..12_u64 {
        let to = format!("sqlite:moved-{}.db", round % 2);
        let mut child = home.bare(&["migrate", "--to", &to]).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(15 * round));
        child.kill().unwrap();
        let ended = child.wait().unwrap().success();
        let file = format!("moved-{}.db", round % 2);
        let here = home.run(&["digest"]).status.success();
        let there = home.path(&file).exists();
        assert!(!(here && there), "two wallets");
        if here {
            assert!(!ended);
            assert_eq!(home.digest(), digest);
            stopped += 1;
            continue;
        }
        if !there {
            home.ok(&["migrate", "--to", &to]);
        }
        assert_eq!(home.ok(&["--dir", &file, "digest"]).trim(), digest);
        assert!(stopped > 0, "it was never stopped before its end");
        return;
    }
    home.ok(&["migrate", "--to", "sqlite:moved-0.db"]);
    assert_eq!(home.ok(&["--dir", "moved-0.db", "digest"]).trim(), digest);
}
