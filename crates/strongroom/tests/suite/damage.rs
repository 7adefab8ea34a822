//! One flipped byte, in any file of wallet or cloud: said so, or without any effect.

use std::{fs, path::Path};

use crate::common::{Home, OLD, Random, block, copy, files, text};

/// A wallet with something of everything, backed up in a dump and a segment.
fn filled() -> Home {
    let home = Home::new();
    home.ok(&["import", "eth-block", "--chain", "eip155:1", &block(OLD)]);
    home.ok(&["account", "add", "eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"]);
    home.ok(&["backup", "now"]);
    home.ok(&["profile", "set", "given_name", "Ada"]);
    home.file("value", "v".repeat(5_000));
    home.ok(&["kv", "put", "a", "", "b", "value"]);
    home.ok(&["backup", "now"]);
    home
}

/// Flips a bit of a random byte among those that are not zero; `false` if there is none.
fn flip(file: &Path, random: &mut Random) -> bool {
    let mut content = fs::read(file).unwrap();
    let written: Vec<usize> = (0..content.len()).filter(|i| content[*i] != 0).collect();
    let Some(at) = written.get(random.below(written.len().max(1) as u64) as usize) else {
        return false;
    };
    content[*at] ^= 1 << random.below(8);
    println!("{} at {at} of {}", file.display(), content.len());
    fs::write(file, content).unwrap();
    true
}

#[test]
fn a_damaged_byte_of_the_wallet_is_found_or_means_nothing() {
    let home = filled();
    let digest = home.digest();
    copy(&home.path("wallet"), &home.path("good"));
    let mut random = Random::new();
    let mut found = 0;
    for file in files(&home.path("wallet")) {
        if !flip(&file, &mut random) {
            continue;
        }
        let output = home.run(&["verify"]);
        match output.status.code() {
            Some(0) => assert_eq!(home.digest(), digest, "{}", text(&output.stdout)),
            Some(4) => {
                found += 1;
                let said = text(&output.stderr);
                assert!(said.contains("damage") && said.contains("restore"), "{said}");
                // Never a wrong answer: the digest is right, or there is none.
                let after = home.run(&["digest"]);
                assert!(!after.status.success() || text(&after.stdout).trim() == digest);
            }
            // A format number that grew looks like a newer version.
            Some(10) => found += 1,
            code => panic!("{}: {code:?}: {}", file.display(), text(&output.stderr)),
        }
        home.lose_the_device();
        copy(&home.path("good"), &home.path("wallet"));
    }
    assert!(found > 8, "only {found} of the damaged files were found");
    assert_eq!(home.digest(), digest);
}

#[test]
fn a_damaged_byte_of_the_cloud_is_found() {
    let home = filled();
    let digest = home.digest();
    let mut random = Random::new();
    let mut found = 0;
    for file in files(&home.path("cloud")) {
        let good = fs::read(&file).unwrap();
        if !flip(&file, &mut random) {
            continue;
        }
        found += 1;
        let said = home.fails(4, &["verify", "--cloud"]);
        assert!(said.contains("damage found"), "{said}");
        // What is not needed for the newest restore point may be damaged.
        let output = home.run(&["--dir", "other", "restore", "--cloud", "dir:cloud"]);
        if output.status.success() {
            assert_eq!(home.ok(&["--dir", "other", "digest"]).trim(), digest);
            fs::remove_dir_all(home.path("other")).unwrap();
        } else {
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(4), "{said}");
            assert!(said.contains("another cloud"), "{said}");
            assert!(!home.path("other").exists(), "a failed restore left something");
        }
        assert_eq!(home.digest(), digest, "the wallet itself is not hit");
        fs::write(&file, good).unwrap();
    }
    assert!(found >= 5, "two heads, a dump, its index and a segment");
    home.ok(&["verify", "--cloud"]);
}

#[test]
fn a_missing_object_of_the_cloud_is_found() {
    let home = filled();
    for file in files(&home.path("cloud")) {
        let good = fs::read(&file).unwrap();
        if good.is_empty() {
            continue;
        }
        fs::remove_file(&file).unwrap();
        let output = home.run(&["verify", "--cloud"]);
        let older_head = file.to_string_lossy().contains("/h/") && output.status.success();
        assert!(older_head || output.status.code() == Some(4), "{}", file.display());
        fs::write(&file, good).unwrap();
    }
}
