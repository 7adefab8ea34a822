//! Golden files: the bytes of format v1, which every later version must read.

use std::{env, fs, path::PathBuf};

/// Compares `bytes` with the golden file, and gives the file's bytes. With `STRONGROOM_GOLDEN=write`
/// a file that is not there yet is written; one that is there is never changed.
pub(crate) fn golden(name: &str, bytes: &[u8]) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1");
    let path = path.join(name);
    if !path.exists() && env::var_os("STRONGROOM_GOLDEN").is_some_and(|how| how == "write") {
        fs::write(&path, bytes).unwrap();
    }
    let kept = fs::read(&path).unwrap();
    assert!(kept == bytes, "{name} is not written as it was");
    kept
}
