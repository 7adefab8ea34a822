//! A full disk and a read-only folder: a clear error, and nothing is lost.
#![cfg(target_os = "linux")]

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::common::{Home, files, lines, text};

/// Something mounted, until dropped.
struct Mount(PathBuf);

impl Mount {
    /// `None` where that is not allowed, which is said.
    fn new(args: &[&str], at: PathBuf) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        if !mount(args, &at) {
            eprintln!("SKIPPED: this user may not mount ({args:?})");
            return None;
        }
        Some(Self(at))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).stderr(Stdio::null()).status();
    }
}

fn mount(args: &[&str], at: &Path) -> bool {
    let done = Command::new("mount").args(args).arg(at).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

#[test]
fn a_full_disk_is_eight_and_loses_nothing() {
    let home = Home::new();
    let Some(disk) = Mount::new(&["-t", "tmpfs", "-o", "size=4m", "tmpfs"], home.path("disk"))
    else {
        return;
    };
    home.ok(&["--dir", "disk/wallet", "init", "--mnemonic-file", "words"]);
    let all = lines(6_000, 7);
    home.file("txs", all.iter().map(|(_, line)| line.as_str()).collect::<String>());
    let output = home.run(&["--dir", "disk/wallet", "import", "txs", "txs"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(8), "{said}");
    assert!(said.contains("no space") && said.contains("free some space"), "{said}");
    let acknowledged = text(&output.stdout)
        .lines()
        .last()
        .map_or(0, |line| line.split(' ').nth(1).unwrap().parse::<usize>().unwrap());
    assert!(acknowledged < all.len());

    assert!(mount(&["-o", "remount,size=64m"], &disk.0));
    let listed = home.json(&["--dir", "disk/wallet", "tx", "list", "--limit", "100000"]);
    let mut hashes: Vec<&str> = listed.iter().map(|tx| tx["hash"].as_str().unwrap()).collect();
    hashes.reverse();
    assert!(hashes.len() >= acknowledged, "{} of {acknowledged}", hashes.len());
    assert!(hashes.iter().zip(&all).all(|(found, (hash, _))| found == hash));
    assert!(home.ok(&["--dir", "disk/wallet", "verify"]).contains("wallet: "));
    home.ok(&["--dir", "disk/wallet", "import", "txs", "txs"]);
    let listed = home.json(&["--dir", "disk/wallet", "tx", "list", "--limit", "100000"]);
    assert_eq!(listed.len(), all.len());
}

#[test]
fn a_read_only_folder_is_eight_and_loses_nothing() {
    let home = Home::new();
    home.file("value", "v");
    home.ok(&["kv", "put", "a", "", "b", "value"]);
    let digest = home.digest();
    let wallet = home.path("wallet");
    let bound = wallet.to_string_lossy().into_owned();
    let mounted = Mount::new(&["--bind", &bound], wallet.clone())
        .filter(|at| mount(&["-o", "remount,bind,ro"], &at.0));
    if mounted.is_none() {
        permit(&wallet, 0o555, 0o444);
        if fs::write(wallet.join("probe"), "").is_ok() {
            permit(&wallet, 0o755, 0o644);
            eprintln!("SKIPPED: permissions do not bind this user");
            return;
        }
    }
    for args in [&["kv", "put", "a", "", "c", "value"][..], &["digest"], &["verify"]] {
        let said = home.fails(8, args);
        assert!(said.contains("writable"), "{said}");
    }
    if mounted.is_none() {
        permit(&wallet, 0o755, 0o644);
    }
    drop(mounted);
    assert_eq!(home.digest(), digest);
    home.ok(&["kv", "put", "a", "", "c", "value"]);
}

fn permit(folder: &Path, folders: u32, files_below: u32) {
    for file in files(folder) {
        for ancestor in file.ancestors().skip(1).take_while(|at| at.starts_with(folder)) {
            fs::set_permissions(ancestor, Permissions::from_mode(0o755)).unwrap();
        }
        fs::set_permissions(&file, Permissions::from_mode(files_below)).unwrap();
        for ancestor in file.ancestors().skip(1).take_while(|at| at.starts_with(folder)) {
            fs::set_permissions(ancestor, Permissions::from_mode(folders)).unwrap();
        }
    }
}
