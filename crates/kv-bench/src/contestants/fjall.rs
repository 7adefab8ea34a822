//! fjall: each write followed by a sync of its journal.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{FILL, Reader, Writer};
use crate::{
    Result,
    names::{Name, PRIMARY},
};

pub(crate) struct Fjall {
    database: Database,
    keyspace: Keyspace,
}

impl Fjall {
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let database = Database::builder(dir).open()?;
        let keyspace = database.keyspace(PRIMARY, KeyspaceCreateOptions::default)?;
        Ok(Self { database, keyspace })
    }
}

impl Writer for Fjall {
    fn write(&self, name: &Name, value: Vec<u8>) -> Result<()> {
        self.keyspace.insert(name.text.as_str(), value)?;
        Ok(self.database.persist(PersistMode::SyncData)?)
    }
}

impl Reader for Fjall {
    fn fill(&self, entries: Vec<(Name, Vec<u8>)>) -> Result<()> {
        let mut entries = entries.into_iter().peekable();
        while entries.peek().is_some() {
            let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
            for (name, value) in entries.by_ref().take(FILL) {
                batch.insert(&self.keyspace, name.text.as_str(), value);
            }
            batch.commit()?;
        }
        Ok(())
    }

    fn read(&self, name: &Name, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        see(&self.keyspace.get(&name.text)?.ok_or("the value is missing")?);
        Ok(())
    }
}
