//! `ceramic-node`: installs the Ceramic node that tests run against, pinned with hashes by its lock
//! file, into `target/servers/ceramic`. The tests start and stop it themselves.

use std::{fs, path::PathBuf};

use crate::run::{Step, root};

/// What npm needs and what starts the node.
const FILES: [&str; 3] = ["package.json", "package-lock.json", "node.cjs"];

/// Why it cannot be installed here, if so.
pub(crate) fn why_not() -> Option<String> {
    let missing = ["node", "npm"].into_iter().find(|name| !there(name))?;
    Some(format!("no {missing}: install Node.js 20 or newer, with npm"))
}

/// Whether it is: npm notes what it has installed when all of it is there.
pub(crate) fn is_installed() -> bool {
    folder().join("node_modules/.package-lock.json").is_file()
}

/// Installs it, unless this very version is there.
pub(crate) fn install() -> Result<(), String> {
    let (from, to) = (root().join("xtask/servers/ceramic"), folder());
    let wanted = fs::read(from.join("package-lock.json")).map_err(|e| e.to_string())?;
    let done = is_installed() && fs::read(to.join("package-lock.json")).ok() == Some(wanted);
    fs::create_dir_all(&to).map_err(|e| e.to_string())?;
    for file in FILES {
        fs::copy(from.join(file), to.join(file)).map_err(|e| format!("{file}: {e}"))?;
    }
    if done {
        println!("the Ceramic node is installed");
        return Ok(());
    }
    let folder = to.display().to_string();
    let quiet = ["--ignore-scripts", "--no-audit", "--no-fund"];
    Step::new("npm", &[&["ci", "--prefix", &folder], quiet.as_slice()].concat()).run()
}

fn folder() -> PathBuf {
    root().join("target/servers/ceramic")
}

fn there(program: &str) -> bool {
    Step::new(program, &["--version"]).succeeds()
}
