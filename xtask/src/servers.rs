//! `servers`: real servers of clouds on this machine, and the conformance suite against them.

mod http;
mod install;
mod kinds;
mod process;

use std::{
    fs,
    io::{self, Read},
    path::PathBuf,
};

use crate::{
    run::{Step, root},
    test_all::OURS,
};

/// Everything of this command lies here.
const FOLDER: &str = "target/servers";

/// Why no server can run here, if so, and how to change that.
pub(crate) fn why_not() -> Option<String> {
    let missing: Vec<&str> = install::missing_tools();
    (missing.len() == 2).then(|| format!("neither {} is installed", missing.join(" nor ")))
}

/// As the command line says.
pub(crate) fn with(options: &[&str]) -> Result<(), String> {
    match options {
        [] => run().map(drop),
        ["wait"] => wait(),
        _ => Err("the only option is `wait`".to_owned()),
    }
}

/// Starts what can run here, runs the suite, and stops everything. Answers what had to be left out.
pub(crate) fn run() -> Result<Vec<String>, String> {
    let (running, left_out) = start()?;
    let list = list(&running)?;
    // The features of the other sections, so that little is compiled anew.
    let args = [&["test"], OURS.as_slice(), &["--all-features", "--test", "servers"]].concat();
    Step::cargo(&args).env("STRONGROOM_SERVERS", &list.display().to_string()).run()?;
    for why in &left_out {
        println!("{why}");
    }
    Ok(left_out)
}

/// Starts them and keeps them until the standard input ends.
fn wait() -> Result<(), String> {
    let (running, left_out) = start()?;
    let list = list(&running)?;
    for why in &left_out {
        println!("{why}");
    }
    println!("STRONGROOM_SERVERS={}", list.display());
    println!("they run until the input ends (Control-D)");
    io::stdin().read_to_end(&mut Vec::new()).map_err(|e| e.to_string())?;
    Ok(())
}

fn start() -> Result<(Vec<kinds::Running>, Vec<String>), String> {
    let folder = root().join(FOLDER);
    let (mut running, mut left_out) = (Vec::new(), Vec::new());
    let missing = install::missing_tools();
    for kind in kinds::ALL {
        if missing.contains(&kind.needs) {
            left_out.push(format!("{}: skipped, no {}", kind.name, kind.needs));
            continue;
        }
        install::install(kind.needs, &folder)?;
        let data = folder.join("data").join(kind.name);
        if data.exists() {
            fs::remove_dir_all(&data).map_err(|e| format!("{}: {e}", data.display()))?;
        }
        fs::create_dir_all(&data).map_err(|e| format!("{}: {e}", data.display()))?;
        println!("starting {}", kind.name);
        running.push((kind.start)(&folder, &data).map_err(|e| format!("{}: {e}", kind.name))?);
    }
    Ok((running, left_out))
}

/// Writes down where they are, for the suite.
fn list(running: &[kinds::Running]) -> Result<PathBuf, String> {
    let all: serde_json::Map<String, serde_json::Value> =
        running.iter().map(|r| (r.name.to_owned(), r.described.clone())).collect();
    let path = root().join(FOLDER).join("running.json");
    let path = std::path::absolute(path).map_err(|e| e.to_string())?;
    fs::write(&path, serde_json::Value::Object(all).to_string()).map_err(|e| e.to_string())?;
    Ok(path)
}
