//! A Lightning node's folder moves into a wallet.

use std::{
    fs::{self, File},
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, SystemTime},
};

use crate::common::{Home, copy, failed, files};

/// Files as LDK's stores keep them (what those write is compared elsewhere), each newer than the one
/// before.
fn node(home: &Home, version: u8, monitors: u8) {
    let names = |primary: &'static str, key: String| match (version, primary) {
        (1, "") => key,
        (1, _) => format!("{primary}/{key}"),
        (_, "") => format!("[empty]/[empty]/{key}"),
        _ => format!("{primary}/[empty]/{key}"),
    };
    let mut time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let mut put = |path: String, value: Vec<u8>| {
        let path = home.path("node").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, value).unwrap();
        time += Duration::from_millis(5);
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    };
    for n in (0..monitors).rev() {
        put(names("monitors", format!("chan_{n}")), vec![n; 20_000]);
    }
    put(names("", "manager".into()), b"manager".to_vec());
    put(names("", "scorer".into()), Vec::new());
}

const V1: &[&str] = &["migrate", "--from", "ldk-fs:node", "--to", "wallet"];

#[test]
fn a_node_moves_into_a_wallet_and_its_folder_is_sealed() {
    for version in [1, 2] {
        let home = Home::new();
        home.ok(&["profile", "set", "given_name", "Ada"]);
        node(&home, version, 40);
        fs::write(home.path("node").join(["what is this", "a b"][usize::from(version) - 1]), b"?")
            .unwrap();
        home.file("seed", [9; 32]);
        let before = files(&home.path("node")).len();
        let from = ["ldk-fs:node", "ldk-fs-v2:node"][usize::from(version) - 1];
        let args = ["migrate", "--from", from, "--seed-file", "seed", "--to", "wallet"];
        let moved = &home.json(&args)[0];
        assert_eq!((&moved["entries"], &moved["there_before"]), (&43.into(), &0.into()), "{moved}");
        for n in 0..40 {
            let value = home.run(&["kv", "get", "monitors", "", &format!("chan_{n}")]).stdout;
            assert_eq!(value, vec![n; 20_000]);
        }
        assert_eq!(home.ok(&["kv", "get", "", "", "manager"]), "manager");

        // No node starts from it again, and nothing of it is lost.
        assert!(fs::read_to_string(home.path("node")).unwrap().contains("wallet"));
        assert_eq!(files(&home.path("node.moved-to-strongroom")).len(), before);
        let said = home.fails(6, &args);
        assert!(said.contains("moved before") && said.contains("wallet"), "{said}");

        // The node's seed is in the backup.
        home.ok(&["backup", "now"]);
        let digest = home.digest();
        home.lose_the_device();
        home.ok(&["restore", "--cloud", "dir:cloud"]);
        assert_eq!(home.digest(), digest);
        assert_eq!(home.run(&["kv", "get", "", "", "keys_seed"]).stdout, [9; 32]);
    }
}

/// Killed at any moment, there is one place to go on from, and the same command ends it.
#[test]
fn a_killed_migration_goes_on() {
    let home = Home::new();
    node(&home, 1, 120);
    copy(&home.path("node"), &home.path("copy"));
    let mut stopped = 0;
    for round in 0..40_u64 {
        let mut child = home.command(V1);
        let mut child = child.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(12 * round));
        child.kill().unwrap();
        if child.wait().unwrap().success() {
            break;
        }
        stopped += u32::from(!home.path("node").is_file());
    }
    if !home.path("node").is_file() {
        home.ok(V1);
    }
    assert!(stopped > 0, "it was never stopped before its end");
    for path in files(&home.path("copy")) {
        let name = path.strip_prefix(home.path("copy")).unwrap();
        let (primary, key) = match name.parent().filter(|parent| *parent != Path::new("")) {
            None => ("", name.to_str().unwrap()),
            Some(parent) => (parent.to_str().unwrap(), name.file_name().unwrap().to_str().unwrap()),
        };
        let value = home.run(&["kv", "get", primary, "", key]).stdout;
        assert_eq!(value, fs::read(&path).unwrap());
        let sealed = home.path("node.moved-to-strongroom").join(name);
        assert_eq!(value, fs::read(sealed).unwrap());
    }
}

