//! `servers`: real servers of clouds on this machine, the conformance suite against them, and the
//! table of the book that says what the suite saw of every cloud.

mod http;
mod install;
mod kinds;
mod process;
mod rows;
mod system;
mod table;

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::{
    ceramic_node,
    run::{Step, root},
    test_all::OURS,
};

/// Everything of this command lies here.
const FOLDER: &str = "target/servers";

/// The variable that tells the suite in which file to note what it sees.
pub(crate) const SEEN: &str = "STRONGROOM_SEEN";

/// Why no server can run here, if so, and how to change that.
pub(crate) fn why_not() -> Option<String> {
    let missing = install::missing();
    let is_missing = |kind: &kinds::Kind| missing.iter().any(|(tool, _)| kind.needs.contains(tool));
    let why: Vec<&str> = missing.iter().map(|(_, why)| *why).collect();
    kinds::ALL.iter().all(is_missing).then(|| why.join(", "))
}

/// As the command line says.
pub(crate) fn with(options: &[&str]) -> Result<(), String> {
    match options {
        [] => run().map(drop),
        ["wait"] => wait(),
        ["seen", file] => table::write(Path::new(file), &[]),
        _ => Err("the options are `wait` and `seen FILE`".to_owned()),
    }
}

/// Starts what can run here, runs the suite, and stops everything. Says what had to be left out, and
/// answers what of that could have been installed.
pub(crate) fn run() -> Result<Vec<String>, String> {
    let (running, left_out) = start()?;
    let list = list(&running)?;
    // The features of the other sections, so that little is compiled anew.
    let args = [&["test"], OURS.as_slice(), &["--all-features", "--test", "servers"]].concat();
    let seen = table::begin()?;
    Step::cargo(&args)
        .env("STRONGROOM_SERVERS", &list.display().to_string())
        .env(SEEN, &seen.display().to_string())
        .run()?;
    table::write(&seen, &running.iter().map(|running| running.name).collect::<Vec<_>>())?;
    for left in &left_out {
        println!("{}", left.why);
    }
    let installable = left_out.into_iter().filter(|left| !left.is_of_the_system);
    Ok(installable.map(|left| left.why).collect())
}

/// An empty file in which the suite notes what it sees.
pub(crate) fn begin_to_note() -> Result<PathBuf, String> {
    table::begin()
}

/// Writes into the book what all tests have noted, but for the servers of this command.
pub(crate) fn tell(seen: &Path) -> Result<(), String> {
    let is_here = |name: &&str| *name != rows::CERAMIC_NODE || ceramic_node::is_installed();
    let must: Vec<&str> = rows::WITHOUT.iter().map(|row| row.name).filter(is_here).collect();
    table::write(seen, &must)
}

/// Starts them and keeps them until the standard input ends.
fn wait() -> Result<(), String> {
    let (running, left_out) = start()?;
    let list = list(&running)?;
    for left in &left_out {
        println!("{}", left.why);
    }
    println!("STRONGROOM_SERVERS={}", list.display());
    println!("they run until the input ends (Control-D)");
    io::stdin().read_to_end(&mut Vec::new()).map_err(|e| e.to_string())?;
    Ok(())
}

/// A server that does not run here.
struct LeftOut {
    why: String,
    /// Whether it is never installed here.
    is_of_the_system: bool,
}

fn start() -> Result<(Vec<kinds::Running>, Vec<LeftOut>), String> {
    let folder = root().join(FOLDER);
    let (mut running, mut left_out) = (Vec::new(), Vec::new());
    let missing = install::missing();
    for kind in kinds::ALL {
        if let Some((tool, why)) = missing.iter().find(|(tool, _)| kind.needs.contains(tool)) {
            let is_of_the_system = !install::COMES_WITH.contains(tool);
            left_out
                .push(LeftOut { why: format!("{}: skipped, {why}", kind.name), is_of_the_system });
            continue;
        }
        for tool in kind.needs {
            install::install(tool, &folder)?;
        }
        let data = folder.join("data").join(kind.name);
        if data.exists() {
            fs::remove_dir_all(&data).map_err(|e| format!("{}: {e}", data.display()))?;
        }
        fs::create_dir_all(&data).map_err(|e| format!("{}: {e}", data.display()))?;
        println!("starting {}", kind.name);
        if let Some(version) = kind.version.map(|version| version())
            && !kind.shown.contains(&version)
        {
            println!(
                "{}: this is version {version}, and the table is about {}",
                kind.name, kind.shown
            );
        }
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
