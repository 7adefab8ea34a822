//! An application's own records and fields, with the same rights as the wallet's.

use records::{Fields, ObjectStore, Record, Transaction};

use crate::{Error, Result, Session, wallet::blocking};

impl Session {
    /// The object store of a record type: of an application, or one of the wallet's own. The first
    /// call reads all its records; from then on it is in memory, follows what other devices change,
    /// and is closed with the session: until then everybody shares it, so [`ObjectStore::close`] does
    /// nothing. Records that share a key of a unique index are told then ([`crate::Event::NotUnique`]).
    ///
    /// Its records merge as the wallet's own do. Choose a name ([`Record::STORE`]) that begins with
    /// that of the application: two types cannot share one
    /// ([`records::Error::Schema`](records::Error)).
    pub async fn records<R: Record>(&self) -> Result<ObjectStore<R>> {
        let stores = self.tower()?.stores.clone();
        let store = blocking(move || stores.open::<R>().map_err(Error::from)).await?;
        self.inner.tell_shared_keys();
        Ok(store.lent())
    }

    /// Single named values, which merge as records do. Names of an application's own fields begin with
    /// that of the application; those of [`crate::ProfileField`] are taken.
    pub fn fields(&self) -> Result<Fields> {
        Ok(self.tower()?.fields.clone())
    }

    /// An empty transaction: changes of several object stores and fields that happen together or not
    /// at all on this device. What other devices change at the same time merges record by record.
    pub fn transaction(&self) -> Result<Transaction> {
        Ok(Transaction::new(self.tower()?.kv()))
    }
}
