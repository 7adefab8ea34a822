//! Installs the servers from their registries, pinned with hashes, below `target`. Those that belong
//! to the system (OpenSSH, Apache) are used where they are installed.

use std::{fs, path::Path};

use crate::run::{Step, root};

/// Where the pinned lists are.
const LISTS: &str = "xtask/servers";

/// What servers are installed with.
pub(super) const COMES_WITH: [&str; 2] = ["python3", "npm"];

/// Where the servers of the system are.
pub(super) const SSHD: &str = "/usr/sbin/sshd";
pub(super) const APACHE: &str = "/usr/sbin/apache2";

/// What servers need and is not there, with how to get it.
pub(super) fn missing() -> Vec<(&'static str, &'static str)> {
    let runs = |tool: &str| Step::new(tool, &["--version"]).succeeds();
    let there = |path: &str| Path::new(path).exists();
    let all = [
        ("python3", runs("python3"), "no python3"),
        ("npm", runs("npm"), "no npm"),
        ("sshd", there(SSHD), "no sshd: apt-get install openssh-server"),
        ("apache2", there(APACHE), "no apache2: apt-get install apache2-bin"),
    ];
    all.into_iter().filter(|(_, there, _)| !there).map(|(tool, _, why)| (tool, why)).collect()
}

/// Installs what comes with this tool, unless the same list was installed before.
pub(super) fn install(tool: &str, folder: &Path) -> Result<(), String> {
    match tool {
        "python3" => once("requirements.txt", &folder.join("python"), |target, list| {
            Step::new("python3", &["-m", "venv", target]).run()?;
            let pip = format!("{target}/bin/python");
            let flags = ["-m", "pip", "install", "--quiet", "--require-hashes", "-r", list];
            Step::new(&pip, &flags).run()
        }),
        "npm" => once("package-lock.json", &folder.join("npm"), |target, list| {
            let place = list.strip_suffix("package-lock.json").unwrap_or_default();
            for file in ["package.json", "package-lock.json"] {
                let (from, to) = (format!("{place}{file}"), format!("{target}/{file}"));
                fs::copy(&from, &to).map_err(|e| format!("{from}: {e}"))?;
            }
            // No program of a package runs while it is installed.
            let flags = ["ci", "--silent", "--ignore-scripts", "--no-audit", "--prefix", target];
            Step::new("npm", &flags).run()
        }),
        _ => Ok(()),
    }
}

fn once(
    list: &str,
    target: &Path,
    install: impl FnOnce(&str, &str) -> Result<(), String>,
) -> Result<(), String> {
    let list = root().join(LISTS).join(list);
    let failed = |e: std::io::Error| format!("{}: {e}", list.display());
    let wanted = fs::read(&list).map_err(failed)?;
    let note = target.join("installed");
    if fs::read(&note).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    println!("installing {}", list.display());
    if target.exists() {
        fs::remove_dir_all(target).map_err(failed)?;
    }
    fs::create_dir_all(target).map_err(failed)?;
    let absolute = |path: &Path| std::path::absolute(path).map(|p| p.display().to_string());
    install(&absolute(target).map_err(failed)?, &absolute(&list).map_err(failed)?)?;
    fs::write(note, wanted).map_err(failed)
}
