//! The contestants: the limit of the disk, our stores, and the peers. Whatever they write is
//! durable before they return.

mod fjall;
mod ldk;
mod limit;
mod lmdb;
mod ours;
mod redb;
mod sqlite;

use std::path::Path;

pub(crate) use ours::{Ours, open_fs, open_sqlite};
pub(crate) use sqlite::{Journal, Sqlite};

use crate::{Result, names::Name};

/// Something that makes values durable. Dropping it closes it.
pub(crate) trait Writer: Send + Sync {
    /// Returns once the value survives a power cut.
    fn write(&self, name: &Name, value: Vec<u8>) -> Result<()>;
}

/// A writer that can be filled fast and read from.
pub(crate) trait Reader: Writer {
    /// Stores many values in one go, by whatever means the store has for it.
    fn fill(&self, entries: Vec<(Name, Vec<u8>)>) -> Result<()>;

    /// Shows the value to `see`, without copying it if the store can do without. It must be there.
    fn read(&self, name: &Name, see: &mut dyn FnMut(&[u8])) -> Result<()>;
}

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Limit,
    Fs,
    Sealed,
    OwnSqlite,
    LdkV1,
    LdkV2,
    SqliteDelete,
    SqliteWal,
    Redb,
    Fjall,
    Lmdb,
}

impl Kind {
    pub(crate) const WRITERS: [Self; 11] = [
        Self::Limit,
        Self::Fs,
        Self::Sealed,
        Self::OwnSqlite,
        Self::LdkV1,
        Self::LdkV2,
        Self::SqliteDelete,
        Self::SqliteWal,
        Self::Redb,
        Self::Fjall,
        Self::Lmdb,
    ];
    pub(crate) const READERS: [Self; 7] = [
        Self::Fs,
        Self::Sealed,
        Self::OwnSqlite,
        Self::SqliteWal,
        Self::Redb,
        Self::Fjall,
        Self::Lmdb,
    ];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Limit => "limit of the disk",
            Self::Fs => "kv-fs",
            Self::Sealed => "kv-fs, sealed and recorded",
            Self::OwnSqlite => "kv-sqlite",
            Self::LdkV1 => "LDK v1",
            Self::LdkV2 => "LDK v2",
            Self::SqliteDelete => "SQLite as ldk-node",
            Self::SqliteWal => "SQLite WAL, FULL",
            Self::Redb => "redb",
            Self::Fjall => "fjall",
            Self::Lmdb => "LMDB",
        }
    }

    /// Neither ours nor the limit.
    pub(crate) fn is_peer(self) -> bool {
        !matches!(self, Self::Limit | Self::Fs | Self::Sealed | Self::OwnSqlite)
    }

    /// Opens what the folder holds, or begins it.
    pub(crate) fn open(self, dir: &Path) -> Result<Box<dyn Writer>> {
        std::fs::create_dir_all(dir)?;
        Ok(match self {
            Self::Limit => Box::new(limit::Limit::open(dir)?),
            Self::LdkV1 => Box::new(ldk::V1::open(dir)),
            Self::LdkV2 => Box::new(ldk::V2::open(dir)?),
            Self::Fs => Box::new(Ours::plain(dir)?),
            Self::Sealed => Box::new(Ours::sealed(dir)?),
            Self::OwnSqlite => Box::new(Ours::sqlite(dir)?),
            Self::SqliteDelete => Box::new(Sqlite::open(dir, Journal::Delete)?),
            Self::SqliteWal => Box::new(Sqlite::open(dir, Journal::Wal)?),
            Self::Redb => Box::new(redb::Redb::open(dir)?),
            Self::Fjall => Box::new(fjall::Fjall::open(dir)?),
            Self::Lmdb => Box::new(lmdb::Lmdb::open(dir)?),
        })
    }

    /// As [`Kind::open`], for those among [`Kind::READERS`].
    pub(crate) fn open_reader(self, dir: &Path) -> Result<Box<dyn Reader>> {
        std::fs::create_dir_all(dir)?;
        Ok(match self {
            Self::Fs => Box::new(Ours::plain(dir)?),
            Self::Sealed => Box::new(Ours::sealed(dir)?),
            Self::OwnSqlite => Box::new(Ours::sqlite(dir)?),
            Self::SqliteWal => Box::new(Sqlite::open(dir, Journal::Wal)?),
            Self::Redb => Box::new(redb::Redb::open(dir)?),
            Self::Fjall => Box::new(fjall::Fjall::open(dir)?),
            Self::Lmdb => Box::new(lmdb::Lmdb::open(dir)?),
            other => return Err(format!("{} is not read", other.label()).into()),
        })
    }
}

/// How many values go into one batch or transaction of a fill.
const FILL: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    /// What cannot be read back was not written, however fast.
    #[test]
    fn every_reader_gives_back_what_was_written() -> Result<()> {
        let root = std::env::temp_dir().join(format!("kv-bench-test-{}", std::process::id()));
        for kind in Kind::READERS {
            let dir = root.join(kind.label());
            let names = Name::many(20)?;
            let store = kind.open_reader(&dir)?;
            store.fill(names.iter().map(|name| (name.clone(), b"old".to_vec())).collect())?;
            for name in names.iter().take(10) {
                store.write(name, name.text.clone().into_bytes())?;
            }
            drop(store);
            let store = kind.open_reader(&dir)?;
            for (number, name) in names.iter().enumerate() {
                let expected = if number < 10 { name.text.as_bytes() } else { b"old" };
                let mut found = Vec::new();
                store.read(name, &mut |value| found = value.to_vec())?;
                assert_eq!(found, expected, "{} {number}", kind.label());
            }
            assert!(store.read(&Name::new(20)?, &mut |_| ()).is_err(), "{}", kind.label());
        }
        std::fs::remove_dir_all(root)?;
        Ok(())
    }
}
