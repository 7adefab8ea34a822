//! Reads a backup with the Python script that was written from the format pages alone.

use std::fs;

use crate::run::{Step, root};

const SCRIPT: &str = "docs/reader/strongroom_reader.py";
/// Uses it to open the golden objects, one of each kind.
const GOLDEN_SCRIPT: &str = "docs/reader/check_golden.py";
const GOLDEN: &str = "crates/backup/tests/golden/v1";
/// More would be no proof that the format is simple.
const LONGEST: usize = 150;
/// Where the wallet and its cloud lie meanwhile.
const FOLDER: &str = "target/reader";
const BLOCK: &str = "crates/strongroom/data/eth-mainnet-block-15571241.json";

/// Why it cannot be run here, and how to change that.
pub(crate) fn why_not() -> Option<String> {
    if !Step::new("python3", &["--version"]).succeeds() {
        return Some("no python3: apt-get install python3".to_owned());
    }
    let package = Step::new("python3", &["-c", "import zstandard"]).succeeds();
    let unpacks = package || Step::new("zstd", &["--version"]).succeeds();
    (!unpacks).then(|| "no zstd for python3: pip install zstandard".to_owned())
}

/// Makes a wallet, backs it up twice, and compares what the script finds in the cloud with what the
/// program says of the wallet.
pub(crate) fn run() -> Result<(), String> {
    let folder = root().join(FOLDER);
    let failed = |e: std::io::Error| format!("{FOLDER}: {e}");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed)?;
    }
    // With a key that exists, init asks the cloud for backups, and makes none.
    fs::create_dir_all(folder.join("cloud")).map_err(failed)?;
    let key = format!("{FOLDER}/key");
    fs::write(folder.join("key"), "5eed".repeat(16)).map_err(failed)?;
    // Random enough to stay large when it is compressed, and long enough for several pieces.
    let mut state = 1u64;
    let noise: Vec<u8> = (0..300_000)
        .flat_map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33).to_le_bytes()
        })
        .collect();
    let pieces = vec![7; 9 << 20];
    fs::write(folder.join("noise"), noise.get(..200_000).unwrap_or_default()).map_err(failed)?;
    fs::write(folder.join("pieces"), pieces).map_err(failed)?;

    let cloud = format!("dir:{FOLDER}/cloud");
    let noise = format!("{FOLDER}/noise");
    let pieces = format!("{FOLDER}/pieces");
    let account = "eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    for args in [
        &["init", "--cloud", &cloud][..],
        &["import", "eth-block", BLOCK],
        &["kv", "put", "a", "b", "pieces", &pieces],
        &["kv", "put", "a", "b", "removed", BLOCK],
        &["backup", "now"],
        &["account", "add", account, "--label", "mine"],
        &["backup", "now"],
        &["kv", "put", "", "", "noise", &noise],
        &["kv", "remove", "a", "b", "removed"],
        &["account", "remove", account],
        &["profile", "set", "given_name", "Ada"],
        &["backup", "now"],
    ] {
        program(args)?;
    }
    let expected = program(&["digest"])?;
    let cloud = format!("{FOLDER}/cloud");
    let found = Step::new("python3", &[SCRIPT, &key, &cloud]).output()?;

    let script = fs::read_to_string(root().join(SCRIPT)).map_err(|e| format!("{SCRIPT}: {e}"))?;
    let lines = script.lines().count();
    if lines > LONGEST {
        return Err(format!("{SCRIPT} has {lines} lines, {LONGEST} are allowed"));
    }
    judge(&found, expected.trim())?;
    println!("the script found {} objects, opened all, and agrees", objects(&found).count());
    let found = Step::new("python3", &["-B", GOLDEN_SCRIPT, GOLDEN]).output()?;
    judge_golden(&found)?;
    println!("the script opened the golden objects of all kinds, and agrees");
    fs::remove_dir_all(&folder).map_err(failed)
}

fn program(args: &[&str]) -> Result<String, String> {
    let quiet = ["run", "--quiet", "--package", "strongroom", "--"];
    Step::cargo(&[&quiet, args].concat())
        .env("STRONGROOM_KEY_FILE", &format!("{FOLDER}/key"))
        .env("STRONGROOM_DIR", &format!("{FOLDER}/wallet"))
        .output()
}

fn objects(found: &str) -> impl Iterator<Item = &str> {
    found.lines().filter(|line| line.contains("\"object\""))
}

/// Every object is opened, there are some of each class, and one writer has the expected digest.
fn judge(found: &str, digest: &str) -> Result<(), String> {
    if let Some(closed) = objects(found).find(|line| !line.contains("\"opened\": true")) {
        return Err(format!("the script did not open {closed}"));
    }
    for class in ["h", "s", "d", "i"] {
        let begin = format!("{{\"object\": \"{class}/");
        if !objects(found).any(|line| line.starts_with(&begin)) {
            return Err(format!("the script found no object of class {class}"));
        }
    }
    let writers: Vec<&str> = found.lines().filter(|line| line.contains("\"writer\"")).collect();
    match writers.as_slice() {
        [one] if one.contains(&format!("\"digest\": \"{digest}\"")) => Ok(()),
        other => Err(format!("the wallet has the digest {digest}, the script found {other:?}")),
    }
}

/// One object of every kind has the plaintext it was made of, and a newer one is refused.
fn judge_golden(found: &str) -> Result<(), String> {
    if let Some(bad) = found.lines().find(|line| !line.ends_with("true}")) {
        return Err(format!("the script does not agree with {bad}"));
    }
    for kind in ["h", "s", "d", "i", "f"] {
        if !found.lines().any(|line| line.contains(&format!("\"class\": \"{kind}\""))) {
            return Err(format!("the script opened no golden object of class {kind}"));
        }
    }
    match found.lines().any(|line| line.contains("\"refused\"")) {
        true => Ok(()),
        false => Err("the script met no object of a newer version".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{judge, judge_golden};

    #[test]
    fn what_the_script_must_find_in_golden_files() {
        let kind = |class: &str, equal: bool| {
            format!("{{\"golden\": \"x\", \"class\": \"{class}\", \"equal\": {equal}}}\n")
        };
        let all: String = ["h", "s", "d", "i", "f"].map(|class| kind(class, true)).concat();
        let refused = "{\"golden\": \"y\", \"refused\": true}\n";
        assert!(judge_golden(&format!("{all}{refused}")).is_ok());
        assert!(judge_golden(&all).is_err());
        assert!(judge_golden(&format!("{all}{}", refused.replace("true", "false"))).is_err());
        assert!(judge_golden(&format!("{all}{}{refused}", kind("s", false))).is_err());
        let fewer = all.replace(&kind("f", true), "");
        assert!(judge_golden(&format!("{fewer}{refused}")).is_err());
    }

    #[test]
    fn what_the_script_must_find() {
        let object =
            |class: &str, opened| format!("{{\"object\": \"{class}/x\", \"opened\": {opened}}}\n");
        let objects: String = ["h", "s", "d", "i"].map(|class| object(class, true)).concat();
        let writer = "{\"writer\": \"w\", \"sequence\": 1, \"digest\": \"ab\"}\n";
        assert!(judge(&format!("{objects}{writer}"), "ab").is_ok());
        assert!(judge(&format!("{objects}{writer}"), "cd").is_err());
        assert!(judge(&format!("{objects}{writer}{writer}"), "ab").is_err());
        assert!(judge(&objects, "ab").is_err());
        assert!(judge(writer, "ab").is_err());
        assert!(judge(&format!("{objects}{}{writer}", object("s", false)), "ab").is_err());
    }
}
