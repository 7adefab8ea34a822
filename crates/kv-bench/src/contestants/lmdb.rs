//! LMDB through heed: each write a transaction of its own, with the syncs that are its default.

use std::path::Path;

use heed::{
    Database, Env, EnvOpenOptions,
    types::{Bytes, Str},
};

use super::{FILL, Reader, Writer};
use crate::{Result, names::Name};

/// Address space, not memory or disk.
const MAP: usize = 16 << 30;

pub(crate) struct Lmdb {
    env: Env,
    database: Database<Str, Bytes>,
}

impl Lmdb {
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP).max_readers(256);
        #[expect(unsafe_code, reason = "heed has no other way")]
        // SAFETY: the folder is ours alone, nobody else changes the mapped file, and it is on a
        // local disk.
        let env = unsafe { options.open(dir) }?;
        let mut transaction = env.write_txn()?;
        let database = env.create_database(&mut transaction, None)?;
        transaction.commit()?;
        Ok(Self { env, database })
    }
}

impl Writer for Lmdb {
    fn write(&self, name: &Name, value: Vec<u8>) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        self.database.put(&mut transaction, &name.text, &value)?;
        Ok(transaction.commit()?)
    }
}

impl Reader for Lmdb {
    fn fill(&self, entries: Vec<(Name, Vec<u8>)>) -> Result<()> {
        for chunk in entries.chunks(FILL) {
            let mut transaction = self.env.write_txn()?;
            for (name, value) in chunk {
                self.database.put(&mut transaction, &name.text, value)?;
            }
            transaction.commit()?;
        }
        Ok(())
    }

    fn read(&self, name: &Name, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        let transaction = self.env.read_txn()?;
        see(self.database.get(&transaction, &name.text)?.ok_or("the value is missing")?);
        Ok(())
    }
}
