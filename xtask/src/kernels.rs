//! `kernels`: kv-fs and kv-sqlite on the file systems of a real kernel, with power cuts, kills, a full disk and
//! lies about syncs. Needs root: it mounts loop images.
//!
//! Everything is mounted in a mount namespace of its own. It vanishes with the last process in it,
//! and loop devices are freed with their mounts: so nothing stays behind, however this ends.

mod image;
mod load;
mod random;
mod rounds;

use std::{env, fs, path::PathBuf, time::Duration};

use crate::{
    metadata,
    run::{Step, root},
};
use random::Random;

/// The second half of this command, within the namespace.
pub(crate) const INSIDE: &str = "kernels-inside";

/// How much is done: a part of `test-all`, or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// Of each kind and file system.
    pub(crate) rounds: u64,
}

impl Size {
    /// At most a minute.
    pub(crate) const SHORT: Self = Self { rounds: 1 };
}

/// As the command line says.
pub(crate) fn with(options: &[&str]) -> Result<(), String> {
    let (mut size, mut seed) = (Size::SHORT, None);
    let mut options = options.iter();
    while let Some(name) = options.next() {
        let number = options.next().and_then(|n| n.parse().ok());
        let number = number.ok_or_else(|| format!("{name} takes a number"))?;
        match *name {
            "--rounds" if number > 0 => size.rounds = number,
            "--seed" => seed = Some(number),
            _ => return Err("--rounds N (above 0) and --seed S are the options".to_owned()),
        }
    }
    run(size, seed)
}

/// Why this cannot run here, if it cannot.
pub(crate) fn why_not() -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("loop images are Linux's".to_owned());
    }
    let root = Step::new("id", &["-u"]).output().is_ok_and(|id| id.trim() == "0");
    if !root {
        return Some("needs root".to_owned());
    }
    for tool in ["unshare", "mount", "losetup", "mkfs.ext4", "strace", "cp", "kill"] {
        if !is_there(tool) {
            return Some(format!("{tool} is not installed"));
        }
    }
    let may_mount = Step::new("unshare", &["--mount", "true"]).succeeds()
        && Step::new("losetup", &["--find"]).succeeds();
    (!may_mount).then(|| "loop images cannot be mounted here".to_owned())
}

fn is_there(tool: &str) -> bool {
    let paths = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&paths).any(|dir| dir.join(tool).is_file())
}

/// Builds the program that is tormented, and goes on in a namespace of its own.
pub(crate) fn run(size: Size, seed: Option<u64>) -> Result<(), String> {
    if let Some(why) = why_not() {
        println!("kernels: SKIPPED, {why}");
        return Ok(());
    }
    let mut programs = Vec::new();
    for (package, example) in [("kv-fs", "kernel_load"), ("kv-sqlite", "kernel_load_sqlite")] {
        Step::cargo(&["build", "--quiet", "--package", package, "--example", example]).run()?;
        programs.push(metadata::target_dir()?.join("debug/examples").join(example));
    }
    let xtask = env::current_exe().map_err(|e| e.to_string())?;
    let seed = seed.unwrap_or_else(random::seed);
    let rounds = size.rounds.to_string();
    let (xtask, seed) = (shown(&xtask)?, seed.to_string());
    let namespace = ["--mount", "--propagation", "private"];
    for program in &programs {
        let program = shown(program)?;
        let inside = [xtask.as_str(), INSIDE, &program, &rounds, &seed];
        Step::new("unshare", &[&namespace[..], &inside].concat()).quiet().run()?;
    }
    Ok(())
}

fn shown(path: &std::path::Path) -> Result<String, String> {
    path.to_str().map(str::to_owned).ok_or_else(|| "a path that is not text".to_owned())
}

/// Within the namespace.
pub(crate) fn inside(program: &str, rounds: &str, seed: &str) -> Result<(), String> {
    let number = |text: &str| text.parse().map_err(|e| format!("{text}: {e}"));
    let (rounds, seed): (u64, u64) = (number(rounds)?, number(seed)?);
    println!("{program}, seed {seed}");
    let work = Work::new()?;
    let load = load::Program(PathBuf::from(program));
    let mut random = Random(seed);
    for system in image::SYSTEMS {
        if !is_there(system.mkfs) {
            println!("{}: SKIPPED, {} is not installed", system.name, system.mkfs);
            continue;
        }
        rounds::power_cuts(&work.0, &load, system, rounds, &mut random)?;
    }
    rounds::kills(&work.0, &load, 8 * rounds, &mut random)?;
    rounds::full(&work.0, &load, rounds)?;
    rounds::lies(&work.0, &load, rounds, &mut random)
}

/// A folder on a real disk, empty at first and gone afterwards.
struct Work(PathBuf);

impl Work {
    fn new() -> Result<Self, String> {
        let dir = root().join("target/kernels");
        // What an earlier run was killed over.
        fs::remove_dir_all(&dir).ok();
        fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let dir = dir.canonicalize().map_err(|e| format!("{}: {e}", dir.display()))?;
        Ok(Self(dir))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A pause of random length.
fn pause(random: &mut Random, from: u64, to: u64) {
    std::thread::sleep(Duration::from_millis(from + random.below(to - from)));
}
