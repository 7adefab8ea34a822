//! redb: each write a transaction of its own, immediately durable.

use std::path::Path;

use redb::{Database, Durability, ReadableDatabase, TableDefinition};

use super::{FILL, Reader, Writer};
use crate::{Result, names::Name};

const TABLE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("bench");

pub(crate) struct Redb(Database);

impl Redb {
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let database = Database::create(dir.join("redb"))?;
        // A reader needs the table to exist.
        let transaction = database.begin_write()?;
        transaction.open_table(TABLE)?;
        transaction.commit()?;
        Ok(Self(database))
    }

    fn write_all(&self, entries: &[(Name, Vec<u8>)]) -> Result<()> {
        let mut transaction = self.0.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        {
            let mut table = transaction.open_table(TABLE)?;
            for (name, value) in entries {
                table.insert(name.text.as_str(), value.as_slice())?;
            }
        }
        Ok(transaction.commit()?)
    }
}

impl Writer for Redb {
    fn write(&self, name: &Name, value: Vec<u8>) -> Result<()> {
        let mut transaction = self.0.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        transaction.open_table(TABLE)?.insert(name.text.as_str(), value.as_slice())?;
        Ok(transaction.commit()?)
    }
}

impl Reader for Redb {
    fn fill(&self, entries: Vec<(Name, Vec<u8>)>) -> Result<()> {
        entries.chunks(FILL).try_for_each(|chunk| self.write_all(chunk))
    }

    fn read(&self, name: &Name, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        let table = self.0.begin_read()?.open_table(TABLE)?;
        see(table.get(name.text.as_str())?.ok_or("the value is missing")?.value());
        Ok(())
    }
}
