//! What the program makes is what the format pages say, worked out here from those pages alone.

use std::fs;

use data_encoding::BASE32_NOPAD;
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

/// The record of `records-v1` that says which class a namespace has: its key and its value.
fn class(primary: &str, secondary: &str) -> [Vec<u8>; 2] {
    let strings = [primary, secondary].map(|name| [b"\x30", name.as_bytes(), b"\0\0"].concat());
    let key = [b"\x50", &*strings.concat(), b"\0"].concat();
    let name = BASE32_NOPAD.encode(&Sha256::digest(key)).to_ascii_lowercase();
    let value = format!(
        r#"{{"v":1,"r":{{"primary":"{primary}","secondary":"{secondary}","class":"single-writer","moved":false}}}}"#
    );
    [name.into(), value.into()]
}

#[test]
fn the_digest_is_as_specified() {
    let home = Home::new();
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(home.digest(), empty);
    home.file("v", "v");
    home.ok(&["kv", "put", "a", "b", "c", "v"]);
    let classes: [&[u8]; 2] = [b"~records", b"kv-namespaces"];
    let [name, value] = class("a", "b");
    let first = [[&b"a"[..], b"b", b"c", b"v"], [classes[0], classes[1], &name, &value]];
    assert_eq!(home.digest(), digest(&first));
    home.ok(&["kv", "put", "a", "", "z", "v"]);
    home.ok(&["kv", "put", "", "", "Z", "v"]);
    home.ok(&["profile", "set", "given_name", "Ada"]);
    let mut chosen = [class("a", "b"), class("a", ""), class("", "")];
    chosen.sort();
    let mut expected: Vec<[&[u8]; 4]> = vec![
        [b"", b"", b"Z", b"v"],
        [b"a", b"", b"z", b"v"],
        [b"a", b"b", b"c", b"v"],
        [b"~fields", b"", b"given_name", br#"{"v":1,"r":"Ada"}"#],
    ];
    expected.extend(chosen.iter().map(|[name, value]| [classes[0], classes[1], name, value]));
    let expected = digest(&expected);
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