#[test]
fn what_cannot_be_moved_stays_as_it_is() {
    let home = Home::new();
    node(&home, 1, 3);
    home.file("seed", [9; 32]);
    let there = files(&home.path("node"));
    let migrate = |from: &str, more: &[&str]| {
        home.command(&[&["migrate", "--from", from, "--to", "wallet"], more].concat())
    };
    let said = failed(11, &mut migrate("ldk-fs-v2:node", &[]));
    assert!(said.contains("ldk-fs for"), "{said}");
    failed(6, &mut migrate("ldk-fs:absent", &[]));
    fs::create_dir(home.path("empty")).unwrap();
    failed(6, &mut migrate("ldk-fs:empty", &[]));
    failed(11, &mut migrate("ldk-fs:node", &["--seed-file", "absent"]));
    fs::write(home.path("node/keys_seed"), [8; 32]).unwrap();
    failed(7, &mut migrate("ldk-fs:node", &["--seed-file", "seed"]));
    fs::remove_file(home.path("node/keys_seed")).unwrap();
    failed(2, &mut migrate("ldk-node:node", &[]));
    failed(2, &mut home.command(&[&["--dir", "wallet"], V1].concat()));
    failed(2, &mut home.command(&["migrate", "--from", "ldk-fs:node", "--to", "node/wallet"]));
    failed(6, &mut home.command(&["migrate", "--from", "ldk-fs:node", "--to", "nowhere"]));
    failed(2, &mut home.command(&["migrate", "--to", "wallet", "--seed-file", "seed"]));
    home.ok(&["kv", "put", "mine", "", "entry", "seed"]);
    let said = failed(7, &mut migrate("ldk-fs:node", &[]));
    assert!(said.contains("other entries"), "{said}");
    assert_eq!(files(&home.path("node")), there);
    home.ok(&["kv", "remove", "mine", "", "entry"]);
    home.ok(V1);
}

/// A file as ldk-node keeps it: one that is written again keeps its place in the order.
fn node_file(home: &Home, monitors: u8) -> rusqlite::Connection {
    let file = rusqlite::Connection::open(home.path("ldk_node_data.sqlite")).unwrap();
    file.execute_batch(
        "PRAGMA user_version = 3;
         CREATE TABLE ldk_node_data (primary_namespace TEXT NOT NULL,
             secondary_namespace TEXT DEFAULT '' NOT NULL, key TEXT NOT NULL CHECK (key <> ''),
             value BLOB, sort_order INTEGER NOT NULL DEFAULT 0,
             PRIMARY KEY (primary_namespace, secondary_namespace, key));
         INSERT INTO ldk_node_data VALUES ('', '', 'manager', x'6d', 500)",
    )
    .unwrap();
    let insert = "INSERT INTO ldk_node_data VALUES ('monitors', '', ?1, ?2, ?3)";
    for n in (0..monitors).rev() {
        file.execute(insert, (format!("chan_{n}"), vec![n; 20_000], 1000 - i64::from(n))).unwrap();
    }
    file
}

#[test]
fn a_file_of_ldk_node_moves_into_a_wallet_and_is_sealed() {
    let home = Home::new();
    let running = node_file(&home, 40);
    home.file("seed", [9; 64]);
    let from = "ldk-node-sqlite:ldk_node_data.sqlite";
    let args = ["migrate", "--from", from, "--seed-file", "seed", "--to", "wallet"];
    failed(6, &mut home.command(&["migrate", "--from", "ldk-node-sqlite:no", "--to", "wallet"]));
    let moved = &home.json(&args)[0];
    assert_eq!((&moved["entries"], &moved["there_before"]), (&42.into(), &0.into()), "{moved}");
    for n in 0..40 {
        let value = home.run(&["kv", "get", "monitors", "", &format!("chan_{n}")]).stdout;
        assert_eq!(value, vec![n; 20_000]);
    }
    assert_eq!(home.ok(&["kv", "get", "", "", "manager"]), "m");
    assert_eq!(home.run(&["kv", "get", "", "", "keys_seed"]).stdout, [9; 64]);

    // No node starts from it again, one that still runs cannot go on, and nothing of it is lost.
    let goes_on = running.execute("UPDATE ldk_node_data SET value = x'00'", []);
    assert!(goes_on.is_err(), "the node that was not ended goes on");
    drop(running);
    assert!(fs::read_to_string(home.path("ldk_node_data.sqlite")).unwrap().contains("wallet"));
    let sealed = home.path("ldk_node_data.sqlite.moved-to-strongroom");
    let sealed = rusqlite::Connection::open(sealed).unwrap();
    let count = sealed.query_row("SELECT count(*) FROM ldk_node_data", [], |row| row.get(0));
    assert_eq!(count, Ok(41_i64));
    let said = home.fails(6, &args);
    assert!(said.contains("moved before") && said.contains("wallet"), "{said}");
}

/// Killed at any moment, the same command ends it.
#[test]
fn a_killed_migration_of_a_file_goes_on() {
    let home = Home::new();
    drop(node_file(&home, 120));
    let args =
        ["migrate", "--from", "ldk-node-sqlite:ldk_node_data.sqlite", "--to", "wallet", "--json"];
    let is_sealed =
        || fs::read(home.path("ldk_node_data.sqlite")).is_ok_and(|file| file.starts_with(b"the "));
    let mut stopped = 0;
    for round in 0..40_u64 {
        let mut child = home.command(&args);
        let mut child = child.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(12 * round));
        child.kill().unwrap();
        if child.wait().unwrap().success() {
            break;
        }
        stopped += u32::from(!is_sealed());
    }
    if !is_sealed() {
        home.ok(&args);
    }
    assert!(stopped > 0, "it was never stopped before its end");
    for n in 0..120 {
        let value = home.run(&["kv", "get", "monitors", "", &format!("chan_{n}")]).stdout;
        assert_eq!(value, vec![n; 20_000]);
    }
}
