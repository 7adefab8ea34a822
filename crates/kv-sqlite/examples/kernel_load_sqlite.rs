//! kv-sqlite as `cargo xtask kernels` kills, starves and lies to it; see `kv_core::testing::torment`.

use std::{path::Path, process::ExitCode, sync::Arc};

use kv_core::{
    KvStore, Result,
    testing::{Opener, torment},
};
use kv_sqlite::{Settings, SqliteStore};

struct Sqlite;

impl Opener for Sqlite {
    fn open(&self, dir: &Path, _how: &str) -> Result<Arc<dyn KvStore>> {
        let mut settings = Settings::default();
        // Small numbers, so that the log is moved by the dozen.
        settings.wal_bytes = 128 << 10;
        settings.wal_most = 512 << 10;
        settings.page_cache = 256 << 10;
        settings.reserve = 768 << 10;
        Ok(Arc::new(SqliteStore::open(&dir.join("store.sqlite"), settings)?))
    }

    fn exists(&self, dir: &Path) -> Result<bool> {
        SqliteStore::exists(&dir.join("store.sqlite"))
    }
}

fn main() -> ExitCode {
    torment(&Sqlite)
}
