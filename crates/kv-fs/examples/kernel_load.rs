//! kv-fs as `cargo xtask kernels` kills, starves and lies to it; see `kv_core::testing::torment`.

use std::{path::Path, process::ExitCode, sync::Arc};

use kv_core::{
    KvStore, Result,
    testing::{Opener, torment},
};
use kv_fs::{FsStore, Settings};

struct Fs;

impl Opener for Fs {
    fn open(&self, dir: &Path, how: &str) -> Result<Arc<dyn KvStore>> {
        Ok(Arc::new(FsStore::open(dir, settings(how))?))
    }

    fn exists(&self, dir: &Path) -> Result<bool> {
        FsStore::exists(dir)
    }
}

fn main() -> ExitCode {
    torment(&Fs)
}

/// Small numbers, so that segments, checkpoints and big values come by the dozen.
fn settings(how: &str) -> Settings {
    let mut settings = Settings::default();
    settings.segment_size = 32 << 10;
    settings.checkpoint_after = 96 << 10;
    settings.big_value = 16 << 10;
    settings.sync_disk_from = if how == "disk" { 2 } else { usize::MAX };
    settings
}
