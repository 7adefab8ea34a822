//! What the program makes is what the format pages say, worked out here from those pages alone.

use std::fs;

use sha2::{Digest, Sha256};

use crate::common::Home;

/// Entries as `digest-v1` orders and writes them.
fn digest(entries: &[[&[u8]; 4]]) -> String {
    let mut hash = Sha256::new();
    for part in entries.iter().flatten() {
        hash.update((part.len() as u32).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_digest_is_as_specified() {
    let home = Home::new();
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(home.digest(), empty);
    home.file("v", "v");
    home.ok(&["kv", "put", "a", "b", "c", "v"]);
    assert_eq!(home.digest(), digest(&[[b"a", b"b", b"c", b"v"]]));
    home.ok(&["kv", "put", "a", "", "z", "v"]);
    home.ok(&["kv", "put", "", "", "Z", "v"]);
    home.ok(&["profile", "set", "given_name", "Ada"]);
    let expected = digest(&[
        [b"", b"", b"Z", b"v"],
        [b"a", b"", b"z", b"v"],
        [b"a", b"b", b"c", b"v"],
        [b"~fields", b"", b"given_name", br#"{"v":1,"r":"Ada"}"#],
    ]);
    assert_eq!(home.digest(), expected);
    home.ok(&["backup", "now"]);
    assert_eq!(home.digest(), expected);
}

#[test]
fn the_folder_is_as_specified() {
    let home = Home::new();
    let entries = fs::read_dir(home.path("wallet")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["store", "wallet.json"]);
    let marker = fs::read(home.path("wallet/wallet.json")).unwrap();
    assert_eq!(marker, b"{\"format\":1,\"store\":\"fs\"}\n");
    // Nothing is left of the making.
    let entries = fs::read_dir(home.path("wallet").parent().unwrap()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["wallet", "words"]);
}
