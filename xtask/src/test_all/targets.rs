//! Systems that the tests do not run on: what needs no compiler for C is checked for each of them
//! whose standard library is installed.

use std::path::Path;

use super::report::Stop;
use crate::run::Step;

/// Desktops, then phones.
const TARGETS: [&str; 4] =
    ["x86_64-pc-windows-gnu", "aarch64-apple-darwin", "aarch64-linux-android", "aarch64-apple-ios"];

/// The stores and what stands on them. The crates above bring C along (zstd, SQLite, ring), which
/// takes a compiler of that system.
const CRATES: [&str; 5] = ["kv-core", "kv-mem", "kv-fs", "vault", "records"];

/// Checks each target that is installed, and says which are not.
pub(super) fn run() -> Result<(), Stop> {
    let mut failed = Vec::new();
    for target in TARGETS {
        if !is_installed(target) {
            println!("{target}: skipped, not installed: rustup target add {target}");
            continue;
        }
        let mut args = vec!["check", "--quiet", "--lib", "--target", target];
        CRATES.iter().for_each(|package| args.extend(["--package", package]));
        match Step::cargo(&args).env("RUSTFLAGS", "-D warnings").run() {
            Ok(()) => println!("{target}: {} pass", CRATES.join(", ")),
            Err(_) => failed.push(target),
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Stop::Failed(format!("an error or a warning for {}", failed.join(", "))))
    }
}

fn is_installed(target: &str) -> bool {
    let folder = Step::new("rustc", &["--print", "target-libdir", "--target", target]).output();
    folder.is_ok_and(|folder| Path::new(folder.trim()).exists())
}

#[cfg(test)]
mod tests {
    use super::is_installed;

    #[test]
    fn a_target_that_is_not_there_is_not_taken_for_installed() {
        assert!(!is_installed("x86_64-unknown-nothing-at-all"));
    }
}
