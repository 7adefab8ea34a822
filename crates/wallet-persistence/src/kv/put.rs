//! Writing an entry without knowing the class of its namespace.

use kv_core::{Change, Key, Namespace, Value};

use super::{
    class::{KvClass, KvNamespace, chosen, class_of, name},
    mergeable, submitted,
};
use crate::{Error, Result, Session};

impl Session {
    /// Stores an entry, in the class that its namespace has; the first write chooses that: `class`,
    /// or else a single writer. The choice is remembered in the same batch. Resolves when it is
    /// durable, with the class.
    ///
    /// # Errors
    /// [`Error::OtherClass`] if the namespace has another class than asked for,
    /// [`Error::TwoClasses`] if it has entries of both.
    pub async fn put_kv(
        &self,
        ns: &Namespace,
        key: &Key,
        value: impl Into<Value>,
        class: Option<KvClass>,
    ) -> Result<KvClass> {
        let tower = self.tower()?;
        let (kv, names) = (tower.kv(), &tower.data.kv_namespaces);
        let known = class_of(&*kv, names, ns)?;
        if let (Some(known), Some(asked)) = (known, class)
            && known != asked
        {
            return Err(Error::OtherClass { namespace: name(ns), class: known });
        }
        let class = known.or(class).unwrap_or(KvClass::SingleWriter);
        let place = match class {
            KvClass::Mergeable => mergeable::place(ns)?,
            KvClass::SingleWriter => ns.clone(),
        };
        let mut transaction = names.transaction();
        if chosen(names, ns)?.is_none() {
            transaction.put(names, &KvNamespace::new(ns, class))?;
        }
        transaction.batch().insert(place, key.clone(), Change::Put(value.into()));
        submitted(transaction)?.await?;
        Ok(class)
    }
}
