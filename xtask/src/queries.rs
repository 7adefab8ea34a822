//! Asks the program about real blocks, and compares with a plain Python script over the same JSON.

use std::fs;

use serde_json::Value;

use crate::{
    metadata,
    run::{Step, root},
};

const SCRIPT: &str = "crates/strongroom/tests/queries.py";
/// Where the wallet lies meanwhile.
const FOLDER: &str = "target/queries";
const MAINNET: &str = "crates/strongroom/data/eth-mainnet-block-15571241.json";
const GOERLI: &str = "crates/strongroom/data/eth-goerli-block-10536893.json";
/// Its transactions do not name their chain.
const OLD: &str = "crates/strongroom/data/eth-mainnet-block-2000004.json";

/// Why it cannot be run here, and how to change that.
pub(crate) fn why_not() -> Option<String> {
    let there = Step::new("python3", &["--version"]).succeeds();
    (!there).then(|| "no python3: apt-get install python3".to_owned())
}

/// Fills a wallet with the blocks and with what the script makes of them, and asks what the script
/// wants to know.
pub(crate) fn run() -> Result<(), String> {
    let folder = root().join(FOLDER);
    let failed = |e: std::io::Error| format!("{FOLDER}: {e}");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed)?;
    }
    fs::create_dir_all(&folder).map_err(failed)?;
    fs::write(folder.join("key"), "5eed".repeat(16)).map_err(failed)?;
    let old = format!("{OLD}=1");
    let blocks = [MAINNET, GOERLI, &old];
    let data = Step::new("python3", &[&[SCRIPT, "data"], &blocks[..]].concat()).output()?;
    fs::write(folder.join("data"), data).map_err(failed)?;

    Step::cargo(&["build", "--package", "strongroom"]).run()?;
    let binary = metadata::target_dir()?.join("debug/strongroom");
    let program = |args: &[&str]| {
        Step::new(&binary.to_string_lossy(), args)
            .env("STRONGROOM_KEY_FILE", &format!("{FOLDER}/key"))
            .env("STRONGROOM_DIR", &format!("{FOLDER}/wallet"))
            .output()
    };
    program(&["init"])?;
    program(&["import", "eth-block", MAINNET, GOERLI])?;
    program(&["import", "eth-block", "--chain", "eip155:1", OLD])?;
    program(&["import", "data", &format!("{FOLDER}/data")])?;

    let asked = Step::new("python3", &[&[SCRIPT, "ask"], &blocks[..]].concat()).output()?;
    let mut answers = String::new();
    for line in asked.lines() {
        let args: Vec<String> = serde_json::from_str(line).map_err(|e| format!("{line}: {e}"))?;
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let found = program(&[&["--json"], args.as_slice()].concat())?;
        let found: Result<Vec<Value>, _> = found.lines().map(serde_json::from_str).collect();
        let found = found.map_err(|e| format!("{args:?}: {e}"))?;
        answers += &format!("{}\n", serde_json::json!([args, found]));
    }
    let file = format!("{FOLDER}/answers");
    fs::write(root().join(&file), answers).map_err(failed)?;
    let check = Step::new("python3", &[&[SCRIPT, "check", &file], &blocks[..]].concat());
    println!("{}", check.output()?.trim());
    fs::remove_dir_all(&folder).map_err(failed)
}
