//! Runs the examples that applications are written from: one that compiles may still fail.

use std::fs;

use crate::{
    metadata,
    run::{Step, root},
    test_all::OURS,
};

/// Each file in the folder of this crate is one; they are its guide.
const PACKAGE: &str = "wallet-persistence";

/// Builds the examples and runs each to its end.
pub(crate) fn run() -> Result<(), String> {
    let folder = format!("crates/{PACKAGE}/examples");
    let failed = |e: std::io::Error| format!("{folder}: {e}");
    let files = fs::read_dir(root().join(&folder)).map_err(failed)?;
    let mut names = Vec::new();
    for file in files {
        let path = file.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    if names.is_empty() {
        return Err(format!("{folder}: there is no example"));
    }
    names.sort();
    // As the tests are built, with which they were compiled.
    let args = [&["test"], OURS.as_slice(), &["--all-features", "--examples", "--no-run"]].concat();
    Step::cargo(&args).run()?;
    let built = metadata::target_dir()?.join("debug/examples");
    for name in names {
        Step::new(&built.join(name).to_string_lossy(), &[]).run()?;
    }
    Ok(())
}
